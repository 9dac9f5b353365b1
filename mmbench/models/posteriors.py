"""Distributions over the latent: diagonal Gaussians and Laplaces, their products and mixtures, priors, and the KL.

Shapes: parameters of a posterior are `[B, D]`, samples `[K, B, D]`, log densities `[K, B]`. What a metric may ask of a
posterior is told by its class: `Normalised` has a density, `Diagonal` a mean and a standard deviation, `Mixture` its
components. Every sample is a transport of standard normal noise, so that a test can inject the noise.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from mmbench.errors import InvalidSetting
from mmbench.seeding import Noise

__all__ = [
    "Density",
    "Diagonal",
    "DiagonalPrior",
    "Distribution",
    "Gaussian",
    "Laplace",
    "Mixture",
    "Normalised",
    "Point",
    "Posterior",
    "Transported",
    "component_samples",
    "diagonal",
    "geometric_mean",
    "kl_gaussian",
    "kl_standard",
    "laplace_from_normal",
    "mixture",
    "product",
    "standard_normal",
]

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Density(ABC):
    """Something with a normalised log density over z."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log density of z `[K, B, D]`: `[K, B]`."""


class Distribution(Density):
    """A distribution over z that does not depend on a batch: a prior, or a stand-in that names itself."""

    name: str

    @abstractmethod
    def sample(self, k: int, rows: int, noise: Noise) -> Tensor:
        """Samples `[K, rows, D]`."""


class Posterior(ABC):
    """q(z | x_S) of a batch. `deterministic` says that all samples of a row are the same."""

    deterministic: ClassVar[bool] = False

    @abstractmethod
    def rsample(self, k: int, noise: Noise) -> Tensor:
        """K reparametrised samples of each row, `[K, B, D]`."""


class Normalised(Posterior, Density):
    """A posterior with a density."""

    @abstractmethod
    def rows(self, index: Tensor) -> "Normalised":
        """The posterior of some rows, `[n]` indices of the batch."""


class Transported(Normalised):
    """A posterior whose samples are a function of as much standard normal noise: what a mixture is made of."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(B, D)."""

    @abstractmethod
    def transport(self, eps: Tensor) -> Tensor:
        """Standard normal noise `[K, B, D]` to samples of this posterior, differentiable in its parameters."""

    @abstractmethod
    def rows(self, index: Tensor) -> "Transported":
        """The posterior of some rows, `[n]` indices of the batch."""

    def rsample(self, k: int, noise: Noise) -> Tensor:
        return self.transport(noise.normal("z", (k, *self.shape)))


class Diagonal(Transported):
    """A posterior that is a location-scale family in each dimension independently.

    Attributes:
        location, scale: `[B, D]`, in the family's own parametrisation.
    """

    location: Tensor
    scale: Tensor

    @property
    def mean(self) -> Tensor:
        """`[B, D]`."""
        return self.location

    @property
    @abstractmethod
    def stddev(self) -> Tensor:
        """Standard deviation `[B, D]`."""

    @property
    def shape(self) -> tuple[int, int]:
        rows, dim = self.location.shape
        return rows, dim

    @abstractmethod
    def detached(self) -> "Diagonal":
        """The same posterior with its parameters cut from the graph."""

    @abstractmethod
    def rows(self, index: Tensor) -> "Diagonal":
        """The posterior of some rows, `[n]` indices of the batch."""


@final
@dataclass(frozen=True)
class Gaussian(Diagonal):
    """N(location, diag(scale^2))."""

    location: Tensor
    scale: Tensor

    @property
    def stddev(self) -> Tensor:
        return self.scale

    def transport(self, eps: Tensor) -> Tensor:
        return self.location + self.scale * eps

    def detached(self) -> "Gaussian":
        return Gaussian(self.location.detach(), self.scale.detach())

    def rows(self, index: Tensor) -> "Gaussian":
        return Gaussian(self.location[index], self.scale[index])

    def log_prob(self, z: Tensor) -> Tensor:
        standardised = (z - self.location) * self.scale.reciprocal()  # cheaper backwards than a division
        return -0.5 * standardised.square().sum(-1) - (self.scale.log() + HALF_LOG_TWO_PI).sum(-1)


@final
@dataclass(frozen=True)
class Laplace(Diagonal):
    """Independent Laplace(location, scale) in each dimension; its standard deviation is sqrt(2) * scale."""

    location: Tensor
    scale: Tensor

    @property
    def stddev(self) -> Tensor:
        return math.sqrt(2) * self.scale

    def transport(self, eps: Tensor) -> Tensor:
        return self.location + self.scale * laplace_from_normal(eps)

    def detached(self) -> "Laplace":
        return Laplace(self.location.detach(), self.scale.detach())

    def rows(self, index: Tensor) -> "Laplace":
        return Laplace(self.location[index], self.scale[index])

    def log_prob(self, z: Tensor) -> Tensor:
        return -((z - self.location) / self.scale).abs().sum(-1) - (2 * self.scale).log().sum(-1)


@final
@dataclass(frozen=True)
class Point(Posterior):
    """A deterministic code `[B, D]`: without a density, and without noise."""

    deterministic: ClassVar[bool] = True
    location: Tensor

    @property
    def mean(self) -> Tensor:
        """`[B, D]`."""
        return self.location

    def rsample(self, k: int, noise: Noise) -> Tensor:
        return self.location.expand(k, *self.location.shape)


