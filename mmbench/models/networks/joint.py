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
from mmbench.models.networks.tokens import embedding_of

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
        encoders = {spec.name: _encoder(spec, arch) for spec in modalities}
        by_name = {spec.name: spec for spec in sorted(modalities, key=lambda spec: spec.name)}
        self.shapes = {name: _input_shape(spec, encoders[name]) for name, spec in by_name.items()}
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
        rows = len(next(iter(values.values())))
        parts = [self._part(name, values.get(name), rows) for name in self.shapes]
        if held is not None:
            parts = [x.where(h.unsqueeze(-1), torch.zeros_like(x)) for x, h in zip(parts, held, strict=True)]
            parts.append(held.T.to(parts[0].dtype))
        elif self.told:
            seen = [self._filled((1, 1), float(name in values)) for name in self.shapes]
            parts.append(torch.cat(seen, -1).expand(rows, -1))
        features: Tensor = self.hidden(torch.cat(parts, -1))
        return features

    def _part(self, name: str, x: Tensor | None, rows: int) -> Tensor:
        if x is None and self.told:
            return self._filled((rows, self.widths[name]), 0.0)
        features: Tensor = self.trunks[name](self._filled((rows, *self.shapes[name]), 0.0) if x is None else x)
        return features

    def _filled(self, shape: tuple[int, ...], value: float) -> Tensor:
        """Floats on the network's device: the values at hand may be tokens."""
        return next(self.hidden.parameters()).new_full(shape, value)


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


def _input_shape(spec: ModalitySpec, encoder: Encoder) -> tuple[int, ...]:
    """Shape of a row that a trunk takes in floats: of tokens, that of their embeddings."""
    embedding = embedding_of(encoder)
    return spec.shape if embedding is None else embedding.input_shape


def _encoder(spec: ModalitySpec, arch: Architecture) -> Encoder:
    encoder = build(spec, arch).encoder
    if not isinstance(encoder, Encoder):
        raise CannotBear(f"networks {arch.networks!r} have no trunk for modality {spec.name!r} to build an encoder of.")
    return encoder
