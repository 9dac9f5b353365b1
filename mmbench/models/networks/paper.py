"""The networks of the MEME paper's Table 8a and 8b (the same as MMVAE's), for 1x28x28 and 3x32x32 images.

Table 8b prints the SVHN input as 1x28x28, a slip for 3x32x32. Scales have MMVAE's floor of 1e-6.
"""

from torch import nn

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
    require_shape,
)

__all__ = ["paper"]


@NETWORKS.register("paper")
def paper(spec: ModalitySpec, arch: Architecture) -> Coder:
    """Table 8a (one hidden layer of 400 units) for grey digits, Table 8b (4x4 convolutions) for colour ones."""
    require_shape("paper", spec, (GREY, COLOUR))
    return _perceptron(spec, arch) if spec.shape == GREY else _convolutional(arch)


def _perceptron(spec: ModalitySpec, arch: Architecture) -> Coder:
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(spec.size, 400), nn.ReLU(inplace=True))
    decoder = nn.Sequential(nn.Linear(arch.latent_dim, 400), nn.ReLU(inplace=True), nn.Linear(400, spec.size))
    return Coder(Encoder(trunk, 400, arch, floor=1e-6), decoder)


def _convolutional(arch: Architecture) -> Coder:
    trunk = nn.Sequential(
        *(nn.Conv2d(3, 32, 4, 2, 1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(inplace=True)),
        *(nn.Conv2d(64, 128, 4, 2, 1), nn.ReLU(inplace=True)),
        nn.Flatten(),
    )
    decoder = colour_decoder(arch.latent_dim)
    return Coder(channels_last(Encoder(trunk, 128 * 16, arch, floor=1e-6)), channels_last(decoder))
