"""Priors of multivae's models over the flat latent, in our classes.

A joint sample of MMVAE+ has a w_m of its own for each modality here; the package's `generate_from_prior` draws one w
and decodes every modality from it.
"""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from mmbench.models.bridge.posteriors import family_of
from mmbench.models.posteriors import DiagonalPrior, Distribution, standard_normal
from mmbench.seeding import Noise

__all__ = ["Clusters", "prior_of"]


def prior_of(kind: str, theirs: Any, dim: int) -> Distribution:
    """The prior over the flat latent of `dim` dimensions."""
    like, modalities = next(theirs.parameters()), len(theirs.encoders)
    if kind == "MMVAE":
        location, scale = theirs.pz_params
        return _prior(theirs, location[0], scale[0])
    if kind == "MMVAEPlus":  # p(z, w) of one modality: the same p(w) for each
        parts = [(part[0, : theirs.latent_dim], part[0, theirs.latent_dim :]) for part in theirs.pz_params]
        location, scale = (torch.cat([z, *[w] * modalities]) for z, w in parts)
        return _prior(theirs, location, scale)
    if kind == "CMVAE":
        return _clusters(theirs, modalities)
    return standard_normal(like, dim)


def _prior(theirs: Any, location: Tensor, scale: Tensor) -> DiagonalPrior:
    family = family_of(theirs)
    return DiagonalPrior(f"{family} of multivae", family, location, scale)


def _clusters(theirs: Any, modalities: int) -> "Clusters":
    if theirs.model_config.reconstruction_option == "joint_prior":
        private = [(theirs.w_mean_prior, theirs.w_logvar_prior)] * modalities
    else:
        private = [(theirs.r_mean_priors[name], theirs.r_logvars_priors[name]) for name in sorted(theirs.encoders)]
    w = [mean[0] for mean, _ in private], [theirs._log_var_to_std(raw)[0] for _, raw in private]
    components = tuple(
        _prior(theirs, torch.cat([mean[0], *w[0]]), torch.cat([theirs._log_var_to_std(raw)[0], *w[1]]))
        for mean, raw in zip(theirs.mean_clusters, theirs.logvar_clusters, strict=True)
    )
    return Clusters("clusters of multivae", theirs.pc_params.log(), components)


@final
@dataclass(frozen=True)
class Clusters(Distribution):
    """sum_c pi_c p_c(z): `log_weights` `[C]`, and the density of each cluster."""

    name: str
    log_weights: Tensor
    components: tuple[DiagonalPrior, ...]

    def log_prob(self, z: Tensor) -> Tensor:
        each = torch.stack([component.log_prob(z) for component in self.components])
        return (each + self.log_weights.reshape(-1, *[1] * (each.dim() - 1))).logsumexp(0)

    def sample(self, k: int, rows: int, noise: Noise) -> Tensor:
        drawn = torch.stack([component.sample(k, rows, noise) for component in self.components])
        edges = self.log_weights.exp().cumsum(0)
        uniform = noise.uniform("cluster", (k, rows)).to(edges.dtype) * edges[-1]
        chosen = torch.searchsorted(edges, uniform).clamp(max=len(self.components) - 1)
        return drawn.gather(0, chosen[None, :, :, None].expand(1, *drawn.shape[1:]))[0]
