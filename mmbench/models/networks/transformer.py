"""Captions by two layers of self-attention, of torch's own modules; everything else as in the small networks.

Places know their position by a learnable vector each. The decoder writes all places at once from z, as every decoder
here does: given z, tokens are independent. There is no dropout, so that rows and samples stay independent.
"""

from typing import final

import torch
from torch import Tensor, nn

from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks.base import NETWORKS, Coder, Encoder
from mmbench.models.networks.small import small
from mmbench.models.networks.tokens import TokenEmbedding, vocabulary_of

__all__ = ["transformer"]

WIDTH = 64
LAYERS = 2


@NETWORKS.register("transformer")
def transformer(spec: ModalitySpec, arch: Architecture) -> Coder:
    """Self-attention of width 64 over the places of a row of tokens; perceptrons for images and vectors."""
    if spec.kind != "tokens":
        return small(spec, arch)
    length = spec.size
    flat = length * WIDTH
    trunk = nn.Sequential(TokenEmbedding(spec, WIDTH), Attention(length), nn.Flatten())
    decoder = nn.Sequential(
        nn.Linear(arch.latent_dim, flat),
        nn.Unflatten(1, (length, WIDTH)),
        Attention(length),
        nn.Linear(WIDTH, vocabulary_of(spec)),
    )
    return Coder(Encoder(trunk, flat, arch, floor=1e-4), decoder)


@final
class Attention(nn.Module):
    """Layers of self-attention and perceptrons over places `[N, L, E]`, each place told its position."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(length, WIDTH) * 0.1)
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, norm=nn.LayerNorm(WIDTH), enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x + self.positions)
        return found
