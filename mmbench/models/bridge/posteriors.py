"""Posteriors of multivae's models in our classes, read off the parameters that its `encode` samples from.

`encode` gives samples alone. What a metric asks for (means, densities, noise keyed by row) needs the distribution, so
that its parameters are taken by the same functions of the model that `encode` calls; a test holds both against each
other. Two differences are left:

* mixtures (MMVAE, MMVAE+, CMVAE): `encode` draws one modality for a whole batch, here one is drawn for every sample;
* JNF given several but not all modalities is `encode` itself, which samples by Hamiltonian Monte Carlo: without a
  density, and with numbers that depend on the batch.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from mmbench.errors import CannotBear
from mmbench.models.bridge.drawing import drawing_from
from mmbench.models.bridge.package import modules
from mmbench.models.posteriors import (
    Diagonal,
    Gaussian,
    Normalised,
    Posterior,
    Transported,
    diagonal,
    mixture,
)
from mmbench.seeding import Noise

__all__ = ["POSTERIORS", "Flowed", "Hamiltonian", "Upper", "family_of"]

Parameters = tuple[Tensor, Tensor]
"""Mean and log variance, each `[B, D]`."""


def gaussian(parameters: Sequence[Tensor]) -> Gaussian:
    """N(mean, exp(log variance))."""
    mean, log_variance = parameters
    return Gaussian(mean, (0.5 * log_variance).exp())


# Products of experts --------------------------------------------------------------------------------------------------
def of_mvae(theirs: Any, data: Any) -> Posterior:
    """The product with the prior."""
    return gaussian(theirs.compute_mu_log_var_subset(data, list(data.data)))


def of_mvtcae(theirs: Any, data: Any) -> Posterior:
    """The product."""
    return gaussian(theirs._inference(data)["joint"])


def of_crmvae(theirs: Any, data: Any) -> Posterior:
    """The product."""
    return _read(theirs._infer_all_latent_parameters(data)["joint"])


def of_mopoe(theirs: Any, data: Any) -> Posterior:
    """The product of a subset of the mixture, with the prior where it holds all modalities; private latents beside."""
    names = sorted(data.data)
    if "_".join(names) not in theirs.subsets:
        raise CannotBear(f"model 'multivae:MoPoE' has no posterior given {'+'.join(names)}: not one of model.subsets.")
    coded = {name: theirs.encoders[name](data.data[name]) for name in names}
    experts = [
        torch.stack([getattr(code, part) for code in coded.values()]) for part in ("embedding", "log_covariance")
    ]
    shared = gaussian(theirs._poe_fusion(*experts))
    if not theirs.multiple_latent_spaces:
        return shared
    styles = {name: (code.style_embedding, code.style_log_covariance) for name, code in coded.items()}
    return _with_private(shared, {name: gaussian(style) for name, style in styles.items()}, theirs.style_dims)


def of_dmvae(theirs: Any, data: Any) -> Posterior:
    """The product with the prior, and private latents beside."""
    mean, log_variance, _, styles = theirs._infer_latent_parameters(data, list(data.data))
    private = {name: gaussian(style) for name, style in styles.items()}
    return _with_private(gaussian((mean, log_variance)), private, theirs.style_dims)


def _with_private(shared: Gaussian, private: Mapping[str, Gaussian], sizes: Mapping[str, int]) -> Gaussian:
    """[z | w_1 .. w_M]: the w_m of missing modalities are standard normal."""
    rows, parts = len(shared.location), [shared]
    for name, size in sorted(sizes.items()):
        empty = shared.location.new_zeros(rows, size)
        parts.append(private.get(name) or Gaussian(empty, empty + 1))
    return Gaussian(torch.cat([q.location for q in parts], -1), torch.cat([q.scale for q in parts], -1))


# Mixtures of experts --------------------------------------------------------------------------------------------------
def of_mmvae(theirs: Any, data: Any) -> Normalised:
    """The mixture of the experts."""
    family = family_of(theirs)
    coded = [theirs.encoders[name](x) for name, x in data.data.items()]
    return mixture([diagonal(family, q.embedding, theirs.log_var_to_std(q.log_covariance)) for q in coded])


def of_mmvaeplus(theirs: Any, data: Any) -> Normalised:
    """The mixture of the experts of z; w_m of an observed modality by its encoder, of a missing one by a prior."""
    if theirs.reconstruction_option == "joint_prior":
        means, logs = (part["shared"][:, theirs.latent_dim :] for part in (theirs.mean_priors, theirs.logvars_priors))
        missing = dict.fromkeys(theirs.encoders, (means, logs))
    else:
        missing = {name: (theirs.mean_priors[name], theirs.logvars_priors[name]) for name in theirs.encoders}
    return _private_mixture(theirs, data, missing)


def of_cmvae(theirs: Any, data: Any) -> Normalised:
    """As MMVAE+; the clusters are in the prior alone."""
    if theirs.model_config.reconstruction_option == "joint_prior":
        missing = dict.fromkeys(theirs.encoders, (theirs.w_mean_prior, theirs.w_logvar_prior))
    else:
        missing = {name: (theirs.r_mean_priors[name], theirs.r_logvars_priors[name]) for name in theirs.encoders}
    return _private_mixture(theirs, data, missing)


def _private_mixture(theirs: Any, data: Any, missing: Mapping[str, Parameters]) -> Normalised:
    coded = {name: theirs.encoders[name](x) for name, x in data.data.items()}
    styles: dict[str, Parameters] = {n: (q.style_embedding, q.style_log_covariance) for n, q in coded.items()}
    rows = len(next(iter(data.data.values())))
    private = [styles.get(name) or _expanded(missing[name], rows) for name in sorted(theirs.encoders)]
    locations, scales = [w for w, _ in private], [theirs._log_var_to_std(raw) for _, raw in private]
    family = family_of(theirs)

    def component(q: Any) -> Diagonal:
        scale = theirs._log_var_to_std(q.log_covariance)
        return diagonal(family, torch.cat([q.embedding, *locations], -1), torch.cat([scale, *scales], -1))

    return mixture([component(q) for q in coded.values()])


def _expanded(parameters: Parameters, rows: int) -> Parameters:
    mean, raw = (part.expand(rows, -1) for part in parameters)
    return mean, raw


def family_of(theirs: Any) -> str:
    """The family of posteriors and priors by our name."""
    return "laplace" if theirs.model_config.prior_and_posterior_dist == "laplace_with_softmax" else "normal"


# Joint encoders -------------------------------------------------------------------------------------------------------
def of_jmvae(theirs: Any, data: Any) -> Posterior:
    """All modalities by the joint encoder, one by its own, several by the product of theirs."""
    if len(data.data) in (1, len(theirs.encoders)):
        return _joint_or_single(theirs, data)
    coded = [theirs.encoders[name](x) for name, x in data.data.items()]
    fused = modules("multivae.models.base.base_utils").stable_poe(
        torch.stack([q.embedding for q in coded]), torch.stack([q.log_covariance for q in coded])
    )
    return gaussian(fused)


def of_telbo(theirs: Any, data: Any) -> Posterior:
    """All modalities by the joint encoder, one by its own."""
    if len(data.data) in (1, len(theirs.encoders)):
        return _joint_or_single(theirs, data)
    raise CannotBear(
        f"model 'multivae:TELBO' has no posterior given {', '.join(sorted(data.data))}: the package takes one modality "
        "or all."
    )


def of_jnf(theirs: Any, data: Any) -> Posterior:
    """All modalities by the joint encoder, one by its flow, several by Hamiltonian Monte Carlo."""
    if len(data.data) == len(theirs.encoders):
        return _read(theirs.joint_encoder(data.data))
    if len(data.data) > 1:
        return Hamiltonian(theirs, data)
    ((name, x),) = data.data.items()
    return Flowed(_read(theirs.encoders[name](x)), theirs.flows[name])


def _joint_or_single(theirs: Any, data: Any) -> Gaussian:
    if len(data.data) == len(theirs.encoders):
        return _read(theirs.joint_encoder(data.data))
    ((name, x),) = data.data.items()
    return _read(theirs.encoders[name](x))


def _read(coded: Any) -> Gaussian:
    return gaussian((coded.embedding, coded.log_covariance))


@final
@dataclass(frozen=True)
class Flowed(Transported):
    """A flow's density around a Gaussian: log q(z|x) = log N(f(z); x) + log |det df/dz|."""

    base: Gaussian
    flow: Any

    @property
    def shape(self) -> tuple[int, int]:
        """(B, D)."""
        rows, dim = self.base.location.shape
        return rows, dim

    def transport(self, eps: Tensor) -> Tensor:
        """Standard normal noise `[K, B, D]` to samples."""
        before = self.base.transport(eps)
        found: Tensor = self.flow.inverse(before.reshape(-1, before.shape[-1])).out
        return found.reshape(before.shape)

    def rows(self, index: Tensor) -> "Flowed":
        return Flowed(self.base.rows(index), self.flow)

    def log_prob(self, z: Tensor) -> Tensor:
        mapped = self.flow(z.reshape(-1, z.shape[-1]))
        stretch: Tensor = mapped.log_abs_det_jac.reshape(z.shape[:-1])
        return self.base.log_prob(mapped.out.reshape(z.shape)) + stretch


