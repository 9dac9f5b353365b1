"""The networks of the MEME paper's Table 8 (the same as MMVAE's): 1x28x28 and 3x32x32 images, vectors, 32 tokens.

Table 8b prints the SVHN input as 1x28x28, a slip for 3x32x32. Table 8d prints a word embedding of 256 values, with
which its convolutions do not end at one pixel; with MMVAE's 128 they do, and 128 it is here. Its encoder has batch
normalisation (`arch.norm=batch`; `none` by default, as in the released networks), and so has its decoder, which has
none here: rows never influence one another in a decoder. Scales have MMVAE's floor of 1e-6.
"""

from itertools import chain, pairwise

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
    linear_as_convolution,
    norm,
    require_shape,
)
from mmbench.models.networks.tokens import TiedScores, TokenEmbedding

__all__ = ["paper"]

CAPTION = (32,)
WORD = 128


@NETWORKS.register("paper")
def paper(spec: ModalitySpec, arch: Architecture) -> Coder:
    """Table 8a (a hidden layer of 400 units) for grey digits, 8b (4x4 convolutions) for colour ones.

    8c (perceptrons of 1024-512-256 units) for vectors, such as the features of an image, and 8d (convolutions over
    places and embedding) for captions of 32 tokens.
    """
    if spec.kind == "vector":
        return _features(spec, arch)
    if spec.kind == "tokens":
        require_shape("paper", spec, (CAPTION,))
        return _caption(spec, arch)
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


def _features(spec: ModalitySpec, arch: Architecture) -> Coder:
    widths = (spec.size, 1024, 512, 256)
    layers = [(nn.Linear(a, b), nn.ELU(inplace=True)) for a, b in pairwise(widths)]
    back = [(nn.Linear(a, b), nn.ELU(inplace=True)) for a, b in pairwise((arch.latent_dim, 256, 512, 1024))]
    trunk = nn.Sequential(nn.Flatten(), *chain.from_iterable(layers))
    decoder = nn.Sequential(*chain.from_iterable(back), nn.Linear(1024, spec.size))
    return Coder(Encoder(trunk, 256, arch, floor=1e-6), decoder)


def _caption(spec: ModalitySpec, arch: Architecture) -> Coder:
    """A caption as an image of one channel, 32 places high and 128 values wide."""
    embedding = TokenEmbedding(spec, WORD)

    def convolution(inputs: int, outputs: int, *, wide: bool) -> tuple[nn.Module, ...]:
        kernel = ((1, 4), (1, 2), (0, 1)) if wide else (4, 2, 1)
        return nn.Conv2d(inputs, outputs, *kernel), *norm(arch.norm, outputs), nn.ReLU(inplace=True)

    trunk = nn.Sequential(
        *(embedding, nn.Unflatten(1, (1, *CAPTION))),
        *convolution(1, 32, wide=False),
        *convolution(32, 64, wide=False),
        *convolution(64, 128, wide=False),
        *convolution(128, 256, wide=True),
        *convolution(256, 512, wide=True),
        nn.Flatten(),
    )

    def upwards(inputs: int, outputs: int, *, wide: bool) -> tuple[nn.Module, ...]:
        kernel = ((1, 4), (1, 2), (0, 1)) if wide else (4, 2, 1)
        return nn.ConvTranspose2d(inputs, outputs, *kernel), nn.ReLU(inplace=True)

    first = linear_as_convolution(arch.latent_dim, 512 * 16, fan_in=512 * 16)
    decoder = nn.Sequential(
        *(first, nn.Unflatten(1, (512, 4, 4)), nn.ReLU(inplace=True)),
        *upwards(512, 256, wide=True),
        *upwards(256, 128, wide=True),
        *upwards(128, 64, wide=False),
        *upwards(64, 32, wide=False),
        *(*upwards(32, 1, wide=False), nn.Flatten(1, 2)),
        TiedScores(embedding),
    )
    return Coder(Encoder(trunk, 512 * 16, arch, floor=1e-6), decoder)
