"""Encoders of several modalities at once, made of the trunks of the networks that `arch.networks` names.

Each modality has a trunk of its own here, not shared with its own encoder. What is missing is either shown as an input
of zeros (JMVAE-zero), or left out, with the pattern of what is observed told to the network (a collective proposal).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmbench.errors import CannotBear
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks.base import Encoder, ScaleHead, build

__all__ = ["JointEncoder", "JointTrunk"]

WIDTH = 256


class JointTrunk(nn.Module):
    """Features `[B, 256]` of any non-empty set of modalities: each one's trunk, joined by one hidden layer.

    The order in which the modalities are declared does not matter: they are joined in the order of their names.

    Args:
        told: whether the network is told what is observed. If so, missing modalities add no features, and the pattern
            is an input; if not, a missing modality enters as an input of zeros.
    """

    features = WIDTH

    def __init__(self, modalities: Sequence[ModalitySpec], arch: Architecture, *, told: bool) -> None:
        super().__init__()
        self.told = told
        self.shapes = {spec.name: spec.shape for spec in sorted(modalities, key=lambda spec: spec.name)}
        encoders = {spec.name: _encoder(spec, arch) for spec in modalities}
        self.widths = {name: encoders[name].features for name in self.shapes}
        self.trunks = nn.ModuleDict({name: encoders[name].trunk for name in self.shapes})
        inputs = sum(self.widths.values()) + (len(self.shapes) if told else 0)
        self.hidden = nn.Sequential(nn.Linear(inputs, WIDTH), nn.ReLU())

    def forward(self, values: Mapping[str, Tensor], held: Tensor | None = None) -> Tensor:
        """Features of rows; values are `[B, *shape]`.

        Args:
            held: booleans `[M, B]` in the order of the names: what is seen of each row, where rows differ in that.
                Needs a network that is `told`; what is not held has no influence unless rows influence one another.
        """
        like = next(iter(values.values()))
        parts = [self._part(name, values.get(name), like) for name in self.shapes]
        if held is not None:
            parts = [x.where(h.unsqueeze(-1), torch.zeros_like(x)) for x, h in zip(parts, held, strict=True)]
            parts.append(held.T.to(like.dtype))
        elif self.told:
            parts.append(
                torch.cat([like.new_full((1, 1), float(n in values)) for n in self.shapes], -1).expand(len(like), -1)
            )
        features: Tensor = self.hidden(torch.cat(parts, -1))
        return features

    def _part(self, name: str, x: Tensor | None, like: Tensor) -> Tensor:
        if x is None and self.told:
            return like.new_zeros(len(like), self.widths[name])
        features: Tensor = self.trunks[name](like.new_zeros(len(like), *self.shapes[name]) if x is None else x)
        return features


class JointEncoder(nn.Module):
    """Values of any non-empty set of modalities to (location, scale), each `[B, dim]`, scale positive."""

    def __init__(self, modalities: Sequence[ModalitySpec], arch: Architecture, dim: int, *, told: bool = False) -> None:
        super().__init__()
        self.trunk = JointTrunk(modalities, arch, told=told)
        self.location = nn.Linear(WIDTH, dim)
        self.scale = ScaleHead(WIDTH, dim, kind=arch.posterior_scale, floor=1e-4)

    def forward(self, values: Mapping[str, Tensor], held: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`held` as in `JointTrunk`."""
        features = self.trunk(values, held)
        return self.location(features), self.scale(features)


def _encoder(spec: ModalitySpec, arch: Architecture) -> Encoder:
    encoder = build(spec, arch).encoder
    if not isinstance(encoder, Encoder):
        raise CannotBear(f"networks {arch.networks!r} have no trunk for modality {spec.name!r} to build an encoder of.")
    return encoder
