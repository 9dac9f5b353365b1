"""A prior over z with clusters, p(z) = sum_c p(c) p(z|c), and how many of them to keep.

p(z|c) is a Normal or Laplace of scale 1 around the cluster's centre. With q(c|z) = p(c|z) = p(c) p(z|c) / p(z),

    sum_c q(c|z) [ log p(c) + log p(z|c) - log q(c|z) ] = log p(z),

which is the clusters' whole part in CMVAE's bound (Palumbo, Laguna, Chopard & Vogt, Deep Generative Clustering with
Multimodal Diffusion Variational Autoencoders, ICLR 2024).

How many clusters the data need is decided after training. Starting from all C, the criterion

    beta * mean H(q(c|z)) / log C  -  mean log p(z) / d                     (means over rows and their modalities' z)

is written down, and the cluster with the least mass is left out, the others' p(c) growing in proportion; then again,
down to two. Kept are the clusters for which the criterion was least. A row votes for the cluster that most of its
modalities assign it to, with its likeliest cluster's probability (averaged over its modalities); the mass of a cluster
is the sum of its votes. That is the authors' procedure but for the divisor of the entropy: theirs is the log of the
number of clusters whose probability is not zero in floating point, once 1e-20 was added to all (MultiVae: without
that); here C counts the clusters that are left.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from mmbench.errors import InvalidSetting
from mmbench.models.posteriors import DiagonalPrior, Distribution, diagonal
from mmbench.seeding import Noise

__all__ = ["ClusteredPrior", "Clusters", "Pruning", "pruned"]


@final
@dataclass(frozen=True)
class Clusters(Distribution):
    """The mixture p(z) with log p(c) `[C]` and centres `[C, d]`; a cluster that was left out has log p(c) = -inf."""

    name: str
    family: str
    log_weights: Tensor
    centres: Tensor

    def joint(self, z: Tensor) -> Tensor:
        """log p(c) + log p(z|c) of z `[K, B, d]`: `[C, K, B]`."""
        centres = self.centres[:, None, None]
        return self.log_weights[:, None, None] + diagonal(self.family, centres, torch.ones_like(centres)).log_prob(z)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.joint(z).logsumexp(0)

    def assigned(self, z: Tensor) -> Tensor:
        """q(c|z) = p(c|z) of z `[K, B, d]`: `[C, K, B]`."""
        return self.joint(z).softmax(0)

    def sample(self, k: int, rows: int, noise: Noise) -> Tensor:
        """A cluster is drawn for every sample, and z around its centre."""
        cumulated = self.log_weights.softmax(0).cumsum(0)[:, None, None]
        index = (cumulated < noise.uniform("cluster", (k, rows)) * cumulated[-1:]).sum(0)
        centres = self.centres[index.clamp(max=len(self.centres) - 1)]
        eps = noise.normal("around", centres.shape)
        return diagonal(self.family, centres, torch.ones_like(centres)).transport(eps)

    def keeping(self, kept: Tensor) -> "Clusters":
        """The mixture of some clusters alone, booleans `[C]`; the places of the others stay."""
        return replace(self, log_weights=self.log_weights.masked_fill(~kept, -torch.inf).log_softmax(0))


@final
@dataclass(frozen=True)
class ClusteredPrior(Distribution):
    """p(z) with clusters beside an independent prior of all private parts, over `[z | w_1 .. w_M]`."""

    name: str
    clusters: Clusters
    private: DiagonalPrior

    def sample(self, k: int, rows: int, noise: Noise) -> Tensor:
        return torch.cat([self.clusters.sample(k, rows, noise), self.private.sample(k, rows, noise)], -1)

    def log_prob(self, z: Tensor) -> Tensor:
        border = self.clusters.centres.shape[-1]
        return self.clusters.log_prob(z[..., :border]) + self.private.log_prob(z[..., border:])


@dataclass(frozen=True)
class Pruning:
    """Which clusters to keep, booleans `[C]`, and the criterion of each number of clusters that was tried."""

    kept: Tensor
    criterion: Mapping[int, float]


def pruned(clusters: Clusters, z: Tensor, *, beta: float = 1.0) -> Pruning:
    """The clusters with the least criterion (see the module's text), among those that leaving out one by one gives.

    Args:
        z: `[M, N, d]`, a sample of the shared latent given each of M modalities, for N rows.
        beta: weight of the normalised entropy; the released procedure takes that of the objective.

    Raises:
        InvalidSetting: fewer than two clusters to begin with.
    """
    kept = clusters.log_weights > -torch.inf
    if kept.sum() < 2:
        raise InvalidSetting(
            f"clusters are left out down to two; the prior has {int(kept.sum())}: raise model.clusters."
        )
    criterion: dict[int, float] = {}
    best = kept
    while (number := int(kept.sum())) >= 2:
        some = clusters.keeping(kept)
        q = some.assigned(z)
        entropy = torch.special.entr(q).sum(0) / math.log(number)
        criterion[number] = float(beta * entropy.mean() - some.log_prob(z).mean() / z.shape[-1])
        if criterion[number] == min(criterion.values()):
            best = kept
        kept = kept & (torch.arange(len(kept), device=kept.device) != _lightest(q, kept))
    return Pruning(best, criterion)


def _lightest(q: Tensor, kept: Tensor) -> Tensor:
    """The kept cluster with the least mass, given q(c|z) `[C, M, N]`."""
    voted = q.argmax(0).mode(0).values
    certainty = q.mean(1).amax(0)
    mass = torch.zeros_like(q[:, 0, 0]).index_add(0, voted, certainty)
    return mass.masked_fill(~kept, torch.inf).argmin()
