"""Observation schemes: which modalities of which training rows are observed.

A scheme divides the rows of the base pairing table into disjoint parts by observation pattern: `floor(f n)` rows stay
complete, and the scheme says what is left of the others. `f = 1` under any scheme is `complete`. The complete rows
are the first of one permutation, so that for one seed a smaller `f` keeps a subset of what a larger `f` keeps.

The names of schemes may hold a modality: the template `<modality>-only` stands for `mnist-only` and `svhn-only` on a
dataset with these modalities. The modality named is the one that is always present, the subscript of the MEME paper
(the released code names the one that is missing). Schemes that draw what is missing are in `missing`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from mmbench.errors import CannotBear, InvalidSetting, MMBenchError, UnknownName
from mmbench.registry import Registry

__all__ = ["SCHEMES", "RowClasses", "Rows", "Scheme", "complete_rows", "known_schemes", "scheme_of", "template_of"]

Rows = tuple[tuple[str, ...], np.ndarray]
"""The observed modalities, and the rows `[n]` of which they are observed."""

PLACE = "<modality>"


@dataclass(frozen=True)
class RowClasses:
    """Class of every row of a table `[n]`, and the number of classes that the dataset has."""

    of_row: np.ndarray
    count: int


class Scheme(ABC):
    """An observation scheme. Subclasses are final and registered with `@SCHEMES.register(template)`.

    Args:
        modality: what stands for `<modality>` in the template; None where the template has no such place.

    Class attributes:
        template, description: the name as listed, and one sentence on what is observed.
        by_coin: whether what an incomplete row keeps may be chosen anew for each batch (loader option `coin`).
        needs_classes: whether what a row keeps depends on its class.
    """

    template: ClassVar[str]
    description: ClassVar[str]
    by_coin: ClassVar[bool] = False
    needs_classes: ClassVar[bool] = False

    def __init__(self, modality: str | None = None) -> None:
        self.modality = modality

    @property
    def name(self) -> str:
        """The scheme's name with the modality filled in."""
        return self.template.replace(PLACE, self.modality or PLACE)

    @abstractmethod
    def patterns(self, names: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """Every set of modalities that an incomplete row may be left with, in the dataset's order of `names`."""

    @abstractmethod
    def divide(
        self, rest: np.ndarray, names: Sequence[str], classes: RowClasses | None, rng: np.random.Generator
    ) -> Sequence[Rows]:
        """What is observed of the rows that do not stay complete.

        Args:
            rest: these rows, in random order `[n - floor(f n)]`.
            names: the dataset's modalities, in order.
            classes: of every row of the table `[n]`; None where there are none, which only schemes see that do not
                need them.
        """

    def cannot_bear(self, classes: int | None) -> str | None:
        """Why rows of a dataset with so many classes cannot be divided; None where they can."""
        if not self.needs_classes or (classes is not None and classes > 1):
            return None
        held = "no classes" if classes is None else f"{classes} class"
        return (
            f"under scheme {self.name!r} what is missing depends on the class of a row, and the dataset has {held}; "
            "use scheme 'mcar'"
        )

    def assign(
        self, n: int, names: Sequence[str], classes: RowClasses | None, f: float, rng: np.random.Generator
    ) -> tuple[Rows, ...]:
        """Divide `n` rows by observation pattern: disjoint, complete rows first, no empty part.

        Raises:
            InvalidSetting: `f` outside (0, 1], or so small that no row stays complete.
            CannotBear: some rows are incomplete, and the scheme needs classes where there are none, or only one.
        """
        count = complete_rows(f, n)
        if count == 0:
            raise InvalidSetting(f"f = {f} leaves none of the {n} rows complete; use f >= {1 / max(n, 1):.2g}.")
        order = rng.permutation(n)
        parts = [(tuple(names), order[:count])]
        if count < n:
            if reason := self.cannot_bear(None if classes is None else classes.count):
                raise CannotBear(f"{reason}.")
            parts += self.divide(order[count:], names, classes, rng)
        return tuple((observed, rows) for observed, rows in parts if len(rows))


def complete_rows(f: float, n: int) -> int:
    """`floor(f n)` with `f` read as the decimal number that was typed, so that 0.29 of 100 rows are 29."""
    if not (math.isfinite(f) and 0 < f <= 1):
        raise InvalidSetting(f"f must lie in (0, 1], got {f}; it is the fraction of rows that stay complete.")
    return math.floor(Fraction(repr(float(f))) * n)


SCHEMES: Registry[type[Scheme]] = Registry("scheme", package="mmbench.datasets", group="mmbench.schemes", base=Scheme)


@SCHEMES.register("complete")
class Complete(Scheme):
    """All modalities of every row that is used."""

    template = "complete"
    description = "all modalities are observed; for f < 1 the rest of the rows is left out"

    def patterns(self, names: Sequence[str]) -> Sequence[tuple[str, ...]]:
        return ()

    def divide(
        self, rest: np.ndarray, names: Sequence[str], classes: RowClasses | None, rng: np.random.Generator
    ) -> Sequence[Rows]:
        return ()


@SCHEMES.register("<modality>-only")
class Only(Scheme):
    """The incomplete rows keep one modality, always the same."""

    template = "<modality>-only"
    description = "a fraction f stays complete, the rest keeps this modality alone"

    def patterns(self, names: Sequence[str]) -> Sequence[tuple[str, ...]]:
        return [(name,) for name in names if name == self.modality]

    def divide(
        self, rest: np.ndarray, names: Sequence[str], classes: RowClasses | None, rng: np.random.Generator
    ) -> Sequence[Rows]:
        return [(observed, rest) for observed in self.patterns(names)]


@SCHEMES.register("split")
class Split(Scheme):
    """The incomplete rows keep one modality each, in equal parts (sizes differ by one row at most)."""

    template = "split"
    description = "a fraction f stays complete, of the rest an equal part keeps each modality alone"
    by_coin = True

    def patterns(self, names: Sequence[str]) -> Sequence[tuple[str, ...]]:
        return [(name,) for name in names]

    def divide(
        self, rest: np.ndarray, names: Sequence[str], classes: RowClasses | None, rng: np.random.Generator
    ) -> Sequence[Rows]:
        return list(zip(self.patterns(names), np.array_split(rest, len(names)), strict=True))


def known_schemes(modality_names: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """The schemes of a dataset with these modalities: name -> (template, modality)."""
    return {name: (template, modality) for name, template, modality in _named(modality_names)}


def scheme_of(name: str, modality_names: Sequence[str]) -> Scheme:
    """The scheme called `name` on a dataset with these modalities.

    Raises:
        UnknownName: no scheme has this name, or it names a modality that the dataset has not.
        MMBenchError: two schemes have this name, one of them by the name of a modality.
    """
    found = [(template, modality) for known, template, modality in _named(modality_names) if known == name]
    if not found:
        raise UnknownName("scheme", name, known_schemes(modality_names))
    if len(found) > 1:
        raise MMBenchError(
            f"two schemes are named {name!r} here, {' and '.join(repr(template) for template, _ in found)}; rename the "
            "one from outside."
        )
    template, modality = found[0]
    return SCHEMES[template](modality)


def template_of(name: str) -> type[Scheme]:
    """The class behind a scheme's name on whatever dataset: that of `<modality>-only` for `svhn-only`.

    Raises:
        UnknownName: no scheme is called so, whatever the modalities are.
    """
    for template in sorted(SCHEMES, key=lambda template: template != name):  # one of exactly this name comes first
        before, place, after = template.partition(PLACE)
        fits = name.startswith(before) and name.endswith(after) and len(name) > len(before) + len(after)
        if name == template or (place and fits):
            return SCHEMES[template]
    raise UnknownName("scheme", name, SCHEMES)


def _named(modality_names: Sequence[str]) -> Iterator[tuple[str, str, str | None]]:
    """Name, template and modality of each scheme of a dataset with these modalities."""
    for template in SCHEMES:
        for modality in modality_names if PLACE in template else (None,):
            yield template.replace(PLACE, modality or ""), template, modality
