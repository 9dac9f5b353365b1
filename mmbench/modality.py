"""What flows through mmbench: modality descriptions, batches of one observation pattern, and training steps.

Absent means absent: a `Batch` holds only the modalities that were observed, and all its rows share one pattern.
There are no masks, fillers or NaN in model code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from mmbench.errors import InvalidSetting

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Batch", "ModalitySpec", "Step", "Tokens"]


@dataclass(frozen=True)
class Tokens:
    """What the numbers of a modality of tokens mean.

    Attributes:
        vocabulary: V; tokens are 0 .. V - 1.
        end: the end mark: what stands behind its first place in a row is no text; None where rows have no end mark.
        ignored: the token that the likelihood passes over, the padding; None where all count.
        words: the text of each token; empty before the files are read where they are not known without.
        joiner: what stands between two words: nothing where tokens are characters.
        hidden: tokens that have no text (padding, end mark).
    """

    vocabulary: int
    end: int | None = None
    ignored: int | None = None
    words: tuple[str, ...] = ()
    joiner: str = " "
    hidden: frozenset[int] = frozenset()

    def text(self, row: "Sequence[int]") -> str:
        """The text of a row of tokens `[L]`, up to its first end mark.

        >>> Tokens(4, end=1, words=("<pad>", "<eos>", "red", "bird"), hidden=frozenset({0, 1})).text([2, 3, 1, 2])
        'red bird'
        """
        before = list(row)
        if self.end is not None and self.end in before:
            before = before[: before.index(self.end)]
        return self.joiner.join(self.words[token] for token in before if token not in self.hidden)


@dataclass(frozen=True)
class ModalitySpec:
    """One modality: its name, what it is, and the shape of one row.

    Attributes:
        name: lower-case, unique in its dataset, used in schemes (`<name>-only`) and scores.
        kind: `image` (uint8 in storage, floats in [0, 1] in models), `vector` (floats, unbounded) or `tokens`.
        shape: shape of one row: `(C, H, W)` for an image, `(D,)` for a vector, `(L,)` for tokens, which are integers
            in storage and in models.
        tokens: what the tokens mean; for the kind `tokens` alone.
    """

    name: str
    kind: Literal["image", "vector", "tokens"]
    shape: tuple[int, ...]
    tokens: Tokens | None = None

    def __post_init__(self) -> None:
        if (self.kind == "tokens") != (self.tokens is not None):
            raise InvalidSetting(f"modality {self.name!r} of kind {self.kind!r} and its tokens {self.tokens} disagree.")

    @property
    def size(self) -> int:
        """Number of values in one row (of tokens: L), the `D_m` of likelihood rescaling."""
        size = 1
        for side in self.shape:
            size *= side
        return size


@dataclass(frozen=True)
class Batch:
    """Rows that share one observation pattern: `values[name]` is `[B, *shape]`, for the observed modalities only."""

    values: "Mapping[str, Tensor]"

    def __post_init__(self) -> None:
        if not self.values:
            raise InvalidSetting("a batch needs at least one observed modality, got none.")
        counts = {name: len(value) for name, value in self.values.items()}
        if len(set(counts.values())) != 1:
            raise InvalidSetting(f"all modalities of a batch need the same number of rows, got {counts}.")
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    @property
    def rows(self) -> int:
        """B, the number of rows."""
        return len(next(iter(self.values.values())))

    @property
    def names(self) -> tuple[str, ...]:
        """The observed modalities, in the dataset's order."""
        return tuple(self.values)


@dataclass(frozen=True)
class Step:
    """The data of one optimiser step: one-pattern batches whose losses are weighted by their rows (eq. 5 of MEME)."""

    parts: tuple[Batch, ...]

    @property
    def rows(self) -> int:
        """Total number of rows."""
        return sum(part.rows for part in self.parts)
