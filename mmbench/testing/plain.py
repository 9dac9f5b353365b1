"""The plain path: MEME, MMVAE and IWAE as a reader of the papers would write them down, and as slow.

Every sample goes through the decoders under autograd, densities are `torch.distributions` objects, each distinct input
is encoded once. Nothing is shared with the models' own objectives but the networks and the names of the noise, so that
both may be fed the same numbers: the reference of tests and benchmarks, and the place to read what is computed.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from mmbench.models.base import MultimodalVAE, Objective
from mmbench.models.meme import MEME
from mmbench.models.mmvae import MMVAE
from mmbench.models.posteriors import laplace_from_normal
from mmbench.models.vae import VAE
from mmbench.seeding import Noise

__all__ = ["objective"]

Diagonal = Any
"""A `td.Independent` of normals or Laplaces over the last axis; torch's distributions have no types of their own."""


def objective(model: MultimodalVAE, values: Mapping[str, Tensor], *, noise: Noise) -> Objective:
    """The objective of a `meme`, `mmvae` or importance-weighted `vae` model on rows of one pattern, without terms.

    Raises:
        TypeError: another model.
    """
    if isinstance(model, MEME):
        return Objective(_meme(model, values, noise))
    if isinstance(model, MMVAE):
        return Objective(_mmvae(model, values, noise))
    if isinstance(model, VAE) and model.settings.objective == "iwae":
        return Objective(_iwae(model, values, noise))
    raise TypeError(f"the plain path knows meme, mmvae and vae with objective=iwae, not {model.name!r}.")


# MEME -----------------------------------------------------------------------------------------------------------------
def _meme(model: MEME, values: Mapping[str, Tensor], noise: Noise) -> Tensor:
    names = [name for name in model.modalities if name in values]
    encoded = {name: _normal(*model.encoders[name](values[name])) for name in names}
    if len(names) == 1:
        return _unpaired(model, names[0], values[names[0]], encoded[names[0]], noise)
    sources = {"both": names, "s->t": names[:1], "t->s": names[1:]}[model.settings.direction]
    bounds = [_directed(model, s, values, encoded, noise.child(s)) for s in sources]
    total = torch.stack(bounds).sum(0)
    return -(total / len(bounds) if model.settings.reduction == "mean" else total).mean()


def _unpaired(model: MEME, name: str, x: Tensor, e_s: Diagonal, noise: Noise) -> Tensor:
    """Eq. 4, with the pseudo-inputs of all missing modalities in one mixture."""
    pooled = [model.encoders[n](model.pseudo[n]) for n in sorted(set(model.modalities) - {name})]
    location, scale = (torch.cat(parts) for parts in zip(*pooled, strict=True))
    prior: Any = td.MixtureSameFamily(
        td.Categorical(logits=location.new_zeros(len(location))), _normal(location, scale)
    )
    z = _samples(e_s, noise.child(name).normal("z", (1, *e_s.mean.shape)))
    bound: Tensor = _decoder(model, name, z, x) + prior.log_prob(z) - e_s.log_prob(z)
    return -bound.mean()


def _directed(
    model: MEME, s: str, values: Mapping[str, Tensor], encoded: Mapping[str, Diagonal], noise: Noise
) -> Tensor:
    """Eqs. 6 to 10 for s -> t, `[B]`."""
    flags, e_s = model.settings, encoded[s]
    others = sorted(set(values) - {s})
    e_t = _combined([encoded[name] for name in others], flags.combination)
    z = _samples(e_s, noise.normal("z", (flags.k + 1, *e_s.mean.shape)))
    l_t = sum((_decoder(model, name, z, values[name]) for name in others), torch.zeros(()))
    used = l_t if flags.include_own else l_t[1:]
    log_q = used.logsumexp(0) - (math.log(len(used)) if flags.logq == "mean" else 0.0)
    weight = (l_t - log_q).exp()
    if flags.detach_weight:
        weight = weight.detach()
    prior = e_t.log_prob(z) - e_s.log_prob(z) if flags.kl == "mc" else -td.kl_divergence(e_s, e_t)
    if flags.own == "one":
        first = _decoder(model, s, z[:1], values[s])[0] + (prior[0] if flags.kl == "mc" else prior) - l_t[0]
        return weight[0] * first + flags.c * log_q
    first = _decoder(model, s, z, values[s]) + prior - l_t
    if flags.own == "all":
        return (weight * first).mean(0) + flags.c * log_q
    # The drawn sample stands for the weighted sum over all of them: in the first term, and in the gradient of log q.
    drawn = _drawn(l_t.detach(), noise.uniform("drawn", (1, l_t.shape[1])))
    rows = torch.arange(l_t.shape[1], device=l_t.device)
    share = 1.0 if flags.logq == "mean" else 1 / len(l_t)
    l_drawn = l_t[drawn, rows]
    return share * first[drawn, rows] + flags.c * (log_q.detach() + l_drawn - l_drawn.detach())


def _drawn(scores: Tensor, uniform: Tensor) -> Tensor:
    """The first k at which the cumulated weights of a row pass its uniform number, `[B]`."""
    cumulated = scores.softmax(0).cumsum(0)
    return torch.searchsorted((cumulated / cumulated[-1:]).T.contiguous(), uniform.T.contiguous())[:, 0].clamp(
        max=len(scores) - 1
    )


