"""Mixtures of experts over the shared part of a latent whose private parts have encoders of their own.

What MMVAE+ and CMVAE share (`mmvaeplus` says where it comes from). O is the set of observed modalities, the latent is
[z | w_1 .. w_M], and

    q(z|x_O) = 1/|O| sum_{m in O} q_m(z|x_m),        q_m(w_m|x_m).

Expert r's k-th sample is z_r, w_r ~ q_r(z|x_r) q_r(w_r|x_r); every other modality n is decoded from z_r and a cross
sample w~_n ~ r_n that has seen no data. The log weight of both is

    lw_r = lambda_r log p_r(x_r|z_r, w_r) + sum_{n in O, n != r} lambda_n log p_n(x_n|z_r, w~_n)
           + beta [ log p(z_r) - log q(z_r|x_O) + log p(w_r) - log q_r(w_r|x_r) ].

Where r_n is p(w_n) and beta and lambda are 1, exp lw_r has the expectation p_r(x_O) = int q_r(z) / q(z) p(x_O, z) dz,
whose mean over r is p(x_O): both bounds of `stratified` are then bounds on log p(x_O), the tight one tends to it, and
the looser one to (1/|O|) sum_r log p_r(x_O). With another r_n the same holds of the hybrid in which x_n has the private
marginal r_n wherever it is another's sample that is decoded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmbench.config import setting
from mmbench.errors import InvalidSetting
from mmbench.models.base import Layout, MultimodalVAE, Objective
from mmbench.models.bounds import doubly_reparametrised
from mmbench.models.carrying import rows_are_independent
from mmbench.models.posteriors import Density, Diagonal, Normalised, diagonal, mixture
from mmbench.models.private import size_of
from mmbench.models.stratified import stratified_objective, stratified_scores
from mmbench.seeding import Noise

__all__ = [
    "Priors",
    "PrivateExpertsSettings",
    "auxiliary_raw_scale",
    "objective_of",
    "positive",
    "posterior_of",
    "private_priors",
    "require_consistent",
]


@dataclass(frozen=True)
class PrivateExpertsSettings:
    """Bound, samples, family, and what stands for private parts that no data speaks of."""

    objective: str = setting("iwae", choices=("elbo", "iwae", "dreg"), help="The bound and its gradient.")
    looser: bool = setting(True, help="Mean over experts of each one's bound; false: one tight bound over all samples.")
    k: int = setting(5, low=1, help="K, samples of each expert (elbo uses one).")
    family: str = setting("normal", choices=("normal", "laplace"), help="Family of posteriors and priors.")
    beta: float = setting(1.0, low=0.0, help="Weight of the log ratios of priors and posteriors; 1 gives bounds.")
    private: int | None = setting(
        None, low=0, help="Dimensions of each private part; none: half of the latent in equal parts."
    )
    cross: str = setting(
        "auxiliary",
        choices=("auxiliary", "prior", "own"),
        help="Private parts in cross terms: learned auxiliary priors r_n, the prior (a bound), or their own encoders "
        "(the released code's mmvaefactorized).",
    )
    missing: str = setting(
        "prior",
        choices=("prior", "auxiliary"),
        help="Private parts of what is missing at test time: of the prior, or of the auxiliary prior.",
    )


@dataclass(frozen=True)
class Priors:
    """p(z), and by modality p(w_m) and r_m(w_m) with locations and scales `[D_m]`."""

    shared: Density
    private: Mapping[str, Diagonal]
    auxiliary: Mapping[str, Diagonal]


def require_consistent(settings: PrivateExpertsSettings) -> None:
    """Raise `InvalidSetting` for settings that contradict one another."""
    if settings.missing == "auxiliary" and settings.cross != "auxiliary":
        raise InvalidSetting(
            f"model.missing=auxiliary draws from priors that model.cross={settings.cross} never trains; use "
            "model.missing=prior."
        )
    if settings.objective == "dreg" and settings.cross == "own":
        raise InvalidSetting(
            "model.objective=dreg weighs the gradient of a sample by its own expert's weight, but with "
            "model.cross=own it is part of every expert's; use model.objective=iwae."
        )


def auxiliary_raw_scale(layout: Layout, settings: PrivateExpertsSettings) -> nn.Parameter:
    """Raw scales of all r_n side by side; learned where there are cross terms that draw from them."""
    size = sum(size_of(part) for part in layout.private.values())
    learned = settings.cross == "auxiliary" and size > 0 and len(layout.private) > 1
    return nn.Parameter(torch.zeros(size), requires_grad=learned)


def positive(raw: Tensor, kind: str) -> Tensor:
    """Scales from unconstrained numbers `[d]`, 1 where they are 0.

    Args:
        kind: that of `arch.posterior_scale`: `softplus` gives exp(raw), `softmax` the released code's d * softmax(raw),
            whose scales keep the sum d (so that a single one stays at 1).
    """
    return raw.softmax(-1) * len(raw) if kind == "softmax" else raw.exp()


def private_priors(raw: Tensor, layout: Layout, *, family: str, scale: str) -> dict[str, Diagonal]:
    """Zero-mean distributions over each w_m from raw scales of all private dimensions, in the layout's order."""
    parts = torch.split(raw, [size_of(part) for part in layout.private.values()])
    return {
        name: diagonal(family, torch.zeros_like(own), positive(own, scale))
        for name, own in zip(layout.private, parts, strict=True)
    }


