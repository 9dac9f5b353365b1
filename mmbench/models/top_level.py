"""The top level of Nexus: messages of the modalities' codes z_m, their mean, a shared z_s, and codes from z_s again.

As a generative model it is

    p(z_s) = N(0, I),    p(z_m | z_s) = N(g_m(z_s), s^2 I),

and given the codes of the observed modalities S, z_s follows q(z_s | mean_{m in S} f_m(z_m)), and the codes of all
others follow p(z_m | z_s). The flat latent is [z_s | z_1 .. z_M], the codes in name order.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from mmbench.models.base import Layout
from mmbench.models.networks import ScaleHead
from mmbench.models.posteriors import Distribution, Gaussian, Normalised, Posterior
from mmbench.models.private import size_of
from mmbench.seeding import Noise

__all__ = ["FilledByMeans", "FilledPosterior", "TopLevel", "TopLevelPrior"]


@final
class TopLevel(nn.Module):
    """f_m, q(z_s | c) and g_m.

    Args:
        layout: z_s as the shared part, z_m as the private ones.
        width: size of the messages and of all hidden layers.
        scale: s.
        posterior_scale: kind of the scale of q(z_s | c) (see `ScaleHead`).
    """

    def __init__(self, layout: Layout, *, width: int, scale: float, posterior_scale: str = "softplus") -> None:
        super().__init__()
        self.layout, self.spread = layout, scale
        shared = size_of(layout.shared)
        self.messages = nn.ModuleDict({name: nn.Linear(size_of(p), width) for name, p in layout.private.items()})
        self.trunk = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.location = nn.Linear(width, shared)
        self.scale = ScaleHead(width, shared, kind=posterior_scale, floor=1e-4)
        self.codes = nn.ModuleDict({name: _decoder(shared, width, size_of(p)) for name, p in layout.private.items()})

    def posterior(self, codes: Mapping[str, Tensor], kept: Tensor | None = None) -> Gaussian:
        """q(z_s | c), c the mean of the messages of the codes `[..., d_m]`.

        Args:
            kept: booleans `[len(codes), ...]`: the messages that enter each row's mean, one or more; all where None.
        """
        messages = torch.stack([self.messages[name](code) for name, code in codes.items()])
        if kept is None:
            mean = messages.mean(0)
        else:
            held = kept.unsqueeze(-1)
            mean = messages.where(held, torch.zeros_like(messages)).sum(0) / held.sum(0)
        features = self.trunk(mean)
        return Gaussian(self.location(features), self.scale(features))

    def code(self, name: str, shared: Tensor) -> Gaussian:
        """p(z_name | z_s) for z_s `[..., d_s]`."""
        mean = self.codes[name](shared)
        return Gaussian(mean, torch.full_like(mean, self.spread))

    def joined(self, shared: Tensor, codes: Mapping[str, Tensor], noise: Noise | None) -> Tensor:
        """The flat latent `[K, B, D]` of z_s `[K, B, d_s]` and some codes, the others drawn, or at their means."""
        parts = [shared]
        for name in self.layout.private:
            if name in codes:
                parts.append(codes[name])
                continue
            q = self.code(name, shared)
            shape = q.location.shape
            parts.append(q.location if noise is None else q.transport(noise.child(name).normal("z", shape)))
        return torch.cat(parts, -1)


@final
@dataclass(frozen=True)
class TopLevelPrior(Distribution):
    """p(z_s) prod_m p(z_m | z_s).

    Attributes:
        at_means: whether `sample` puts z_m at g_m(z_s); `log_prob` is the density of the model with its noise.
        name: says which of the two it samples.
    """

    top: TopLevel
    at_means: bool
    name: str

    def sample(self, k: int, rows: int, noise: Noise) -> Tensor:
        shared = noise.normal("prior", (k, rows, size_of(self.top.layout.shared)))
        return self.top.joined(shared, {}, None if self.at_means else noise.child("codes"))

    def log_prob(self, z: Tensor) -> Tensor:
        layout = self.top.layout
        shared = z[..., layout.shared]
        total = -0.5 * (shared.square() + math.log(2 * math.pi)).sum(-1)
        for name, part in layout.private.items():
            total = total + self.top.code(name, shared).log_prob(z[..., part])
        return total


@final
@dataclass(frozen=True)
class FilledPosterior(Normalised):
    """prod_{m in S} q_m(z_m) q(z_s | c(z_S)) prod_{m not in S} p(z_m | z_s), a density.

    Attributes:
        observed: q_m of the modalities in S, parameters `[B, d_m]`, in name order.
    """

    top: TopLevel
    observed: Mapping[str, Gaussian]

    def rsample(self, k: int, noise: Noise) -> Tensor:
        return self.top.joined(*self.above(k, noise), noise.child("filled"))

    def above(self, k: int, noise: Noise) -> tuple[Tensor, dict[str, Tensor]]:
        """Samples of z_s `[K, B, d_s]`, and the codes of S that it was inferred from."""
        codes = {name: q.rsample(k, noise.child(name)) for name, q in self.observed.items()}
        q = self.top.posterior(codes)
        return q.transport(noise.child("top").normal("z", q.location.shape)), codes

    def log_prob(self, z: Tensor) -> Tensor:
        layout = self.top.layout
        shared = z[..., layout.shared]
        codes = {name: z[..., part] for name, part in layout.private.items()}
        total = self.top.posterior({name: codes[name] for name in self.observed}).log_prob(shared)
        for name, code in codes.items():
            q = self.observed.get(name) or self.top.code(name, shared)
            total = total + q.log_prob(code)
        return total

    def rows(self, index: Tensor) -> "FilledPosterior":
        return replace(self, observed={name: q.rows(index) for name, q in self.observed.items()})


@final
@dataclass(frozen=True)
class FilledByMeans(Posterior):
    """The same with z_m = g_m(z_s) for all m not in S: samples without a density."""

    drawn: FilledPosterior

    def rsample(self, k: int, noise: Noise) -> Tensor:
        return self.drawn.top.joined(*self.drawn.above(k, noise), None)


def _decoder(inputs: int, width: int, outputs: int) -> nn.Sequential:
    first = (nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    return nn.Sequential(*first, nn.Linear(width, outputs))
