"""Likelihoods of the modalities in closed form, without distribution objects in the inner loop.

A decoder gives raw outputs; the likelihood knows how they become parameters: an image's mean is the sigmoid of the
output (logits for Bernoulli), a vector's mean is the output itself. Log probabilities are summed over the values of a
row and never averaged. Weights of modalities (rescaling) belong to objectives and never stand in here.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mmbench.errors import CannotBear
from mmbench.modality import ModalitySpec
from mmbench.models.posteriors import HALF_LOG_TWO_PI, laplace_from_normal
from mmbench.seeding import Noise

__all__ = [
    "BernoulliLikelihood",
    "LaplaceLikelihood",
    "Likelihood",
    "NormalLikelihood",
    "likelihood_of",
    "rescaling",
]


class Likelihood(ABC):
    """p(x | z) of one modality with batch shape `[K, B]` and event shape `[*shape]`."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """`[K, B, *shape]`: what coherence decodes and grids show."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log likelihood of x `[B, *shape]`, summed over the event: `[K, B]`."""

    @abstractmethod
    def sample(self, noise: Noise) -> Tensor:
        """One draw `[K, B, *shape]`."""


@final
@dataclass(frozen=True)
class LaplaceLikelihood(Likelihood):
    """Laplace(location, scale) in each value: -log(2b) - |x - mu| / b."""

    location: Tensor
    scale: float

    @property
    def mean(self) -> Tensor:
        return self.location

    def log_prob(self, x: Tensor) -> Tensor:
        distance = _event_sum((x - self.location).abs())
        return -distance / self.scale - _event_size(x) * math.log(2 * self.scale)

    def sample(self, noise: Noise) -> Tensor:
        return self.location + self.scale * laplace_from_normal(noise.normal("x", self.location.shape))


@final
@dataclass(frozen=True)
class NormalLikelihood(Likelihood):
    """N(location, scale^2) in each value."""

    location: Tensor
    scale: float

    @property
    def mean(self) -> Tensor:
        return self.location

    def log_prob(self, x: Tensor) -> Tensor:
        distance = _event_sum((x - self.location).square())
        constant = math.log(self.scale) + HALF_LOG_TWO_PI
        return -0.5 * distance / self.scale**2 - _event_size(x) * constant

    def sample(self, noise: Noise) -> Tensor:
        return self.location + self.scale * noise.normal("x", self.location.shape)


@final
@dataclass(frozen=True)
class BernoulliLikelihood(Likelihood):
    """Bernoulli with logits; values in [0, 1] are taken as probabilities, as the literature does with grey images."""

    logits: Tensor

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    def log_prob(self, x: Tensor) -> Tensor:
        return _event_sum(x * self.logits - softplus(self.logits))

    def sample(self, noise: Noise) -> Tensor:
        return (noise.uniform("x", self.logits.shape) < self.mean).to(self.logits.dtype)


def likelihood_of(spec: ModalitySpec, family: str, scale: float, output: Tensor) -> Likelihood:
    """The likelihood of a modality from its decoder's raw output `[K, B, *shape]`.

    Raises:
        CannotBear: a Bernoulli likelihood of a vector, or a modality without a likelihood here.
    """
    if spec.kind not in ("image", "vector"):
        raise CannotBear(f"modality {spec.name!r} is of kind {spec.kind!r}, for which there is no likelihood yet.")
    if family == "bernoulli":
        if spec.kind != "image":
            raise CannotBear(f"a Bernoulli likelihood needs values in [0, 1]; {spec.name!r} is a vector: use normal.")
        return BernoulliLikelihood(output)
    location = torch.sigmoid(output) if spec.kind == "image" else output
    return LaplaceLikelihood(location, scale) if family == "laplace" else NormalLikelihood(location, scale)


def rescaling(modalities: Sequence[ModalitySpec], kind: str) -> dict[str, float]:
    """Weights lambda_m of the log likelihoods in objectives: 1, or max_n D_n / D_m (`largest`, as MMVAE)."""
    largest = max(spec.size for spec in modalities)
    return {spec.name: largest / spec.size if kind == "largest" else 1.0 for spec in modalities}


def _event_sum(value: Tensor) -> Tensor:
    return value.flatten(2).sum(-1)


def _event_size(x: Tensor) -> int:
    return math.prod(x.shape[1:])
