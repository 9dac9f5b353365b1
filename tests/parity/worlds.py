"""What is compared on: a few small modalities, and rows of which some modalities are hidden."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmbench.modality import ModalitySpec, Tokens

__all__ = ["BINARY", "THREE", "TWO", "Rows", "World"]


@dataclass(frozen=True)
class World:
    """Modalities with their likelihood, and the size of the latent."""

    modalities: tuple[ModalitySpec, ...]
    likelihood: str = "normal"
    scale: float = 0.7
    rescale: str = "none"
    latent: int = 3

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities, in the order of their declaration."""
        return tuple(spec.name for spec in self.modalities)

    def data(self, rows: int = 5) -> dict[str, Tensor]:
        """Rows of all modalities: zeros and ones for a Bernoulli likelihood, which multivae asks for."""
        source = torch.Generator().manual_seed(3)
        found = {}
        for spec in self.modalities:
            if spec.tokens is not None:
                found[spec.name] = torch.randint(spec.tokens.vocabulary, (rows, *spec.shape), generator=source)
                continue
            x = torch.rand(rows, *spec.shape, generator=source, dtype=torch.float64)
            found[spec.name] = x.round() if self.likelihood == "bernoulli" else x
        return found


TWO = World((ModalitySpec("a", "vector", (3,)), ModalitySpec("b", "vector", (4,))))
THREE = World(
    (
        ModalitySpec("a", "image", (1, 4, 4)),
        ModalitySpec("b", "vector", (5,)),
        ModalitySpec("c", "tokens", (3,), Tokens(4, ignored=0)),
    ),
    likelihood="laplace",
    scale=0.75,
    rescale="largest",
)
BINARY = World((ModalitySpec("a", "image", (1, 4, 4)), ModalitySpec("b", "image", (1, 3, 3))), likelihood="bernoulli")


@dataclass(frozen=True)
class Rows:
    """Complete rows of which some modalities are hidden.

    Attributes:
        values: modality -> `[B, *shape]`.
        patterns: what is observed, and of which rows; together all of them, once.
    """

    values: Mapping[str, Tensor]
    patterns: Mapping[tuple[str, ...], Sequence[int]]

    @property
    def count(self) -> int:
        """B."""
        return sum(map(len, self.patterns.values()))

    def observed(self, pattern: tuple[str, ...]) -> dict[str, Tensor]:
        """The values of a pattern's rows, as mmbench gets them."""
        return {name: self.values[name][list(self.patterns[pattern])] for name in pattern}

    def of(self, pattern: tuple[str, ...]) -> "Rows":
        """The rows of one pattern alone."""
        index = list(self.patterns[pattern])
        return Rows({name: x[index] for name, x in self.values.items()}, {pattern: range(len(index))})

    @property
    def masks(self) -> dict[str, Tensor]:
        """Modality -> booleans `[B]`, whether a row holds it."""
        masks = {name: torch.zeros(self.count, dtype=torch.bool) for name in self.values}
        for pattern, index in self.patterns.items():
            for name in pattern:
                masks[name][list(index)] = True
        return masks

    def together(self, parts: Mapping[tuple[str, ...], Tensor]) -> Tensor:
        """Tensors `[K, rows of the pattern, ...]` of some patterns to one `[K, B, ...]`, zero where there is none."""
        first = next(iter(parts.values()))
        whole = first.new_zeros(len(first), self.count, *first.shape[2:])
        for pattern, part in parts.items():
            whole[:, list(self.patterns[pattern])] = part
        return whole
