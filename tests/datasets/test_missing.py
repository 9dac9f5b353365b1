"""mcar and mnar: frequencies against the exact conditional probabilities, dependence on the class, and refusals.

The probabilities are computed here from the definition: over all 2^M masks, less those where all or none is missing.
"""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from mmbench.datasets import Dataset
from mmbench.datasets.loader import Loader, LoaderSettings
from mmbench.datasets.missing import proper_subsets
from mmbench.datasets.observation import observe
from mmbench.datasets.schemes import RowClasses, Scheme, scheme_of
from mmbench.errors import CannotBear
from mmbench.seeding import generator

THREE, FIVE = ("a", "b", "c"), ("a", "b", "c", "d", "e")
ROWS = 40_000
CLASSES = RowClasses(np.arange(ROWS) % 4, 4)


def drawn(name: str, names: tuple[str, ...], f: float = 0.25, seed: int = 0) -> dict[tuple[str, ...], np.ndarray]:
    return dict(scheme_of(name, names).assign(ROWS, names, CLASSES, f, generator(seed, "scheme")))


def exact(missing: list[float], names: tuple[str, ...]) -> dict[tuple[str, ...], float]:
    """Probability of what is observed, given that not all are missing and not none."""
    weights = {}
    for mask in itertools.product([False, True], repeat=len(names)):
        if any(mask) and not all(mask):
            left = tuple(n for n, gone in zip(names, mask, strict=True) if not gone)
            weights[left] = float(np.prod([p if gone else 1 - p for p, gone in zip(missing, mask, strict=True)]))
    total = sum(weights.values())
    return {left: weight / total for left, weight in weights.items()}


def p_value(parts: dict[tuple[str, ...], np.ndarray], expected: dict[tuple[str, ...], float], c: int | None) -> float:
    """Chi-square of the incomplete rows (of class c) against the probabilities of their patterns."""
    counts = {
        left: len(rows) if c is None else int((CLASSES.of_row[rows] == c).sum())
        for left, rows in parts.items()
        if left in expected
    }
    found = [counts.get(left, 0) for left in expected]
    return float(chisquare(found, [sum(found) * p for p in expected.values()]).pvalue)


@pytest.mark.statistical
@pytest.mark.parametrize("names", [THREE, FIVE])
def test_mcar_draws_every_proper_subset_equally_often(names: tuple[str, ...]) -> None:
    parts, expected = drawn("mcar", names), exact([0.5] * len(names), names)
    assert len(expected) == 2 ** len(names) - 2 == len(parts) - 1
    assert p_value(parts, expected, None) > 1e-3
    assert p_value(parts, exact([0.5, *[0.48] * (len(names) - 1)], names), None) < 1e-4, (
        "the check must be able to fail"
    )


@pytest.mark.statistical
@pytest.mark.parametrize("names", [THREE, FIVE])
def test_mnar_draws_from_the_conditional_distribution_of_each_class(names: tuple[str, ...]) -> None:
    parts = drawn("mnar", names)
    for c in range(4):
        missing = [0.1 + 0.8 * abs(c / 3 - m / (len(names) - 1)) for m in range(len(names))]
        assert p_value(parts, exact(missing, names), c) > 1e-3
        assert p_value(parts, exact([0.9 * p + 0.05 for p in missing], names), c) < 1e-4, (
            "the check must be able to fail"
        )


@pytest.mark.statistical
@pytest.mark.parametrize(("name", "depends"), [("mnar", True), ("mcar", False), ("split", False)])
def test_only_mnar_depends_on_the_class(name: str, depends: bool) -> None:
    parts = list(drawn(name, THREE).values())[1:]
    counts = np.stack([np.bincount(CLASSES.of_row[rows], minlength=4) for rows in parts])
    assert (chi2_contingency(counts).pvalue < 1e-6) == depends


def test_rows_of_the_first_class_mostly_keep_the_first_modality_and_of_the_last_the_last() -> None:
    parts = drawn("mnar", ("a", "b"))
    alone = {name: np.bincount(CLASSES.of_row[parts[name,]], minlength=4) for name in ("a", "b")}
    share = alone["a"] / (alone["a"] + alone["b"])
    # both orders of two modalities: 0.9 * 0.9 against 0.1 * 0.1, for c/(C-1) = 0, 1/3, 2/3, 1
    kept = np.array([0.9, 0.9 - 0.8 / 3, 0.9 - 1.6 / 3, 0.1])
    assert share == pytest.approx(kept**2 / (kept**2 + (1 - kept) ** 2), abs=0.02)