@final
@dataclass(frozen=True)
class Mixture(Normalised):
    """A uniform mixture; metrics may stratify over its `components`."""

    components: tuple[Transported, ...]

    def rows(self, index: Tensor) -> "Mixture":
        return Mixture(tuple(q.rows(index) for q in self.components))

    @property
    def log_weights(self) -> Tensor:
        """Log weight of each component, `[E]`."""
        return torch.full((len(self.components),), -math.log(len(self.components)), dtype=torch.float64)

    def log_prob(self, z: Tensor) -> Tensor:
        return torch.stack([q.log_prob(z) for q in self.components]).logsumexp(0) - math.log(len(self.components))

    def rsample(self, k: int, noise: Noise) -> Tensor:
        """One component is drawn for every sample of every row (not one for the batch)."""
        eps = noise.normal("z", (k, *self.components[0].shape))
        chosen = (noise.uniform("component", eps.shape[:2]) * len(self.components)).long()
        drawn = torch.stack([q.transport(eps) for q in self.components])
        index = chosen.clamp(max=len(self.components) - 1)[None, :, :, None].expand(1, *eps.shape)
        return drawn.gather(0, index)[0]


@final
@dataclass(frozen=True)
class DiagonalPrior(Distribution):
    """A Gaussian or Laplace prior with location and scale `[D]`."""

    name: str
    family: str
    location: Tensor
    scale: Tensor

    def sample(self, k: int, rows: int, noise: Noise) -> Tensor:
        return self._as_posterior().transport(noise.normal("prior", (k, rows, len(self.location))))

    def log_prob(self, z: Tensor) -> Tensor:
        return self._as_posterior().log_prob(z)

    def _as_posterior(self) -> Diagonal:
        return diagonal(self.family, self.location, self.scale)


def standard_normal(like: Tensor, dim: int) -> DiagonalPrior:
    """N(0, I) over `dim` dimensions, with the dtype and device of `like`."""
    return DiagonalPrior("standard normal", "normal", like.new_zeros(dim), like.new_ones(dim))


def diagonal(family: str, location: Tensor, scale: Tensor) -> Diagonal:
    """The diagonal distribution of a family's name (`normal` or `laplace`)."""
    return Gaussian(location, scale) if family == "normal" else Laplace(location, scale)


def laplace_from_normal(eps: Tensor) -> Tensor:
    """Standard normal noise to standard Laplace noise: sign(e) * -log(2 Phi(-|e|)), accurate in both tails."""
    log_tail: Tensor = torch.special.log_ndtr(-eps.abs())
    return -eps.sign() * (math.log(2) + log_tail)


def product(experts: Sequence[Gaussian], *, prior_expert: bool, chosen: Tensor | None = None) -> Gaussian:
    """Normalised product of Gaussian experts, times the N(0, I) expert where asked (Wu & Goodman 2018, eq. 2).

    Works in log space: the log variance is `-logsumexp(-log var)` and the mean a softmax-weighted sum of means.
    An absent modality is not in `experts`; there is no infinite variance anywhere.

    Args:
        chosen: booleans `[E, *batch]`, which of the first E experts take part in which row; the others take part in
            every row, and all of them where it is None. Every row needs one.
    """
    if not experts and not prior_expert:
        raise InvalidSetting("a product needs at least one expert, got none.")
    locations = [q.location for q in experts]
    log_precisions = [-2 * q.scale.log() for q in experts]
    if prior_expert:
        locations.append(torch.zeros_like(locations[0]))
        log_precisions.append(torch.zeros_like(locations[0]))
    stacked = torch.stack(log_precisions)
    if chosen is not None:
        taking_part = torch.cat([chosen, chosen.new_ones(len(stacked) - len(chosen), *chosen.shape[1:])])
        stacked = stacked.masked_fill(~taking_part.unsqueeze(-1), -math.inf)
    mean = (torch.softmax(stacked, 0) * torch.stack(locations)).sum(0)
    return Gaussian(mean, (-0.5 * stacked.logsumexp(0)).exp())


def mixture(experts: Sequence[Transported]) -> Normalised:
    """Uniform mixture of experts; a single expert is itself, so that its mean and standard deviation stay known."""
    return experts[0] if len(experts) == 1 else Mixture(tuple(experts))


def component_samples(components: Mapping[str, Diagonal], noise: Noise, *, stratified: bool) -> Tensor:
    """Samples `[K, B, D]` whose mean over K stands for the uniform mixture's expectation, gradients included.

    Stratified: one of every component, K = E. Otherwise K = 1, of a component drawn for every row anew.

    Args:
        components: by name; neither the draw nor the noise depends on their order.
    """
    names = sorted(components)
    if stratified:
        return torch.cat([components[name].rsample(1, noise.child(name)) for name in names])
    return mixture([components[name] for name in names]).rsample(1, noise)


def geometric_mean(experts: Sequence[Gaussian], weights: Sequence[float]) -> Gaussian:
    """Normalised weighted geometric mean, proportional to prod_e q_e^w_e (Sutter et al. 2020), in log space.

    The precision is the weighted sum of the experts' precisions, the mean their precision-weighted mean.

    Args:
        weights: positive, one an expert; they need not sum to one.
    """
    log_precisions = torch.stack([math.log(w) - 2 * q.scale.log() for q, w in zip(experts, weights, strict=True)])
    mean = (log_precisions.softmax(0) * torch.stack([q.location for q in experts])).sum(0)
    return Gaussian(mean, (-0.5 * log_precisions.logsumexp(0)).exp())


def kl_gaussian(q: Gaussian, p: Gaussian) -> Tensor:
    """KL(q || p) of diagonal Gaussians, `[B]`."""
    ratio = (q.scale / p.scale).square()
    shift = ((q.location - p.location) / p.scale).square()
    return 0.5 * (ratio + shift - 1 - ratio.log()).sum(-1)


def kl_standard(q: Gaussian) -> Tensor:
    """KL(q || N(0, I)), `[..., D]` to `[...]`."""
    return 0.5 * (q.scale.square() + q.location.square() - 1).sum(-1) - q.scale.log().sum(-1)
