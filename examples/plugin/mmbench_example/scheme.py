"""fading: sensors fail one after the other, the last one first.

A fraction f of the training rows stays complete. Of the others, in random order, equal parts keep the first M - 1
modalities, the first M - 2, ..., the first one alone.
"""

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np

from mmbench.datasets import SCHEMES, Scheme
from mmbench.datasets.schemes import RowClasses, Rows

__all__ = ["Fading"]


@final
@SCHEMES.register("fading")
class Fading(Scheme):
    """The incomplete rows keep the first modalities, in equal parts each number of them."""

    template: ClassVar[str] = "fading"
    description: ClassVar[str] = (
        "a fraction f stays complete, of the rest equal parts keep the first M-1, ..., 1 modalities"
    )

    def patterns(self, names: Sequence[str]) -> Sequence[tuple[str, ...]]:
        return [tuple(names[:count]) for count in range(len(names) - 1, 0, -1)]

    def divide(
        self, rest: np.ndarray, names: Sequence[str], classes: RowClasses | None, rng: np.random.Generator
    ) -> Sequence[Rows]:
        patterns = self.patterns(names)
        return list(zip(patterns, np.array_split(rest, len(patterns)), strict=True))