@pytest.mark.parametrize("name", ["mcar", "mnar"])
@pytest.mark.parametrize("names", [("a", "b"), THREE, FIVE])
def test_parts_are_disjoint_cover_all_rows_and_keep_f_complete(name: str, names: tuple[str, ...]) -> None:
    parts = drawn(name, names)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(ROWS))
    assert next(iter(parts)) == names
    assert len(parts[names]) == ROWS // 4
    assert set(list(parts)[1:]) <= set(scheme_of(name, names).patterns(names)) == set(proper_subsets(names))


@pytest.mark.parametrize("name", ["mcar", "mnar"])
def test_the_seed_decides(name: str) -> None:
    one, same, other = (drawn(name, THREE, seed=seed) for seed in (0, 0, 1))
    assert all(np.array_equal(one[left], same[left]) for left in one)
    assert not any(np.array_equal(one[left], other[left]) for left in one)


@pytest.mark.parametrize(("classes", "held"), [(None, "no classes"), (RowClasses(np.zeros(9, np.int64), 1), "1 class")])
def test_mnar_needs_two_classes(classes: RowClasses | None, held: str) -> None:
    scheme = scheme_of("mnar", THREE)
    with pytest.raises(CannotBear, match=rf"'mnar' .* class of a row, and the dataset has {held}; use scheme 'mcar'"):
        scheme.assign(9, THREE, classes, 0.5, np.random.default_rng(0))
    assert len(scheme.assign(9, THREE, classes, 1.0, np.random.default_rng(0))) == 1


@pytest.mark.parametrize("name", ["mcar", "mnar"])
def test_a_modality_alone_cannot_be_left_out(name: str) -> None:
    with pytest.raises(CannotBear, match="with one modality alone nothing can be missing"):
        scheme_of(name, ("a",)).assign(ROWS, ("a",), CLASSES, 0.5, np.random.default_rng(0))


def test_mnar_uses_the_datasets_number_of_classes_not_the_largest_that_occurs() -> None:
    """Class 1 of 11 is near the first modality, class 1 of 2 is the last one's."""
    rare = RowClasses(np.ones(ROWS, np.int64), 11)
    parts = dict(scheme_of("mnar", THREE).assign(ROWS, THREE, rare, 0.25, generator(0, "scheme")))
    expected = exact([0.1 + 0.8 * abs(0.1 - m / 2) for m in range(3)], THREE)
    assert p_value({left: rows for left, rows in parts.items() if left != THREE}, expected, None) > 1e-3


# Through observation and loader ---------------------------------------------------------------------------------------
Toy = Callable[..., Dataset]


@pytest.mark.parametrize("name", ["mcar", "mnar"])
@pytest.mark.parametrize("modalities", [3, 5])
@pytest.mark.parametrize("schedule", ["mixed", "alternate"])
def test_every_row_comes_once_an_epoch_with_what_is_observed_of_it(
    numbers: Toy, name: str, modalities: int, schedule: str
) -> None:
    dataset = numbers(rows=90, modalities=modalities, pairs=2)
    found = observe(dataset, name, 0.25, seed=3)
    assert sum(found.counts.values()) == 180
    assert found.counts["+".join(f"m{m}" for m in range(modalities))] == 44
    loader = Loader(
        dataset.split("train").arrays, found.patterns, batch_size=16, seed=3, settings=LoaderSettings(schedule=schedule)
    )
    for m in range(modalities):
        column = f"m{m}"
        expected = sorted(i for p in found.patterns if column in p.names for i in p.table[:, p.names.index(column)])
        parts = [part for step in loader.epoch(0) for part in step.parts if column in part.values]
        assert sorted(int(x) for part in parts for x in part.values[column][:, 0]) == expected
    patterns = {part.names for step in loader.epoch(0) for part in step.parts}
    assert patterns == {p.names for p in found.patterns}


def test_without_classes_mcar_is_drawn_and_mnar_refused(numbers: Toy) -> None:
    dataset = numbers(rows=60, modalities=3, with_classes=False)
    assert len(observe(dataset, "mcar", 0.5, seed=0).patterns) > 3
    with pytest.raises(CannotBear, match="the dataset has no classes"):
        observe(dataset, "mnar", 0.5, seed=0)
    assert observe(dataset, "mnar", 1.0, seed=0).counts == {"m0+m1+m2": 60}


def test_the_coin_has_nothing_to_choose(numbers: Toy) -> None:
    with pytest.raises(CannotBear, match="'mcar'; use it with 'split'"):
        observe(numbers(rows=40), "mcar", 0.5, seed=0, coin=True)


def test_schemes_name_what_they_can_leave() -> None:
    def patterns(name: str) -> list[tuple[str, ...]]:
        scheme: Scheme = scheme_of(name, THREE)
        return list(scheme.patterns(THREE))

    assert patterns("complete") == []
    assert patterns("b-only") == [("b",)]
    assert patterns("split") == [("a",), ("b",), ("c",)]
    assert patterns("mcar") == [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c")]
