"""The overview table: one line a condition, headline scores and speed, as CSV and Markdown."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmbench.results.records import RunRecord, Score
from mmbench.results.report import write
from mmbench.results.store import Store


def lines(page: Path) -> list[list[str]]:
    text = (page / "tables" / "digits-common-overview.md").read_text(encoding="utf-8")
    table = text.split("\n\n")[0].splitlines()
    return [
        [cell.strip().replace("\\|", "|") for cell in line.replace("\\|", "\0").strip("| ").split("|")]
        for line in table
    ]


def test_every_condition_has_a_line_and_every_headline_a_column(page: Path) -> None:
    head, rule, *body = lines(page)
    assert head[:2] == ["model", "f"]
    assert head[-1] == "pairs/s"
    assert "coherence handwritten → street" in head
    assert "joint coherence" in head
    assert "latent accuracy street" in head
    assert set(rule) == {"---"}
    names = [(line[0], line[1]) for line in body]
    assert ("MEME", "1") in names
    assert ("MEME, split", "0.25") in names
    assert len(set(names)) == len(names)


def test_cells_hold_mean_and_spread_and_say_where_runs_are_lacking(page: Path) -> None:
    head, _, *body = lines(page)
    column = head.index("coherence handwritten → street")
    by_name = {(line[0], line[1]): line for line in body}
    assert by_name["MEME", "1"][column] == "0.610 ± 0.014"  # seeds with 0.60 and 0.62
    assert by_name["MVAE, split", "0.5"][column] == "0.150 (se 0.025) (1 of 2)"
    assert by_name["MEME", "1"][-1] == "5,781"


def test_the_csv_names_estimators(page: Path) -> None:
    with (page / "tables" / "digits-common-overview.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    first = next(row for row in rows if (row["model"], row["scheme"]) == ("meme", "complete"))
    assert first["joint coherence: estimator"] == "prior-samples"
    assert float(first["joint coherence: mean"]) == pytest.approx(0.305)
    assert float(first["pairs_per_s"]) == 5781.0


def test_a_group_without_scores_has_no_overview(store: Store, make: Callable[..., RunRecord], tmp_path: Path) -> None:
    store.add(make(status="diverged"))
    folder = write(store, tmp_path / "report").parent
    assert not list((folder / "tables").glob("*-overview.*"))


def test_likelihoods_with_few_effective_samples_are_marked_and_explained(
    store: Store, make: Callable[..., RunRecord], tmp_path: Path
) -> None:
    run = make()
    poor = Score("log_likelihood", 1, "", "street", -3.0, 0.1, 9, "iwae-100", {}, {"ess": 1.2})
    fair = Score("log_likelihood", 1, "", "handwritten", -2.0, 0.1, 9, "iwae-100", {}, {"ess": 60.0})
    store.add(replace(run, scores=(fair, poor)))
    folder = write(store, tmp_path / "report").parent
    text = (folder / "tables" / "digits-common-overview.md").read_text(encoding="utf-8")
    assert "-3.0\N{DAGGER} (se 0.1)" in text
    assert "-2.0 (se 0.1)" in text
    assert "fewer than 5 effective samples" in text
    assert text.index("log p(handwritten)") < text.index("log p(street)")


def test_a_preset_other_than_common_is_named_where_several_meet(
    store: Store, make: Callable[..., RunRecord], tmp_path: Path
) -> None:
    store.add(make())
    store.add(make(model="mvae", preset="stages"))
    folder = write(store, tmp_path / "report").parent
    (table,) = (folder / "tables").glob("*-overview.md")
    assert "| MVAE (stages) |" in table.read_text(encoding="utf-8")
    assert "| MEME |" in table.read_text(encoding="utf-8")
