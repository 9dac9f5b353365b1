"""Small networks for any modality: one or two hidden layers of 256 units, made to train in a minute on two cores."""

from torch import nn

from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks.base import NETWORKS, Coder, Encoder
from mmbench.models.networks.tokens import TokenEmbedding, vocabulary_of

__all__ = ["WIDTH", "small"]

WIDTH = 256
TOKEN_WIDTH = 64


@NETWORKS.register("small")
def small(spec: ModalitySpec, arch: Architecture) -> Coder:
    """Two-layer perceptrons of 256 units on the flattened row, for any modality.

    Tokens enter by embeddings of 64 values, and leave by 64 values a place that one layer turns into scores.
    """
    if spec.kind == "tokens":
        length = spec.size * TOKEN_WIDTH
        trunk = nn.Sequential(TokenEmbedding(spec, TOKEN_WIDTH), *_hidden_layers(length))
        last = (nn.Linear(WIDTH, length), nn.ReLU(inplace=True), nn.Unflatten(1, (spec.size, TOKEN_WIDTH)))
        scores = nn.Linear(TOKEN_WIDTH, vocabulary_of(spec))
        return Coder(Encoder(trunk, WIDTH, arch, floor=1e-4), nn.Sequential(*_from_latent(arch), *last, scores))
    trunk = nn.Sequential(*_hidden_layers(spec.size))
    decoder = nn.Sequential(*_from_latent(arch), nn.Linear(WIDTH, spec.size))
    return Coder(Encoder(trunk, WIDTH, arch, floor=1e-4), decoder)


def _hidden_layers(inputs: int) -> tuple[nn.Module, ...]:
    first = (nn.Flatten(), nn.Linear(inputs, WIDTH), nn.ReLU(inplace=True))
    return (*first, nn.Linear(WIDTH, WIDTH), nn.ReLU(inplace=True))


def _from_latent(arch: Architecture) -> tuple[nn.Module, ...]:
    first = (nn.Linear(arch.latent_dim, WIDTH), nn.ReLU(inplace=True))
    return (*first, nn.Linear(WIDTH, WIDTH), nn.ReLU(inplace=True))
