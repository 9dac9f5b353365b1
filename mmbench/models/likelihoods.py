"""Likelihoods of the modalities in closed form, without distribution objects in the inner loop.

A decoder gives raw outputs; the likelihood knows how they become parameters: an image's mean is the sigmoid of the
output (logits for Bernoulli), a vector's mean is the output itself, tokens have a score for each of the vocabulary.
Log probabilities are summed over the values of a row and never averaged. Weights of modalities (rescaling) belong to
objectives and never stand in here.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from mmbench.errors import CannotBear
from mmbench.modality import ModalitySpec
from mmbench.models.posteriors import HALF_LOG_TWO_PI, laplace_from_normal
from mmbench.seeding import Noise

__all__ = [
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "LaplaceLikelihood",
    "Likelihood",
    "NormalLikelihood",
    "likelihood_of",
    "output_shape",
    "rescaling",
]


class Likelihood(ABC):
    """p(x | z) of one modality with batch shape `[K, B]` and event shape `[*shape]`."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """`[K, B, *shape]`: what coherence decodes and grids show; of tokens the most probable ones, as integers."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """Log likelihood of x `[B, *shape]`, summed over the event: `[K, B]`."""

    @abstractmethod
    def sample(self, noise: Noise) -> Tensor:
        """One draw `[K, B, *shape]`."""

    def error(self, x: Tensor) -> Tensor:
        """How far the mean is from x `[B, *shape]`, for models without a likelihood: `[K, B]`.

        The squared error averaged over a row's values; of tokens the negative log likelihood, averaged over those that
        count.
        """
        return (self.mean - x).square().flatten(2).mean(-1)


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


@final
@dataclass(frozen=True)
class CategoricalLikelihood(Likelihood):
    """A categorical distribution over the vocabulary at each place, with scores `[K, B, L, V]`.

    Places whose token in x is `ignored` (the padding) add nothing, whatever is predicted there.
    """

    scores: Tensor
    ignored: int | None = None

    @property
    def mean(self) -> Tensor:
        return self.scores.argmax(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        k, rows, length, vocabulary = self.scores.shape
        wanted = x.long().expand(k, rows, length).reshape(-1)
        nothing = -100 if self.ignored is None else self.ignored
        loss = cross_entropy(self.scores.reshape(-1, vocabulary), wanted, ignore_index=nothing, reduction="none")
        return -loss.view(k, rows, length).sum(-1)

    def sample(self, noise: Noise) -> Tensor:
        rising = self.scores.softmax(-1).cumsum(-1)
        uniform = noise.uniform("x", rising.shape[:-1]).to(rising.dtype).unsqueeze(-1)
        return (rising < uniform * rising[..., -1:]).sum(-1)

    def error(self, x: Tensor) -> Tensor:
        return -self.log_prob(x) / self.counted(x).clamp(min=1)

    def counted(self, x: Tensor) -> Tensor:
        """How many places of each row of x `[B, L]` count: `[B]`."""
        return (x != self.ignored).sum(-1) if self.ignored is not None else torch.full_like(x[:, 0], x.shape[1])


def output_shape(spec: ModalitySpec) -> tuple[int, ...]:
    """Shape of a decoder's raw output for one row: that of the row, and of tokens `(L, V)`."""
    return spec.shape if spec.tokens is None else (*spec.shape, spec.tokens.vocabulary)


def likelihood_of(spec: ModalitySpec, family: str, scale: float, output: Tensor) -> Likelihood:
    """The likelihood of a modality from its decoder's raw output `[K, B, *output_shape(spec)]`.

    Tokens are categorical; `family` and `scale` are for images and vectors.

    Raises:
        CannotBear: a Bernoulli likelihood of a vector.
    """
    if spec.tokens is not None:
        return CategoricalLikelihood(output, spec.tokens.ignored)
    if family == "bernoulli":
        if spec.kind != "image":
            raise CannotBear(f"a Bernoulli likelihood needs values in [0, 1]; {spec.name!r} is a vector: use normal.")
        return BernoulliLikelihood(output)
    location = torch.sigmoid(output) if spec.kind == "image" else output
    return LaplaceLikelihood(location, scale) if family == "laplace" else NormalLikelihood(location, scale)


def rescaling(modalities: Sequence[ModalitySpec], kind: str) -> dict[str, float]:
    """Weights lambda_m of the log likelihoods in objectives: 1, or max_n D_n / D_m (`largest`, as MMVAE).

    D_m is the number of values of a row, of tokens their number L.
    """
    largest = max(spec.size for spec in modalities)
    return {spec.name: largest / spec.size if kind == "largest" else 1.0 for spec in modalities}


def _event_sum(value: Tensor) -> Tensor:
    return value.flatten(2).sum(-1)


def _event_size(x: Tensor) -> int:
    return math.prod(x.shape[1:])
