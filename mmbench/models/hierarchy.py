"""A latent of several levels, z = (z_1 .. z_L), whose distributions go down from z_L to z_1, one level after another.

The flat latent is [z_1 | z_2 | .. | z_L], so that what lies above a level is what stands to the right of it. With

    p(z) = p(z_L) prod_{l < L} p(z_l | z_{>l}),      p(z_L) = N(0, I),
    q(z) = prod_l q(z_l | z_{>l}),                   q(z_l | z_{>l}) ~ p(z_l | z_{>l}) prod_m q_m(z_l | z_{>l}),

where ~ means normalised, every factor is a diagonal Gaussian, though neither p(z) nor q(z) is one for L > 1. The KL of
q and p is the sum over levels of E_q[KL(q(z_l | z_{>l}) || p(z_l | z_{>l}))], of which a sample of the levels above
gives an unbiased estimate with the inner KL in closed form.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from mmbench.errors import InvalidSetting
from mmbench.models.networks import ScaleHead
from mmbench.models.posteriors import Distribution, Gaussian, Normalised, kl_gaussian, product
from mmbench.seeding import Noise

__all__ = ["Expert", "LevelNetwork", "TopDownPosterior", "TopDownPrior", "levels_of"]

WIDTH = 256


def levels_of(dim: int, count: int, *, model: str) -> tuple[slice, ...]:
    """Slices of z_1 .. z_L, as equal as can be; the lowest levels get what is left.

    Raises:
        InvalidSetting: fewer dimensions than levels.

    >>> levels_of(8, 3, model="mhvae")
    (slice(0, 3, None), slice(3, 6, None), slice(6, 8, None))
    """
    if dim < count:
        raise InvalidSetting(
            f"arch.latent_dim={dim} is too small for the {count} levels of model {model!r}; lower model.levels, or use "
            f"at least {count} dimensions."
        )
    each, left = divmod(dim, count)
    edges = [level * each + min(level, left) for level in range(count + 1)]
    return tuple(slice(start, stop) for start, stop in pairwise(edges))


@final
class LevelNetwork(nn.Module):
    """The Gaussian of z_l given z_{>l}, and of an expert given features of its modality too: one hidden layer.

    What the features add to the hidden layer does not depend on z_{>l}, so `hint` gives it once for all samples.

    Args:
        above, dim: dimensions of z_{>l} and of z_l.
        features: how many there are of the modality; 0 for the prior.
        scale: kind of scale (see `ScaleHead`).
    """

    def __init__(self, above: int, dim: int, *, features: int = 0, scale: str = "softplus") -> None:
        super().__init__()
        self.above = nn.Linear(above, WIDTH)
        self.hint = nn.Linear(features, WIDTH, bias=False) if features else None
        self.location = nn.Linear(WIDTH, dim)
        self.scale = ScaleHead(WIDTH, dim, kind=scale, floor=1e-4)

    def forward(self, above: Tensor, hint: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z_{>l} `[K, B, above]` and what the features add `[B, 256]` to location and scale `[K, B, dim]`."""
        hidden = self.above(above)
        hidden = torch.relu(hidden if hint is None else hidden + hint)
        return self.location(hidden), self.scale(hidden)


@final
@dataclass(frozen=True)
class Expert:
    """What one modality says of every level: q_m(z_l | x_m, z_{>l}).

    Attributes:
        top: its Gaussian of z_L, `[B, d_L]`.
        networks: those of z_1 .. z_{L-1}.
        hints: what its features add to each of them, `[B, 256]`.
    """

    top: Gaussian
    networks: Sequence[nn.Module] = ()
    hints: Sequence[Tensor] = ()

    def at(self, level: int, above: Tensor) -> Gaussian:
        """Parameters `[K, B, d]` of z_level, counted from 0 for z_1, given all above it `[K, B, .]`."""
        if level == len(self.networks):
            shape = (*above.shape[:-1], self.top.location.shape[-1])
            return Gaussian(self.top.location.expand(shape), self.top.scale.expand(shape))
        return Gaussian(*self.networks[level](above, self.hints[level]))

    def rows(self, index: Tensor) -> "Expert":
        """The same of some rows, `[n]` indices of the batch."""
        return replace(self, top=self.top.rows(index), hints=[hint[index] for hint in self.hints])


@final
@dataclass(frozen=True)
class TopDownPrior(Distribution):
    """p(z): N(0, I) for z_L, and below it the Gaussians that `networks` give.

    Attributes:
        levels: where each level stands in the flat latent, z_1 first.
        networks: those of z_1 .. z_{L-1}.
    """

    levels: tuple[slice, ...]
    networks: Sequence[nn.Module]
    name: str = "top-down"

    def at(self, level: int, above: Tensor) -> Gaussian:
        """Parameters `[K, B, d]` of z_level, counted from 0 for z_1, given all above it `[K, B, .]`."""
        if level == len(self.networks):
            part = self.levels[level]
            zeros = above.new_zeros(*above.shape[:-1], part.stop - part.start)
            return Gaussian(zeros, torch.ones_like(zeros))
        return Gaussian(*self.networks[level](above))

    def sample(self, k: int, rows: int, noise: Noise) -> Tensor:
        eps = noise.normal("prior", (k, rows, self.levels[-1].stop))
        z = eps[..., :0]
        for level in reversed(range(len(self.levels))):
            z = torch.cat([self.at(level, z).transport(eps[..., self.levels[level]]), z], -1)
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        parts = [self.at(i, z[..., part.stop :]).log_prob(z[..., part]) for i, part in enumerate(self.levels)]
        return torch.stack(parts).sum(0)


@final
@dataclass(frozen=True)
class TopDownPosterior(Normalised):
    """q(z | x_S): at every level the normalised product of the prior given the levels above and of the experts of S."""

    prior: TopDownPrior
    experts: tuple[Expert, ...]

    def rsample(self, k: int, noise: Noise) -> Tensor:
        return self.descend(k, noise)[0]

    def descend(self, k: int, noise: Noise, chosen: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Samples `[K, B, D]`, and for z_1 .. z_L KL(q || p) of the level given the levels above it, `[K, B]`.

        Args:
            chosen: booleans `[E, K, B]`: which experts take part in which sample; all where None.
        """
        rows = len(self.experts[0].top.location)
        eps = noise.normal("z", (k, rows, self.prior.levels[-1].stop))
        z, apart = eps[..., :0], []
        for level in reversed(range(len(self.prior.levels))):
            q, p = self._at(level, z, chosen)
            apart.append(kl_gaussian(q, p))
            z = torch.cat([q.transport(eps[..., self.prior.levels[level]]), z], -1)
        return z, apart[::-1]

    def log_prob(self, z: Tensor) -> Tensor:
        parts = [self._at(i, z[..., part.stop :])[0].log_prob(z[..., part]) for i, part in enumerate(self.prior.levels)]
        return torch.stack(parts).sum(0)

    def rows(self, index: Tensor) -> "TopDownPosterior":
        return replace(self, experts=tuple(expert.rows(index) for expert in self.experts))

    def _at(self, level: int, above: Tensor, chosen: Tensor | None = None) -> tuple[Gaussian, Gaussian]:
        """q and p of a level given all above it."""
        p = self.prior.at(level, above)
        return product([*(e.at(level, above) for e in self.experts), p], prior_expert=False, chosen=chosen), p
