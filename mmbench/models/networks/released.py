"""The networks of the released MEME code (thwjoy/meme), for 1x28x28 and 3x32x32 images.

The released SVHN encoder has batch normalisation after every convolution, which mixes rows of different roles and
pseudo-inputs into one statistic; `arch.norm` is `none` by default, `batch` is the released choice, `group` a
row-wise one. Convolutions to and from a single pixel are the linear layers they are.
"""

from typing import final

from torch import Tensor, nn
from torch.nn.functional import batch_norm

from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks.base import (
    COLOUR,
    GREY,
    NETWORKS,
    Coder,
    Encoder,
    channels_last,
    colour_decoder,
    linear_as_convolution,
    norm,
    require_shape,
)

__all__ = ["released"]


@NETWORKS.register("released")
def released(spec: ModalitySpec, arch: Architecture) -> Coder:
    """Perceptrons 784-512-512 for grey digits, convolutions 32-64-128-512 for colour ones."""
    require_shape("released", spec, (GREY, COLOUR))
    return _perceptron(spec, arch) if spec.shape == GREY else _convolutional(arch)


def _perceptron(spec: ModalitySpec, arch: Architecture) -> Coder:
    trunk = nn.Sequential(
        nn.Flatten(), nn.Linear(spec.size, 512), nn.ELU(inplace=True), nn.Linear(512, 512), nn.Softplus()
    )
    decoder = nn.Sequential(
        nn.Linear(arch.latent_dim, 512),
        nn.ReLU(inplace=True),
        nn.Linear(512, 512),
        nn.ReLU(inplace=True),
        nn.Linear(512, spec.size),
    )
    return Coder(Encoder(trunk, 512, arch, floor=1e-3), decoder)


def _convolutional(arch: Architecture) -> Coder:
    trunk = nn.Sequential(
        *(nn.Conv2d(3, 32, 4, 2, 1), *norm(arch.norm, 32), nn.ReLU(inplace=True)),
        *(nn.Conv2d(32, 64, 4, 2, 1), *norm(arch.norm, 64), nn.ReLU(inplace=True)),
        *(nn.Conv2d(64, 128, 4, 2, 1), *norm(arch.norm, 128), nn.ReLU(inplace=True)),
        *(
            nn.Flatten(),
            linear_as_convolution(128 * 16, 512, fan_in=128 * 16),
            *_norm_flat(arch.norm),
            nn.ReLU(inplace=True),
        ),
    )
    decoder = colour_decoder(arch.latent_dim)
    return Coder(channels_last(Encoder(trunk, 512, arch, floor=1e-4)), channels_last(decoder))


@final
class FlatBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of features that takes a batch of one row too, by its running statistics."""

    def forward(self, features: Tensor) -> Tensor:
        if self.training and len(features) == 1:
            return batch_norm(features, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(features)


def _norm_flat(kind: str) -> tuple[nn.Module, ...]:
    return {"none": (), "batch": (FlatBatchNorm(512),), "group": (nn.GroupNorm(8, 512),)}[kind]
