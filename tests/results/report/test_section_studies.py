"""Sections about variants of one model: one setting, the direction of training, the complete rows alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmbench.results.records import RunRecord, Score
from mmbench.results.report.contents import FigureItem, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import groups_of
from mmbench.results.report.sections.directions import directions
from mmbench.results.report.sections.paired_only import paired_only
from mmbench.results.report.sections.studies import numeric_studies, studies
from mmbench.results.report.source import Records

Make = Callable[..., RunRecord]
A, B = "handwritten", "street"


def desk_of(runs: Sequence[RunRecord], folder: Path) -> Desk:
    (group,) = groups_of(runs)
    return Desk(Records(runs), folder, group, [])


def named(run: RunRecord, name: str) -> RunRecord:
    return replace(run, id=name, fit_key=name)


def pseudo(make: Make, count: int, *, coherence: float, f: float = 0.5, **own: Any) -> RunRecord:
    run = make(scheme="split", f=f, coherence=coherence, own={"k": 10, "pseudo_inputs": count, **own})
    return named(run, f"n{count}-{f}-{own}")


def test_variants_that_differ_in_one_number_are_a_study(make: Make) -> None:
    runs = [pseudo(make, n, coherence=0.3) for n in (1, 10, 100)]
    runs += [pseudo(make, 10, coherence=0.3, k=k) for k in (2, 3)]  # with k = 10 a second one
    (group,) = groups_of(runs)
    found = {(s.model, s.key): list(s.values.values()) for s in numeric_studies(group.names)}
    assert found == {("meme", "pseudo_inputs"): [1.0, 10.0, 100.0], ("meme", "k"): [2.0, 3.0, 10.0]}


def test_two_values_and_flags_are_none(make: Make) -> None:
    runs = [pseudo(make, n, coherence=0.3) for n in (1, 10)]
    runs += [pseudo(make, 1, coherence=0.3, detach=flag) for flag in (True, False)]
    assert numeric_studies(groups_of(runs)[0].names) == []


def test_pseudo_inputs_are_figure_21_with_every_headline_and_its_data(make: Make, tmp_path: Path) -> None:
    values = {1: 0.2, 10: 0.4, 100: 0.5}
    runs = [pseudo(make, n, coherence=v) for n, v in values.items()]
    runs.append(named(make(own={"k": 10, "pseudo_inputs": 10}), "complete"))  # one value at f = 1: no line
    section = studies(desk_of(runs, tmp_path))
    assert section is not None
    (figure,) = section.items
    assert isinstance(figure, FigureItem)
    assert figure.number == "Figure 21"
    assert "pseudo_inputs 1: 0.20" in figure.alt
    rows = (tmp_path / figure.csv).read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 3 * 4  # three values, two directions and two modalities
    assert not any("complete" in row for row in rows)


def test_another_settings_study_has_no_number_of_the_paper(make: Make, tmp_path: Path) -> None:
    section = studies(desk_of([pseudo(make, 1, coherence=0.3, k=k) for k in (1, 2, 3)], tmp_path))
    assert section is not None
    assert [(item.title, item.number) for item in section.items] == [("MEME against model.k", "")]


def directed(make: Make, direction: str, straight: float, exchanged: float) -> RunRecord:
    run = named(make(own={"direction": direction}), direction.replace(">", ""))
    scores = (
        Score("log_likelihood", 2, "", f"{A}+{B}", None, None, 0, "", status="skipped", note="no joint prior"),
        Score("log_likelihood", 2, B, A, straight, 0.5, 359, "conditional-iwae-100"),
        Score("log_likelihood", 2, A, B, exchanged, 0.5, 359, "conditional-iwae-100"),
    )
    return replace(run, scores=scores)


def test_table_2_has_test_directions_down_and_training_directions_across(make: Make, tmp_path: Path) -> None:
    runs = [directed(make, "s->t", -1, -20), directed(make, "t->s", -10, -2), directed(make, "both", -3, -4)]
    section = directions(desk_of(runs, tmp_path))
    assert section is not None
    (table,) = section.items
    assert isinstance(table, TableItem)
    assert table.number == "Table 2"
    shown = [[str(cell).split(" ")[0] for cell in row[3:]] for row in table.body]
    assert shown == [["-1.0", "-10.0", "-3.0"], ["-20.0", "-2.0", "-4.0"]]
    flipped = [["flip" in str(cell) for cell in row[3:]] for row in table.body]
    assert flipped == [[False, True, False], [True, False, False]]
    assert [row[2] for row in table.body] == [f"s → t: log p({A} | {B})", f"t → s: log p({B} | {A})"]


def test_one_direction_alone_is_no_table(make: Make, tmp_path: Path) -> None:
    assert directions(desk_of([directed(make, "both", -1, -2)], tmp_path)) is None


def test_the_papers_numbers_stand_below_on_its_dataset(make: Make, tmp_path: Path) -> None:
    def run(direction: str) -> RunRecord:
        made = named(make(dataset="mnist-svhn", own={"direction": direction}), direction.replace(">", ""))
        scores = (
            Score("log_likelihood", 2, "", "mnist+svhn", None, None, 0, "", status="skipped", note="none"),
            Score("log_likelihood", 2, "svhn", "mnist", -1.0, 0.5, 359, "conditional-iwae-100"),
        )
        return replace(made, scores=scores)

    section = directions(desk_of([run("s->t"), run("both")], tmp_path))
    assert section is not None
    (table,) = section.items
    assert isinstance(table, TableItem)
    published = [row for row in table.body if "published" in str(row[0])]
    assert "-14733.6" in str(published[0][3])
    assert "-11668.1" in str(published[1][4])


def test_figure_22_sets_all_rows_against_the_complete_rows_alone(make: Make, tmp_path: Path) -> None:
    runs = [make(coherence=0.6)]
    for f, whole, alone in ((0.5, 0.5, 0.4), (0.25, 0.4, 0.2)):
        runs += [make(scheme="split", f=f, coherence=v, paired_only=p) for v, p in ((whole, False), (alone, True))]
    section = paired_only(desk_of(runs, tmp_path))
    assert section is not None
    (figure,) = section.items
    assert figure.number == "Figure 22"
    assert isinstance(figure, FigureItem)
    assert f"MEME, split, {A} → {B}, f = 0.25: 0.40 against 0.20" in figure.alt


def test_without_such_runs_the_page_says_how_to_make_them(make: Make, tmp_path: Path) -> None:
    desk = desk_of([make(), make(scheme="split", f=0.5)], tmp_path)
    assert paired_only(desk) is None
    (missing,) = desk.missing
    assert missing.how.endswith("--paired-only")


@pytest.mark.parametrize("make_section", [studies, directions])
def test_studies_that_nobody_made_are_not_missed(make: Make, tmp_path: Path, make_section: Any) -> None:
    desk = desk_of([make()], tmp_path)
    assert make_section(desk) is None
    assert desk.missing == []