def posterior_of(
    model: MultimodalVAE, values: Mapping[str, Tensor], *, family: str, missing: Mapping[str, Diagonal]
) -> Normalised:
    """q over the whole latent: the mixture over experts r of q_r(z|x_r) times the private posteriors.

    Args:
        missing: by modality, what private parts without data are drawn from.
    """
    experts = {name: _expert(model, name, x, family) for name, x in values.items()}
    rows = len(next(iter(values.values())))
    private = [
        experts[name].private if name in experts else _repeated(missing[name], rows, family)
        for name in model.layout.private
    ]
    return mixture([_joined([expert.shared, *private], family) for expert in experts.values()])


def objective_of(
    model: MultimodalVAE,
    values: Mapping[str, Tensor],
    settings: PrivateExpertsSettings,
    priors: Priors,
    *,
    noise: Noise,
) -> Objective:
    """The bound of the settings on rows of one pattern; `model` gives the networks, the layout and the weights."""
    names = [name for name in model.modalities if name in values]
    experts = {name: _expert(model, name, values[name], settings.family) for name in names}
    k = 1 if settings.objective == "elbo" else settings.k
    own = {name: expert.whole.rsample(k, noise.child(name)) for name, expert in experts.items()}
    dreg = settings.objective == "dreg"
    # No density of a cross sample stands in the weight: its gradient is weighed once, only the experts' own twice.
    gates = [doubly_reparametrised(sample) for sample in own.values()] if dreg else []
    used = {name: expert.detached() for name, expert in experts.items()} if dreg else experts
    latents = torch.stack([_latent(name, own, model.layout, priors, settings.cross, noise.child(name)) for name in own])
    ratios = torch.stack(
        [
            priors.private[name].log_prob(w) - used[name].private.log_prob(w)
            for name, w in ((name, sample[..., model.layout.shared.stop :]) for name, sample in own.items())
        ]
    )

    def score(some: Tensor, index: Tensor) -> Tensor:
        latent, private_ratio = some[..., :-1], some[..., -1]
        z = latent[..., model.layout.shared]
        q = mixture([expert.shared.rows(index) for expert in used.values()])
        ratio = priors.shared.log_prob(z) - q.log_prob(z) + private_ratio
        likelihoods = [model.log_likelihood(name, x[index], latent) for name, x in values.items()]
        return torch.stack(likelihoods).sum(0) + settings.beta * ratio

    log_weights = stratified_scores(
        score,
        torch.cat([latents, ratios.unsqueeze(-1)], -1),  # what is known of a sample already goes with it
        model.execution,
        over_experts=not settings.looser,
        independent=rows_are_independent(*(model.decoders[name] for name in values)),
        noise=noise,
    )
    return stratified_objective(
        log_weights, over_experts=not settings.looser, detached=dreg, gate=_each(gates) if dreg else None
    )


@dataclass(frozen=True)
class _Expert:
    """What one encoder says: q_m(z, w_m|x_m) = q_m(z|x_m) q_m(w_m|x_m)."""

    whole: Diagonal
    shared: Diagonal
    private: Diagonal

    def detached(self) -> "_Expert":
        return _Expert(self.whole.detached(), self.shared.detached(), self.private.detached())


def _expert(model: MultimodalVAE, name: str, x: Tensor, family: str) -> _Expert:
    q, border = model.encode(name, x, family), model.layout.shared.stop
    shared = diagonal(family, q.location[:, :border], q.scale[:, :border])
    return _Expert(q, shared, diagonal(family, q.location[:, border:], q.scale[:, border:]))


def _latent(expert: str, own: Mapping[str, Tensor], layout: Layout, priors: Priors, cross: str, noise: Noise) -> Tensor:
    """[z_r | w_r and cross samples] of expert r `[K, B, D]`; zeros, which no decoder reads, for what is missing."""
    sample = own[expert]
    parts = [sample[..., layout.shared]]
    for name, part in layout.private.items():
        shape = (*sample.shape[:2], size_of(part))
        if name == expert or (name in own and cross == "own"):
            parts.append(own[name][..., layout.shared.stop :])
        elif name in own:
            source = priors.auxiliary if cross == "auxiliary" else priors.private
            parts.append(source[name].transport(noise.child(name).normal("w", shape)))
        else:
            parts.append(sample.new_zeros(shape))
    return torch.cat(parts, -1)


def _joined(parts: Sequence[Diagonal], family: str) -> Diagonal:
    """Independent parts side by side."""
    return diagonal(family, torch.cat([q.location for q in parts], -1), torch.cat([q.scale for q in parts], -1))


def _repeated(prior: Diagonal, rows: int, family: str) -> Diagonal:
    """A prior `[D_m]` for every row, `[rows, D_m]`."""
    return diagonal(family, prior.location.expand(rows, -1), prior.scale.expand(rows, -1))


def _each(gates: Sequence[Callable[[Tensor], None]]) -> Callable[[Tensor], None]:
    """Weights `[E, K, B]` to the gate of each expert."""

    def act(weights: Tensor) -> None:
        for gate, own in zip(gates, weights, strict=True):
            gate(own)

    return act
