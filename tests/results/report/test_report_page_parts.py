"""Parts of the page that need no browser: colours, the summary, lacking seeds, filters, the files beside the page."""

import json
import re
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from mmbench.config import RunSpec
from mmbench.errors import MMBenchError
from mmbench.results.report.captions import DASH
from mmbench.results.report.contents import Missing, Section, TableItem
from mmbench.results.report.groups import condition_of, groups_of
from mmbench.results.report.page.assets import assets, classic, text_of
from mmbench.results.report.page.gaps import gaps_of, usual_seeds
from mmbench.results.report.page.page import facets, render
from mmbench.results.report.page.summary import summary_of

VARIABLE = re.compile(r"--(\w+):\s*light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)")
HEX = re.compile(r"#[0-9a-fA-F]{3,8}\b")
TEXT, GROUNDS = ("ink", "soft", "link", "all", "some", "none"), ("ground", "tint")


# Colours --------------------------------------------------------------------------------------------------------------
def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colours(mode: int) -> dict[str, str]:
    """Variable -> its colour, light (0) or dark (1)."""
    return {name: pair[mode] for name, *pair in VARIABLE.findall(text_of("page.css"))}


def test_contrast_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the grey that just fails


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_is_readable_and_controls_are_seen(mode: int) -> None:
    held = colours(mode)
    assert set(held) == {*TEXT, *GROUNDS, "line", "edge"}
    for ground in GROUNDS:
        for name in TEXT:
            assert contrast(held[name], held[ground]) >= 4.5, (name, ground)
        assert contrast(held["edge"], held[ground]) >= 3.0, "borders of controls (WCAG 1.4.11)"


def test_no_colour_stands_outside_the_variables() -> None:
    """But for the figures' white sheet, and the text on it."""
    rest = VARIABLE.sub("", text_of("page.css"))
    assert sorted(HEX.findall(rest)) == ["#1d2126", "#fff"]
    assert not re.search(r"rgb|hsl", rest)


# The summary ----------------------------------------------------------------------------------------------------------
def grouped(make: Any) -> Any:
    runs = [make(seed=seed) for seed in (0, 1, 2)]
    runs += [make(scheme="split", f=f, seed=0) for f in (0.25, 0.5)]
    runs += [make("mvae", seed=0), make("mvae", seed=1, status="diverged"), make("mvae", seed=2, status="failed")]
    runs += [make("mvae", scheme="split", f=0.5, seed=s, status="interrupted") for s in (0, 1, 2)]
    runs += [make("mfm", scheme="split", f=0.5, seed=0, status="refused")]
    return groups_of(runs), runs


@pytest.fixture
def make_positional(make: Any) -> Any:
    return lambda model="meme", **values: make(model=model, **values)


def test_the_matrix_counts_seeds_by_condition(make_positional: Any) -> None:
    groups, runs = grouped(make_positional)
    summary = summary_of(groups, reversed(runs), [])
    (matrix,) = summary.matrices
    assert matrix.head == (("complete", (1.0,)), ("split", (0.5, 0.25)))
    assert {name: [(c.text, c.state) for c in cells] for name, cells in matrix.lines} == {
        "MEME": [("3/3", "all"), ("1/3", "some"), ("1/3", "some")],
        "MFM": [(DASH, "never"), ("refused", "refused"), (DASH, "never")],
        "MVAE": [("1/3", "some"), ("0/3", "none"), (DASH, "never")],
    }
    assert summary.ended == (("done", 6), ("diverged", 1), ("failed", 1), ("interrupted", 3), ("refused", 1))


def test_missing_things_by_kind_with_commands_first() -> None:
    runs = [Missing(f"run {i}", "diverged", "mmbench run" if i > 3 else "", "Runs that ended badly") for i in range(6)]
    (kind, figures) = summary_of([], [], [Missing("figure", "no arrays"), *runs]).kinds
    assert (kind.name, len(kind.entries), [m.what for m in kind.first]) == (
        "Runs that ended badly", 6, ["run 4", "run 5", "run 0"],
    )  # fmt: skip
    assert figures.name == "Figures and tables"


