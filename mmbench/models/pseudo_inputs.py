"""Pseudo-inputs: learnable rows whose encodings make a mixture over z (Tomczak & Welling, VAE with a VampPrior, 2018).

MEME uses those of a missing modality as its conditional prior (Joy et al. 2022, eq. 4). Tokens have no gradient: their
pseudo-inputs are embeddings, where the encoder begins.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from mmbench.models.bounds import log_mean_exp
from mmbench.models.posteriors import Diagonal, Distribution, Gaussian
from mmbench.seeding import Noise

__all__ = ["PseudoInputMixture", "joined", "mixture_log_prob", "normal_pseudo_inputs"]


@final
@dataclass(frozen=True)
class PseudoInputMixture(Distribution):
    """Uniform mixture of the encodings of all pseudo-inputs of all modalities: MEME's stand-in for a prior."""

    components: tuple[Diagonal, ...]
    name: str = "pseudo-inputs"

    def sample(self, k: int, rows: int, noise: Noise) -> Tensor:
        location = torch.cat([q.location for q in self.components])
        scale = torch.cat([q.scale for q in self.components])
        index = (noise.uniform("component", (k, rows)) * len(location)).long().clamp(max=len(location) - 1)
        eps = noise.normal("prior", (k, rows, location.shape[-1]))
        return location[index] + scale[index] * eps

    def log_prob(self, z: Tensor) -> Tensor:
        return log_mean_exp(torch.stack([mixture_log_prob(q, z) for q in self.components]))


def mixture_log_prob(components: Diagonal, z: Tensor) -> Tensor:
    """log (1/N) sum_i e(z|u_i) for components with parameters `[N, D]` and z `[K, B, D]`: `[K, B]`."""
    return components.log_prob(z.unsqueeze(-2)).logsumexp(-1) - math.log(len(components.location))


def joined(components: Sequence[Gaussian]) -> Gaussian:
    """Components with parameters `[N, D]` of several modalities, one after the other: `[M N, D]`."""
    return Gaussian(torch.cat([q.location for q in components]), torch.cat([q.scale for q in components]))


def normal_pseudo_inputs(shapes: Mapping[str, Sequence[int]], count: int) -> nn.ParameterDict:
    """`count` rows of every modality, drawn from N(0.5, 0.1^2); `shapes` are those of one row as encoders take it."""
    return nn.ParameterDict({m: nn.Parameter(torch.randn(count, *shape) * 0.1 + 0.5) for m, shape in shapes.items()})
