"""Tokens at the two ends of a network: embedded where it begins, scored by the vocabulary where it ends.

An encoder of tokens takes integers `[B, L]`, or floats `[B, L, E]` that already are embeddings: that is where learnable
pseudo-inputs of a modality of tokens live, since integers have no gradient.
"""

from typing import final

import torch
from torch import Tensor, nn

from mmbench.modality import ModalitySpec

__all__ = ["TiedScores", "TokenEmbedding", "embedding_of", "vocabulary_of"]


def vocabulary_of(spec: ModalitySpec) -> int:
    """V of a modality of tokens."""
    assert spec.tokens is not None
    return spec.tokens.vocabulary


@final
class TokenEmbedding(nn.Embedding):
    """Tokens `[B, L]` to their embeddings `[B, L, E]`; floats `[B, L, E]` are embeddings and stay as they are."""

    def __init__(self, spec: ModalitySpec, width: int) -> None:
        super().__init__(vocabulary_of(spec), width)
        self.input_shape = (*spec.shape, width)

    def forward(self, x: Tensor) -> Tensor:
        return x if x.is_floating_point() else super().forward(x.int())


@final
class TiedScores(nn.Module):
    """Embeddings `[N, L, E]` to scores `[N, L, V]` by their products with those of an encoder's tokens."""

    def __init__(self, embedding: TokenEmbedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, self.embedding.weight, self.bias)


def embedding_of(encoder: nn.Module) -> TokenEmbedding | None:
    """The embedding that an encoder begins with; None where it takes its rows as they are."""
    return next((module for module in encoder.modules() if isinstance(module, TokenEmbedding)), None)
