"""Intervals, what became of the other runs, and bold face: numbers worked out by hand or by scipy."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from mmbench.results.records import RunRecord, Score
from mmbench.results.report.captions import n_of
from mmbench.results.report.contents import Missing, Section, TableItem
from mmbench.results.report.contests import Contest, contests_of, winners
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import groups_of
from mmbench.results.report.sections.comparisons import comparisons
from mmbench.results.report.sections.ranks import ranks
from mmbench.results.report.sections.statistics import statistics
from mmbench.results.report.summaries import LACKING, OLDER, rows_of
from mmbench.results.report.tables.pivot import score_table
from mmbench.results.store import Store

Make = Callable[..., RunRecord]


def with_scores(run: RunRecord, *scores: Score) -> RunRecord:
    return replace(run, scores=scores)


def share(value: float, n: int = 400) -> Score:
    return Score("m", 1, "a", "b", value, math.sqrt(value * (1 - value) / n), n, "e")


def seeds(make: Make, values: dict[str, list[float]], **about: object) -> list[RunRecord]:
    """Runs with a micro coherence by model and seed."""
    return [
        with_scores(
            make(model=model, seed=seed, **about), Score("cross_coherence", 1, "a", "b", value, 0.02, 400, "micro")
        )
        for model, listed in values.items()
        for seed, value in enumerate(listed)
    ]


def desk_of(runs: list[RunRecord], store: Store, folder: Path) -> Desk:
    folder.mkdir(exist_ok=True)
    (group,) = groups_of(runs)
    return Desk(store, folder, group, [], figures=False)


def table_of(section: Section | None, name: str) -> TableItem:
    assert section is not None
    (found,) = (item for item in section.items if isinstance(item, TableItem) and item.id.endswith(name))
    return found


def records(folder: Path, path: str) -> list[dict[str, str]]:
    with (folder / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_interval_over_rows_is_wilsons_for_one_seed(make: Make) -> None:
    (row,) = rows_of([with_scores(make(), share(0.25))], "m")
    known = stats.binomtest(100, 400).proportion_ci(method="wilson")
    assert row.over_rows == pytest.approx((known.low, known.high))
    assert row.interval == (None, None)


def test_the_interval_over_rows_of_several_seeds_does_not_shrink_with_their_number(make: Make) -> None:
    """Two seeds with the same value on the same rows say no more about other rows than one of them."""
    one = rows_of([with_scores(make(), share(0.25))], "m")[0]
    two = rows_of([with_scores(make(seed=seed), share(0.25)) for seed in (0, 1)], "m")[0]
    assert two.over_rows == pytest.approx(one.over_rows)


def test_a_score_without_standard_error_has_no_interval_over_rows(make: Make) -> None:
    (row,) = rows_of([with_scores(make(), Score("m", 1, "a", "b", 0.5, None, 10, "auroc"))], "m")
    assert row.over_rows == (None, None)


def test_every_end_of_a_run_counts_in_n_of_n_and_is_named(make: Make) -> None:
    ends = ("done", "diverged", "failed", "interrupted", "refused")
    runs = [make(seed=seed, status=status) for seed, status in enumerate(ends)]
    runs.append(with_scores(make(seed=5)))
    runs.append(with_scores(make(seed=6), Score("cross_coherence", 0, "a", "b", 0.5, None, 10, "micro")))
    row = next(r for r in rows_of(runs, "cross_coherence") if r.estimator == "micro")
    assert (row.n, row.of) == (1, 7)
    assert dict(row.others) == {
        "diverged": 1, "failed": 1, "interrupted": 1, "refused": 1, LACKING: 1, OLDER: 1
    }  # fmt: skip
    assert "1 of 7 runs have all of this, of the others 1 diverged, 1 done without it" in n_of([row])


def test_the_long_table_has_both_intervals_in_words_and_in_the_csv(make: Make, store: Store, tmp_path: Path) -> None:
    runs = [with_scores(make(seed=seed), share(value)) for seed, value in enumerate((0.2, 0.3, 0.4))]
    desk = desk_of(runs, store, tmp_path / "out")
    table = table_of(statistics(desk), "statistics")
    line = dict(zip(table.head, map(str, table.body[0]), strict=True))
    low, high = stats.t.interval(0.95, 2, 0.3, stats.sem([0.2, 0.3, 0.4]))
    assert line["95 % over seeds"] == f"{low:.3f} to {high:.3f}"
    assert (line["mean ± sd"], line["n of N"]) == ("0.300 ± 0.100", "3 of 3")
    (record,) = records(desk.folder, table.csv)
    assert float(record["low"]) == pytest.approx(low)
    assert float(record["rows_low"]) < 0.3 < float(record["rows_high"])


def test_one_seed_says_so(make: Make, store: Store, tmp_path: Path) -> None:
    table = table_of(statistics(desk_of([with_scores(make(), share(0.2))], store, tmp_path / "out")), "statistics")
    assert "one seed" in table.body[0]
    assert any("One seed everywhere" in sentence for sentence in table.caption)


def test_runs_with_an_older_version_of_a_metric_are_named_as_missing(make: Make, store: Store, tmp_path: Path) -> None:
    old, new = (Score("m", version, "a", "b", 0.5, None, 10, "e") for version in (1, 2))
    desk = desk_of([with_scores(make(seed=0), old), with_scores(make(seed=1), new)], store, tmp_path / "out")
    statistics(desk)
    assert [entry.what.partition(": ")[2] for entry in desk.missing if isinstance(entry, Missing)] == [
        "m of runs that only have an older version of it"
    ]


VALUES = {"meme": [0.60, 0.62, 0.61, 0.63], "mvae": [0.20, 0.23, 0.21, 0.22], "mmvae": [0.61, 0.60, 0.63, 0.62]}


def contest(runs: list[RunRecord]) -> Contest:
    (group,) = groups_of(runs)
    (found,) = contests_of(group, rows_of(group.runs, "cross_coherence"))
    return found


def test_pairs_are_those_of_a_paired_t_test_with_holm(make: Make) -> None:
    found = {(p.first, p.second): p for p in contest(seeds(make, VALUES)).pairs}
    raw = {pair: stats.ttest_rel(VALUES[pair[0]], VALUES[pair[1]]).pvalue for pair in found}
    assert {pair: p.p for pair, p in found.items()} == pytest.approx(raw)
    first, second, third = sorted(raw, key=lambda pair: raw[pair])
    assert found[first].adjusted == pytest.approx(3 * raw[first])
    assert found[second].adjusted == pytest.approx(max(3 * raw[first], 2 * raw[second]))
    assert found[third].adjusted == pytest.approx(min(1, max(2 * raw[second], raw[third])))


def test_bold_is_the_best_and_who_is_not_found_worse(make: Make, tmp_path: Path) -> None:
    runs = seeds(make, VALUES)
    (group,) = groups_of(runs)
    rows = rows_of(group.runs, "cross_coherence")
    assert {key[0].variant.model for key in winners(contests_of(group, rows))} == {"meme", "mmvae"}
    table = score_table(tmp_path, group, rows, name="c", title="", caption=())
    bold = {str(line[2]): "<strong>" in str(line[3]) for line in table.body}
    assert bold == {"MEME": True, "MMVAE": True, "MVAE": False}
    assert any(sentence.startswith("Bold:") for sentence in table.caption)


@pytest.mark.parametrize("taken", [1, 2])
def test_nothing_is_bold_where_there_are_too_few_seeds_for_a_test(make: Make, tmp_path: Path, taken: int) -> None:
    runs = seeds(make, {model: values[:taken] for model, values in VALUES.items()})
    (group,) = groups_of(runs)
    table = score_table(tmp_path, group, rows_of(group.runs, "cross_coherence"), name="c", title="", caption=())
    assert "<strong>" not in str(table.body)
    assert not any("Bold" in sentence for sentence in table.caption)


def test_nothing_is_bold_where_no_model_is_told_from_the_best(make: Make, tmp_path: Path) -> None:
    runs = seeds(make, {"meme": VALUES["meme"], "mmvae": VALUES["mmvae"]})
    (group,) = groups_of(runs)
    table = score_table(tmp_path, group, rows_of(group.runs, "cross_coherence"), name="c", title="", caption=())
    assert "<strong>" not in str(table.body)


def test_models_of_different_presets_never_meet(make: Make) -> None:
    runs = seeds(make, {"meme": VALUES["meme"]}) + seeds(make, {"mvae": VALUES["mvae"]}, preset="source")
    (group,) = groups_of(runs)
    assert contests_of(group, rows_of(group.runs, "cross_coherence")) == ()


def test_a_model_takes_part_with_the_settings_that_most_runs_have(make: Make, store: Store, tmp_path: Path) -> None:
    study = seeds(make, {"meme": [0.99, 0.99, 0.98]}, own={"k": 30, "c": 10.0})
    runs = seeds(make, VALUES) + study
    assert contest(runs).rows["meme"].n == 4
    section = comparisons(desk_of(runs, store, tmp_path / "out"))
    assert section is not None
    assert any("left out: MEME (k 30)" in sentence for sentence in section.text)


def test_different_protocols_never_meet(make: Make) -> None:
    scored = [
        with_scores(
            make(model=model, seed=seed),
            Score("joint_coherence", 1, "", "", 0.5 + seed / 10, 0.01, 10, "prior-samples", {"prior": prior}),
        )
        for model, prior in (("meme", "pseudo-inputs"), ("mvae", "N(0, I)"))
        for seed in range(4)
    ]
    (group,) = groups_of(scored)
    assert contests_of(group, rows_of(group.runs, "joint_coherence")) == ()


def test_the_tables_of_comparisons_say_who_leads_and_why_not(make: Make, store: Store, tmp_path: Path) -> None:
    section = comparisons(desk_of(seeds(make, VALUES), store, tmp_path / "out"))
    leading = table_of(section, "leaders")
    assert [str(cell) for cell in leading.body[0][-2:]] == ["MEME, MMVAE", "MVAE"]
    pairs = table_of(section, "comparisons")
    verdicts = {(line[5], line[6]): line[-1] for line in pairs.body}
    assert verdicts == {
        ("MEME", "MMVAE"): "no difference found",
        ("MEME", "MVAE"): "first is higher",
        ("MMVAE", "MVAE"): "first is higher",
    }


def test_too_few_seeds_are_named_with_what_brings_more(make: Make, store: Store, tmp_path: Path) -> None:
    runs = seeds(make, {model: values[:2] for model, values in VALUES.items()})
    desk = desk_of(runs, store, tmp_path / "out")
    leading = table_of(comparisons(desk), "leaders")
    assert leading.body[0][-2] == "not testable: 2 common seeds, and a paired test needs 3"
    assert [entry.why for entry in desk.missing] == ["the models share 2 seeds, and a paired test needs 3"]


def test_ranks_are_averaged_over_conditions_with_friedmans_test(make: Make, store: Store, tmp_path: Path) -> None:
    conditions = [("complete", 1.0), ("split", 0.5), ("split", 0.25), ("split", 0.125)]
    runs = [run for scheme, f in conditions for run in seeds(make, VALUES, scheme=scheme, f=f)]
    section = ranks([desk_of(runs, store, tmp_path / "out")])
    assert section is not None
    (table,) = section.items
    assert isinstance(table, TableItem)
    # means: MEME .615, MMVAE .615 (they tie), MVAE .215, in each of four blocks
    assert table.body == (("MEME", "1.50"), ("MMVAE", "1.50"), ("MVAE", "3.00"))
    known = stats.friedmanchisquare([0.615] * 4, [0.615] * 4, [0.215] * 4)
    assert any(f"chi-square {known.statistic:.2f}" in sentence for sentence in table.caption)


def test_ranks_of_few_blocks_are_a_plain_table_that_says_why(make: Make, store: Store, tmp_path: Path) -> None:
    section = ranks([desk_of(seeds(make, VALUES), store, tmp_path / "out")])
    assert section is not None
    (table,) = section.items
    assert any("Not testable: 1 block with all models" in sentence for sentence in table.caption)