def _combined(experts: Sequence[Diagonal], kind: str) -> Diagonal:
    """The conditional prior of several modalities: their normalised product, or their uniform mixture."""
    if len(experts) == 1:
        return experts[0]
    locations = torch.stack([q.mean for q in experts], 1)
    variances = torch.stack([q.variance for q in experts], 1)
    if kind == "mixture":
        even = td.Categorical(logits=locations.new_zeros(locations.shape[:2]))
        return td.MixtureSameFamily(even, td.Independent(td.Normal(locations, variances.sqrt()), 1))
    precision = (1 / variances).sum(1)
    return _normal((locations / variances).sum(1) / precision, precision.rsqrt())


# MMVAE ----------------------------------------------------------------------------------------------------------------
def _mmvae(model: MMVAE, values: Mapping[str, Tensor], noise: Noise) -> Tensor:
    flags = model.settings
    if flags.objective == "naive":
        raise TypeError("the plain path has no naive objective: that takes no weights.")
    k = 1 if flags.objective == "elbo" else flags.k
    family = td.Laplace if flags.family == "laplace" else td.Normal
    encoded = {n: td.Independent(family(*model.encoders[n](values[n])), 1) for n in model.modalities if n in values}
    scale = model.prior_raw_scale.softmax(0) * len(model.prior_raw_scale)
    prior: Diagonal = td.Independent(family(torch.zeros_like(scale), scale), 1)
    detached = flags.objective.startswith("dreg")
    used: dict[str, Diagonal] = {
        n: td.Independent(family(q.base_dist.loc.detach(), q.base_dist.scale.detach()), 1) if detached else q
        for n, q in encoded.items()
    }
    z = torch.stack([_samples(q, noise.child(n).normal("z", (k, *q.mean.shape))) for n, q in encoded.items()])
    scores = []
    for drawn in z:
        density = torch.stack([q.log_prob(drawn) for q in used.values()]).logsumexp(0) - math.log(len(used))
        joint = prior.log_prob(drawn) + sum(_decoder(model, n, drawn, x) for n, x in values.items())
        scores.append(joint - density)
    log_weights = torch.stack(scores)
    if not detached:
        if flags.looser:
            return -(log_weights.logsumexp(1) - math.log(k)).mean()
        return -(log_weights.flatten(0, 1).logsumexp(0) - math.log(k * len(z))).mean()
    # The gradient of the log-mean-exp with its weights held constant, and, doubly reparametrised, weighed again at z.
    normalised = log_weights.softmax(1) if flags.looser else log_weights.flatten(0, 1).softmax(0).view_as(log_weights)
    normalised = normalised.detach()
    if flags.objective == "dreg" and z.requires_grad:
        z.register_hook(lambda gradient: normalised.unsqueeze(-1) * gradient)  # type: ignore[no-untyped-call]  # torch: no types
    surrogate = (normalised * log_weights).sum((0, 1)) / (len(z) if flags.looser else 1)
    bound = (
        (log_weights.logsumexp(1) - math.log(k)).mean(0)
        if flags.looser
        else log_weights.flatten(0, 1).logsumexp(0) - math.log(k * len(z))
    )
    return -(bound.detach() + surrogate - surrogate.detach()).mean()


# VAE ------------------------------------------------------------------------------------------------------------------
def _iwae(model: VAE, values: Mapping[str, Tensor], noise: Noise) -> Tensor:
    """The importance-weighted bounds (Burda et al. 2016) of all modalities, each by itself."""
    k, bounds = model.settings.k, []
    for name, x in values.items():
        q = _normal(*model.encoders[name](x))
        z = _samples(q, noise.child(name).normal("z", (k, *q.mean.shape)))
        prior = _normal(torch.zeros_like(q.mean), torch.ones_like(q.mean))
        log_weights = _decoder(model, name, z, x) + prior.log_prob(z) - q.log_prob(z)
        bounds.append(log_weights.logsumexp(0) - math.log(k))
    return -torch.stack(bounds).sum(0).mean()


# All ------------------------------------------------------------------------------------------------------------------
def _normal(location: Tensor, scale: Tensor) -> Diagonal:
    return td.Independent(td.Normal(location, scale), 1)


def _samples(q: Diagonal, eps: Tensor) -> Tensor:
    """Samples `[K, B, D]` of q `[B, D]` made of given standard normal noise."""
    base = q.base_dist
    drawn: Tensor = base.loc + base.scale * (laplace_from_normal(eps) if isinstance(base, td.Laplace) else eps)
    return drawn


def _decoder(model: MultimodalVAE, name: str, z: Tensor, x: Tensor) -> Tensor:
    """lambda log p(x|z) of z `[K, B, D]`, `[K, B]`."""
    spec, arch = model.modalities[name], model.arch
    output = model.decoders[name](z.flatten(0, 1)).view(*z.shape[:2], *spec.shape)
    if arch.likelihood == "bernoulli":
        values: Any = td.Bernoulli(logits=output, validate_args=False)
    else:
        location = output.sigmoid() if spec.kind == "image" else output
        values = (td.Laplace if arch.likelihood == "laplace" else td.Normal)(location, arch.scale)
    event: Any = td.Independent(values, len(spec.shape))
    score: Tensor = model.weights[name] * event.log_prob(x)
    return score