@final
@dataclass(frozen=True)
class Hamiltonian(Posterior):
    """Samples of the package's own `encode`: 100 steps of Hamiltonian Monte Carlo each."""

    theirs: Any
    data: Any

    def rsample(self, k: int, noise: Noise) -> Tensor:
        first = next(iter(self.data.data.values()))
        with drawing_from(noise, len(first), like=next(self.theirs.parameters())), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="non-inplace resize is deprecated")
            z: Tensor = self.theirs.encode(self.data, list(self.data.data), N=k).z
        return z.reshape(k, len(first), -1)


# Two levels -----------------------------------------------------------------------------------------------------------
def of_nexus(theirs: Any, data: Any) -> Posterior:
    """The upper latent."""
    return Upper(theirs, {name: _read(theirs.encoders[name](x)) for name, x in sorted(data.data.items())})


@final
@dataclass(frozen=True)
class Upper(Posterior):
    """Of the integral over the lower latents: q(z|x) = E[ q(z | mean message of z_1 .. z_n) ], z_m ~ q(z_m|x_m)."""

    theirs: Any
    lower: Mapping[str, Gaussian]

    def rsample(self, k: int, noise: Noise) -> Tensor:
        messages = []
        for name, q in self.lower.items():
            z = q.rsample(k, noise.child(name))
            messages.append(self.theirs.top_encoders[name](z.flatten(0, 1)).embedding)
        top = _read(self.theirs.joint_encoder(torch.stack(messages).mean(0)))
        eps = noise.normal("z", (k, len(top.location) // k, top.location.shape[-1]))
        return top.transport(eps.flatten(0, 1).unsqueeze(0))[0].reshape(eps.shape)


POSTERIORS: Mapping[str, Callable[[Any, Any], Posterior]] = {
    "CMVAE": of_cmvae,
    "CRMVAE": of_crmvae,
    "DMVAE": of_dmvae,
    "JMVAE": of_jmvae,
    "JNF": of_jnf,
    "MMVAE": of_mmvae,
    "MMVAEPlus": of_mmvaeplus,
    "MVAE": of_mvae,
    "MVTCAE": of_mvtcae,
    "MoPoE": of_mopoe,
    "Nexus": of_nexus,
    "TELBO": of_telbo,
}
"""Name of the class -> (model, data set of the observed modalities) to q(z | x_S)."""
