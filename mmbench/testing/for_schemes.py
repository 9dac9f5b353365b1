"""What every observation scheme promises, for two and for four modalities."""

import math

import numpy as np

from mmbench.datasets.schemes import PLACE, RowClasses, Scheme
from mmbench.errors import CannotBear, InvalidSetting
from mmbench.seeding import generator
from mmbench.testing.contract import collector, promise

__all__ = ["CHECKS"]

Kind = type[Scheme]
CHECKS, check = collector()

FRACTIONS = (1.0, 0.5, 0.29, 0.0625)
TABLES = (("a", "b"), ("a", "b", "c", "d"))
ROWS = 203
CLASSES = RowClasses(np.arange(ROWS) % 7, 7)


def _made(kind: Kind, names: tuple[str, ...]) -> Scheme:
    return kind(names[1] if PLACE in kind.template else None)


def _assigned(kind: Kind, names: tuple[str, ...], f: float, seed: int = 0) -> list[tuple[tuple[str, ...], np.ndarray]]:
    return list(_made(kind, names).assign(ROWS, names, CLASSES, f, generator(seed, "scheme")))


@check
def parts_are_disjoint_and_within_the_table(kind: Kind) -> None:
    """No row stands in two parts, none is empty, every index is a row."""
    for names in TABLES:
        for f in FRACTIONS:
            parts = _assigned(kind, names, f)
            rows = np.concatenate([rows for _, rows in parts])
            promise(len(np.unique(rows)) == len(rows), f"a row stands in two parts at f = {f}.")
            promise(rows.min() >= 0 and rows.max() < ROWS, f"a row index leaves the table at f = {f}.")
            promise(all(len(rows) for _, rows in parts), f"a part is empty at f = {f}.")


@check
def a_fraction_f_stays_complete(kind: Kind) -> None:
    """floor(f n) rows hold all modalities, and they come first; f = 1 is complete, whatever the scheme."""
    for names in TABLES:
        for f in FRACTIONS:
            parts = _assigned(kind, names, f)
            promise(parts[0][0] == names, f"the complete rows do not come first at f = {f}.")
            complete = sum(len(rows) for observed, rows in parts if observed == names)
            promise(complete == math.floor(f * ROWS), f"{complete} of {ROWS} rows are complete at f = {f}.")
        whole = _assigned(kind, names, 1.0)
        promise(len(whole) == 1 and len(whole[0][1]) == ROWS, "f = 1 leaves rows incomplete.")


@check
def parts_keep_some_of_the_modalities_in_order(kind: Kind) -> None:
    """An incomplete part observes a proper, non-empty subset, in the dataset's order."""
    for names in TABLES:
        for observed, _ in _assigned(kind, names, 0.25)[1:]:
            expected = tuple(name for name in names if name in observed)
            promise(0 < len(observed) < len(names) and observed == expected, f"a part observes {observed}.")


@check
def every_pattern_it_draws_is_one_that_it_names(kind: Kind) -> None:
    """`patterns` holds proper, non-empty subsets, each once, and all that 20 seeds draw."""
    for names in TABLES:
        known = list(_made(kind, names).patterns(names))
        promise(len(known) == len(set(known)), "a pattern is named twice.")
        promise(all(0 < len(p) < len(names) and set(p) <= set(names) for p in known), f"patterns are {known}.")
        for seed in range(20):
            drawn = {observed for observed, _ in _assigned(kind, names, 0.25, seed)[1:]}
            promise(drawn <= set(known), f"{sorted(drawn - set(known))} is drawn, but not among its patterns.")


@check
def rows_without_classes_are_divided_or_refused(kind: Kind) -> None:
    """A scheme that needs classes refuses rows with none or one, unless f = 1; any other draws the same without."""
    for names in TABLES:
        scheme = _made(kind, names)
        for classes in (None, RowClasses(np.zeros(ROWS, np.int64), 1)):
            whole = scheme.assign(ROWS, names, classes, 1.0, generator(0, "scheme"))
            promise(len(whole) == 1, "f = 1 leaves rows incomplete where there are no classes.")
            try:
                parts = scheme.assign(ROWS, names, classes, 0.5, generator(0, "scheme"))
            except CannotBear:
                promise(kind.needs_classes, "rows without classes are refused, but needs_classes is false.")
                continue
            promise(not kind.needs_classes, "needs_classes is true, but rows without classes are divided.")
            same = zip(parts, _assigned(kind, names, 0.5), strict=True)
            promise(all(np.array_equal(a[1], b[1]) for a, b in same), "the classes change what is drawn.")


@check
def the_seed_decides(kind: Kind) -> None:
    """The same seed gives the same rows, another seed others."""
    first, again, other = (_assigned(kind, TABLES[0], 0.5, seed) for seed in (0, 0, 1))
    promise(
        all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True)), "the same seed gave other rows."
    )
    promise(not np.array_equal(first[0][1], other[0][1]), "another seed gave the same rows.")


@check
def a_fraction_outside_its_range_is_refused(kind: Kind) -> None:
    """0, negative, above 1, NaN, and so small that no complete row is left."""
    for f in (0.0, -0.5, 1.5, math.nan, 1e-9):
        try:
            _assigned(kind, TABLES[0], f)
        except InvalidSetting:
            continue
        promise(False, f"f = {f} is accepted.")
