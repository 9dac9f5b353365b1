"""`report --only` and `--compare`: what is written, a second store that stays as it is, and bad input."""

import csv
from dataclasses import replace

import pytest

from mmbench.results.store import Store


@pytest.fixture
def other(store, tmp_path):
    """A second store, whose run scored 0.1 less."""
    path = tmp_path / "other" / "results.db"
    with Store.open_readonly(store) as opened:
        runs = opened.runs()
    with Store.open(path) as opened:
        for run in runs:
            scores = tuple(replace(score, value=score.value and score.value - 0.1) for score in run.scores)
            opened.add(replace(run, scores=scores))
    return path


def test_only_writes_the_sections_that_are_named(invoke, store, tmp_path):
    everything, coherence, tables = (tmp_path / name for name in ("all", "coherence", "tables"))
    assert invoke("report", "--store", store, "--out", everything).exit_code == 0
    result = invoke("report", "--store", store, "--out", coherence, "--only", "coherence")
    assert (result.exit_code, result.stdout) == (0, f"{coherence / 'index.html'}\n")
    assert invoke("report", "--store", store, "--out", tables, "--only", "coherence,tables").exit_code == 0
    files = {out: {str(p.relative_to(out)) for p in out.rglob("*.svg")} for out in (everything, coherence, tables)}
    assert files[tables] == set() < files[coherence] < files[everything]
    for out, there in [(everything, True), (coherence, False), (tables, False)]:
        page = (out / "index.html").read_text()
        assert "cross coherence" in page.lower()
        assert ('id="references"' in page) is there


def test_only_of_an_unknown_section_lists_the_known_ones(invoke, store, tmp_path):
    result = invoke("report", "--store", store, "--out", tmp_path / "out", "--only", "coherense,tables")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith("mmbench: unknown part of the report 'coherense'; did you mean 'coherence'")
    assert not (tmp_path / "out").exists()


def test_compare_lays_the_other_beside_and_leaves_it_as_it_is(invoke, store, other, tmp_path):
    before = other.read_bytes()
    result = invoke("report", "--store", store, "--compare", other, "--out", tmp_path / "out", "--only", "beside")
    assert (result.exit_code, result.stderr) == (0, "drawing 1 figure of 2 runs.\n")
    with (tmp_path / "out" / "tables" / "beside.csv").open(newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["metric"] == "cross_coherence"]
    means = [float(row[name]) for name in ("our_mean", "their_mean", "difference")]
    assert (means, row["common_seeds"]) == (pytest.approx([0.5, 0.4, 0.1]), "1")
    assert other.read_bytes() == before


def test_compare_with_what_is_no_store_is_one_sentence(invoke, store, tmp_path):
    text = tmp_path / "text.db"
    text.write_text("no database")
    for path in (tmp_path / "nowhere.db", text):
        result = invoke("report", "--store", store, "--compare", path, "--out", tmp_path / "out")
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert path.name in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made", "text.db"]
