"""Schemes: which rows stay complete, what the rest keeps, and which names and fractions are refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench import plugins
from mmbench.datasets import SCHEMES
from mmbench.datasets.schemes import RowClasses, complete_rows, scheme_of, template_of
from mmbench.errors import InvalidSetting, MMBenchError, UnknownName

NAMES = ("a", "b", "c")
fractions = st.integers(1, 1000).map(lambda k: k / 1000)


def assigned(name: str, n: int, f: float, names: tuple[str, ...] = NAMES) -> dict[tuple[str, ...], np.ndarray]:
    classes = RowClasses(np.arange(n) % 3, 3)
    parts = scheme_of(name, names).assign(n, names, classes, f, np.random.default_rng(0))
    assert len({observed for observed, _ in parts}) == len(parts)
    return dict(parts)


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(["a-only", "c-only", "mcar", "mnar", "split"]), n=st.integers(1, 300), f=fractions)
def test_parts_are_disjoint_cover_all_rows_and_keep_floor_f_n_complete(name: str, n: int, f: float) -> None:
    if math.floor(round(f * 1000) * n / 1000) == 0:
        with pytest.raises(InvalidSetting, match="leaves none of the"):
            assigned(name, n, f)
        return
    parts = assigned(name, n, f)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(n))
    assert len(parts[NAMES]) == round(f * 1000) * n // 1000  # whole-number arithmetic, no rounding
    assert all(len(rows) for rows in parts.values())


@pytest.mark.parametrize("f, paired", [(0.5, 28034), (0.25, 14017), (0.125, 7008), (0.0625, 3504), (1.0, 56068)])
def test_the_fractions_of_the_paper_give_the_released_codes_counts(f: float, paired: int) -> None:
    assert complete_rows(f, 56068) == paired


def test_f_is_the_decimal_that_was_typed() -> None:
    assert math.floor(0.29 * 100) == 28  # what binary fractions would make of it
    assert complete_rows(0.29, 100) == 29


def test_only_keeps_the_named_modality_and_split_divides_evenly() -> None:
    assert {p: len(r) for p, r in assigned("b-only", 100, 0.25).items()} == {NAMES: 25, ("b",): 75}
    assert {p: len(r) for p, r in assigned("split", 101, 0.25).items()} == {
        NAMES: 25,
        ("a",): 26,
        ("b",): 25,
        ("c",): 25,
    }


def test_complete_leaves_the_rest_out() -> None:
    assert {p: len(r) for p, r in assigned("complete", 100, 0.25).items()} == {NAMES: 25}


@pytest.mark.parametrize("name", ["complete", "a-only", "mcar", "mnar", "split"])
def test_f_one_is_the_complete_scheme(name: str) -> None:
    parts, complete = assigned(name, 20, 1.0), assigned("complete", 20, 1.0)
    assert parts.keys() == complete.keys() == {NAMES}
    assert np.array_equal(parts[NAMES], complete[NAMES])


def test_for_one_seed_the_complete_rows_of_a_smaller_fraction_are_among_those_of_a_larger() -> None:
    small, large = (set(assigned("split", 200, f)[NAMES].tolist()) for f in (0.25, 0.5))
    assert small < large


@pytest.mark.parametrize("f", [0.0, -0.5, 1.5, math.nan, math.inf, -math.inf])
def test_fractions_outside_zero_to_one_are_refused(f: float) -> None:
    with pytest.raises(InvalidSetting, match=r"f must lie in \(0, 1\]"):
        complete_rows(f, 10)


@pytest.mark.parametrize("name", ["d-only", "-only", "<modality>-only", "only", "splitt", "", "a-only-only", "Split"])
def test_unknown_schemes_and_modalities_are_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownName, match=r"unknown scheme .* Known: a-only, b-only, c-only, comp") as caught:
        scheme_of(name, NAMES)
    assert isinstance(caught.value, MMBenchError)


def test_schemes_are_listed_by_template_with_a_description() -> None:
    assert list(SCHEMES) == ["<modality>-only", "complete", "mcar", "mnar", "split"]
    assert all(SCHEMES[name].template == name and SCHEMES[name].description for name in SCHEMES)


def test_a_scheme_knows_its_name() -> None:
    assert [scheme_of(name, NAMES).name for name in ("a-only", "split", "complete")] == ["a-only", "split", "complete"]


@pytest.mark.parametrize(
    ("name", "template"), [("split", "split"), ("svhn-only", "<modality>-only"), ("a-b-only", "<modality>-only")]
)
def test_the_class_behind_a_name_is_known_without_the_modalities(name, template):
    assert template_of(name) is SCHEMES[template]


@pytest.mark.parametrize("name", ["-only", "splits", "only"])
def test_a_name_that_no_modality_completes_is_unknown(name):
    with pytest.raises(UnknownName, match="split"):
        template_of(name)


@pytest.fixture
def named_like_a_modality(outside):
    """A scheme of a file whose name is that of `<modality>-only` for a modality `a`."""
    path = outside.folder / "mine.py"
    path.write_text(outside.scheme("a-only"))
    plugins.load(path)


@pytest.mark.usefixtures("named_like_a_modality")
def test_two_schemes_of_one_name_are_refused_where_the_modality_makes_them_so():
    with pytest.raises(MMBenchError, match=r"two schemes are named 'a-only' here, '<modality>-only' and 'a-only'"):
        scheme_of("a-only", NAMES)
    assert scheme_of("b-only", NAMES).modality == "b"
    assert type(scheme_of("a-only", ["x", "y"])) is template_of("a-only") is not SCHEMES["<modality>-only"]