def test_a_seed_that_few_conditions_have_is_theirs_alone(make_positional: Any) -> None:
    """MEME has seeds 0 to 3 once; the three other conditions have 0 and 1, MVAE at f = 0.25 only 0."""
    runs = [make_positional(seed=seed) for seed in range(4)]
    runs += [make_positional(scheme="split", f=f, seed=s) for f in (0.5, 0.25) for s in (0, 1)]
    runs += [make_positional("mvae", scheme="split", f=0.25, seed=0)]
    (group,) = groups_of(runs)
    assert usual_seeds(group) == {0, 1}
    (gap,) = gaps_of(group)
    assert (gap.spec["model"], gap.spec["seed"]) == ("mvae", 1)
    lines = dict(summary_of([group], runs, []).matrices[0].lines)
    assert [cell.text for cell in lines["MEME"]] == ["4/4", "2/2", "2/2"]
    assert [cell.text for cell in lines["MVAE"]] == [DASH, DASH, "1/2"]


def test_a_seed_that_others_have_is_a_gap_with_its_whole_spec(make_positional: Any) -> None:
    groups, runs = grouped(make_positional)
    gaps = gaps_of(groups[0])
    found = sorted((g.spec["model"], g.spec["f"], g.spec["seed"]) for g in gaps)
    assert found == [("meme", 0.25, 1), ("meme", 0.25, 2), ("meme", 0.5, 1), ("meme", 0.5, 2)]
    siblings = {condition_of(run): run for run in runs}
    for gap in gaps:
        assert RunSpec.from_dict(dict(gap.spec)).to_dict() == gap.spec
        record = make_positional(scheme=gap.spec["scheme"], f=gap.spec["f"], seed=gap.spec["seed"])
        assert {**siblings[condition_of(record)].spec, "seed": gap.spec["seed"]} == gap.spec
        assert gap.missing.how == f"mmbench run --spec {gap.path}"
    assert len({gap.path for gap in gaps}) == 4


# Filters --------------------------------------------------------------------------------------------------------------
def test_facets_are_the_texts_of_the_columns() -> None:
    body = (("<b>", Markup("A<sub>X</sub>"), 1), (Markup("{}").format("<b>"), "a & b", 2))
    item = TableItem("t", "T", ("model", "name", "n"), body, (), filters=("name", "model"))
    assert facets(item) == (("AX", "<b>"), ("a & b", "<b>"))


def test_facets_of_their_own_stand_as_they_are_and_are_quoted() -> None:
    hostile = "'><script>alert(1)</script>"
    item = TableItem("t", "T", ("model",), ((hostile,),), (), filters=("scheme",), facets=((hostile,),))
    page = render(holdings=[], terms=[], sections=[Section("s", "S", items=(item,))], missing=[])
    assert "<script>alert" not in page
    (told,) = re.findall(r"data-facets='([^']*)'", page)
    assert json.loads(told) == [hostile]


def test_headings_have_no_gaps_at_any_depth() -> None:
    item = TableItem("t1", "T", ("a",), (("1",),), ())
    below = Section("s2", "Below", items=(TableItem("t2", "T2", ("a",), (("1",),), ()),))
    part = Section("s1", "Part", items=(item,), sections=(below,))
    page = render(holdings=[], terms=[], sections=[part], missing=[])
    levels = [int(level) for level in re.findall(r"<h(\d)>", page)]
    assert all(b <= a + 1 for a, b in pairwise(levels))


# The files beside the page --------------------------------------------------------------------------------------------
def test_assets_are_the_same_bytes_each_time_and_carry_their_licences() -> None:
    held = assets()
    assert held == assets()
    assert sorted(held) == [
        f"assets/{n}" for n in ("LICENSES.txt", "datatables.js", "page.css", "page.js", "tables.js")
    ]
    notice = held["assets/LICENSES.txt"].decode()
    for part in (metadata.version("itables"), "Permission is hereby granted", "DataTables", "jQuery", "SpryMedia"):
        assert part in notice
    script = held["assets/datatables.js"].decode()
    assert not re.search(r"\bexport\s*\{", script)
    assert script.count("window.DataTable=") == 1


@pytest.mark.parametrize("module", ["var a=1;", "export{a};", "export{a as default};export{b as default};"])
def test_a_bundle_of_unknown_form_is_an_error(module: str) -> None:
    with pytest.raises(MMBenchError, match=r"bundles DataTables in an unknown form; pip install 'itables<3'\."):
        classic(module)


def test_own_scripts_are_short_and_ask_for_nothing() -> None:
    for name in ("page.js", "tables.js"):
        script = text_of(name)
        assert script.count("\n") < 100
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|fetch\(|XMLHttp|eval\(|https?:", script
        )


def test_no_address_is_loaded_from_the_net(page: Path) -> None:
    text = (page / "index.html").read_text(encoding="utf-8") + text_of("page.css")
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//|url\(|@import", text.replace('href="data:,"', ""))
