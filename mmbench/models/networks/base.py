"""What a network is to a model: a coder, that is an encoder to location and scale and a decoder to raw outputs.

Rows never influence one another in a decoder (no batch normalisation), so that samples may be scored in any grouping.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from mmbench.errors import CannotBear
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks.doubling import DoublingConvolution
from mmbench.registry import Registry

__all__ = [
    "COLOUR",
    "GREY",
    "NETWORKS",
    "Coder",
    "Encoder",
    "ScaleHead",
    "build",
    "channels_last",
    "colour_decoder",
    "linear_as_convolution",
    "norm",
    "require_shape",
]


GREY, COLOUR = (1, 28, 28), (3, 32, 32)
KINDS = {"image": "images", "vector": "vectors", "tokens": "rows of tokens"}


@dataclass(frozen=True)
class Coder:
    """One modality's networks.

    Attributes:
        encoder: x `[B, *shape]` to (location, scale), each `[B, D]`, scale positive; one of tokens takes embeddings
            too (see `tokens`).
        decoder: z `[N, D]` to raw outputs of `N * prod(shape)` values (of tokens: `N * L * V`); the likelihood gives
            them their meaning.
    """

    encoder: nn.Module
    decoder: nn.Module


class ScaleHead(nn.Module):
    """Positive scales `[B, D]` from features: softplus with a floor, or MMVAE's D * softmax (the scales sum to D)."""

    def __init__(self, features: int, dim: int, *, kind: str, floor: float) -> None:
        super().__init__()
        self.linear = nn.Linear(features, dim)
        self.kind, self.floor = kind, floor

    def forward(self, features: Tensor) -> Tensor:
        raw: Tensor = self.linear(features)
        if self.kind == "softmax":
            return raw.softmax(-1) * raw.shape[-1] + self.floor
        return softplus(raw).clamp(min=self.floor)


class Encoder(nn.Module):
    """A trunk of `features` features with a linear head for the location and a scale head."""

    def __init__(self, trunk: nn.Module, features: int, arch: Architecture, *, floor: float) -> None:
        super().__init__()
        self.trunk, self.features = trunk, features
        self.location = nn.Linear(features, arch.latent_dim)
        self.scale = ScaleHead(features, arch.latent_dim, kind=arch.posterior_scale, floor=floor)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(x)
        return self.location(features), self.scale(features)


Builder = Callable[[ModalitySpec, Architecture], Coder]
NETWORKS: Registry[Builder] = Registry("network", package="mmbench.models.networks", group="mmbench.networks")


def build(spec: ModalitySpec, arch: Architecture) -> Coder:
    """The coder that `arch.networks` names, for one modality."""
    return NETWORKS[arch.networks](spec, arch)


def require_shape(name: str, spec: ModalitySpec, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Raise `CannotBear` unless the modality has one of the shapes that the networks `name` are made for."""
    if spec.shape not in shapes:
        made_for = " and ".join("x".join(map(str, shape)) for shape in shapes)
        raise CannotBear(
            f"networks {name!r} take {KINDS[spec.kind]} of {made_for}, modality {spec.name!r} is "
            f"{'x'.join(map(str, spec.shape))}; use arch.networks=small, or full-size images where the dataset has "
            "them (data.size=full)."
        )


def norm(kind: str, channels: int) -> tuple[nn.Module, ...]:
    """The layer that `arch.norm` names, after a convolution to `channels`; none where that is `none`."""
    return {"none": (), "batch": (nn.BatchNorm2d(channels),), "group": (nn.GroupNorm(8, channels),)}[kind]


def channels_last(module: nn.Module) -> nn.Module:
    """Hold convolution weights with channels last: the same numbers, decoded 2.3 times as fast on a CPU."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # torch's types lack it


def colour_decoder(latent_dim: int) -> nn.Sequential:
    """z `[N, D]` to raw 3x32x32 outputs by 4x4 transposed convolutions 128-64-32-3 (Table 8b, the released code)."""
    return nn.Sequential(
        *(
            linear_as_convolution(latent_dim, 128 * 16, fan_in=128 * 16),
            nn.Unflatten(1, (128, 4, 4)),
            nn.ReLU(inplace=True),
        ),
        *(nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.ReLU(inplace=True)),
        *(nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(inplace=True)),
        DoublingConvolution(32, 3),
    )


def linear_as_convolution(inputs: int, outputs: int, *, fan_in: int) -> nn.Linear:
    """A convolution on (or to) a single pixel as the linear layer it is, with the convolution's initialisation.

    torch draws a convolution's weights and biases from U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
    """
    layer = nn.Linear(inputs, outputs)
    bound = 1 / math.sqrt(fan_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound)
        layer.bias.uniform_(-bound, bound)
    return layer
