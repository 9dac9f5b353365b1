"""The numbers in the tables, against values worked out by hand and against the store's own statistics."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mmbench.results.frame import scores_frame
from mmbench.results.records import RunRecord, Score
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.against_f import lines_of
from mmbench.results.report.groups import groups_of
from mmbench.results.report.summaries import mean_and_sd, rows_of
from mmbench.results.report.tables.bounds import judges_differ
from mmbench.results.statistics import over_seeds
from mmbench.results.store import Store


def rows(page: Path, name: str, **wanted: str) -> list[dict[str, str]]:
    with (page / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if all(row[k] == v for k, v in wanted.items())]


def one(page: Path, name: str, **wanted: str) -> dict[str, str]:
    found = rows(page, name, **wanted)
    assert len(found) == 1, found
    return found[0]


def test_two_seeds_give_mean_and_standard_deviation(page: Path) -> None:
    # seeds 0 and 1 have 0.60 and 0.62: mean 0.61, sd 0.02 / sqrt(2), t interval 0.61 -+ 12.7062 * 0.01
    row = one(page, "digits-common-coherence", model="meme", f="1.0", target="street", estimator="micro")
    assert float(row["mean"]) == pytest.approx(0.61)
    assert float(row["sd"]) == pytest.approx(0.02 / math.sqrt(2))
    assert (row["n"], row["of"], row["stderr"]) == ("2", "2", "")
    assert float(row["low"]) == pytest.approx(0.61 - 0.127062, abs=1e-5)
    assert float(row["high"]) == pytest.approx(0.61 + 0.127062, abs=1e-5)


def test_one_seed_gives_no_standard_deviation_but_the_error_over_rows(page: Path) -> None:
    row = one(page, "digits-common-coherence", model="mvae", scheme="complete", target="street", estimator="micro")
    assert (float(row["mean"]), row["sd"], float(row["stderr"]), row["rows"]) == (0.2, "", 0.025, "359")


def test_a_diverged_run_counts_in_n_of_n(page: Path) -> None:
    row = one(page, "digits-common-coherence", model="mvae", scheme="split", target="street", estimator="micro")
    assert (row["n"], row["of"]) == ("1", "2")


def test_a_skipped_metric_leaves_a_row_without_value(page: Path) -> None:
    row = one(page, "digits-common-relatedness", model="mvae", scheme="complete")
    assert (row["mean"], row["n"], row["of"]) == ("", "0", "1")


def test_means_agree_with_the_stores_own_statistics(page: Path, filled: Path) -> None:
    with Store.open_readonly(filled) as store:
        expected = over_seeds(scores_frame(store))
    expected = expected[(expected["metric"] == "cross_coherence") & (expected["dataset"] == "digits")]
    own = pd.DataFrame(rows(page, "digits-common-coherence") + rows(page, "digits-common-coherence-per-class"))
    keys = ["model", "scheme", "f", "given", "target", "estimator", "params"]
    own = own.rename(columns={"protocol": "params"}).astype({"f": float, "mean": float, "n": int, "of": int})
    joined = own.merge(expected, on=keys, suffixes=("", "_expected"))
    assert len(joined) == len(own) == len(expected)
    assert (joined["mean"] - joined["mean_expected"]).abs().max() < 1e-12
    assert (joined["n"] == joined["n_expected"]).all()
    assert (joined["of"] == joined["of_expected"]).all()
    both = joined[joined["n"] > 1]
    assert (both["sd"].astype(float) - both["sd_expected"]).abs().max() < 1e-12


def test_published_numbers_stand_beside_ours(page: Path) -> None:
    # Table 3 of the paper: MEME split at f = 0.25, MNIST -> SVHN .503 +- .008
    row = one(page, "mnist-svhn-common-coherence", f="0.25", given="mnist", estimator="micro")
    assert (row["published_mean"], row["published_sd"]) == ("0.503", "0.008")
    macro = one(page, "mnist-svhn-common-coherence", f="0.25", given="mnist", estimator="macro")
    assert macro["published_mean"] == ""


def test_scores_csv_has_every_score(page: Path, filled: Path) -> None:
    with Store.open_readonly(filled) as store:
        expected = sum(max(len(run.scores), 1) for run in store.runs())
    assert len(rows(page, "scores")) == expected


def test_mean_and_sd_are_exact_where_sums_are_ill_conditioned() -> None:
    mean, sd = mean_and_sd([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16])  # a known trap: variance 30
    assert mean == 1e9 + 10
    assert sd == pytest.approx(math.sqrt(30), rel=1e-12)
    assert mean_and_sd([]) == (None, None)


def test_protocols_are_never_averaged_together(make: Callable[..., RunRecord]) -> None:
    def scored(seed: int, steps: int) -> RunRecord:
        score = Score("latent_accuracy", 1, "street", "", 0.5, None, 10, "linear-sample", {"steps": steps, "rate": 0.1})
        return RunRecord(**{**vars(make(seed=seed)), "scores": (score,)})

    found = rows_of([scored(0, 300), scored(1, 3000)], "latent_accuracy")
    assert sorted((row.protocol["steps"], row.n) for row in found) == [(300, 1), (3000, 1)]
    assert all(row.protocol.keys() == {"steps", "rate"} for row in found)
    assert sorted(line.note for line in lines_of(found)) == ["rate 0.1, steps 300", "rate 0.1, steps 3000"]


def test_what_was_measured_beside_a_score_parts_no_rows(make: Callable[..., RunRecord]) -> None:
    (row,) = rows_of([make(seed=0), make(seed=1)], "log_likelihood")  # their effective sample sizes are 40 and 41
    assert (row.n, row.protocol) == (2, {})


def test_runs_judged_by_different_classifiers_are_named(
    make: Callable[..., RunRecord], filled: Path, tmp_path: Path
) -> None:
    alike, apart = ([make(seed=0), make(seed=1, judge=judge)] for judge in ("aa", "cc"))
    with Store.open_readonly(filled) as store:
        warnings = [judges_differ(Desk(store, tmp_path, *groups_of(runs), [])) for runs in (alike, apart)]
    assert warnings == ["", "Runs were judged by different classifiers (2 for handwritten)."]


def test_only_the_newest_version_of_a_metric_is_used(make: Callable[..., RunRecord]) -> None:
    old, new = (Score("m", v, "", "", float(v), None, 1, "e") for v in (1, 2))
    runs = [RunRecord(**{**vars(make(seed=s)), "scores": scores}) for s, scores in ((0, (old, new)), (1, (old,)))]
    (row,) = rows_of(runs, "m")
    assert (row.version, row.mean, row.n, row.of) == (2, 2.0, 1, 2)


def test_the_complete_run_ends_every_line_of_its_model(make: Callable[..., RunRecord]) -> None:
    runs = [make(), make(scheme="split", f=0.5), make(scheme="street-only", f=0.25), make(model="mvae")]
    found: dict[Any, Any] = {}
    for line in lines_of(
        [r for r in rows_of(runs, "cross_coherence") if (r.estimator, r.given) == ("micro", "street")]
    ):
        found[line.variant.model, line.scheme] = [f for f, _, _ in line.points]
    assert found == {
        ("meme", "split"): [1.0, 0.5],
        ("meme", "street-only"): [1.0, 0.25],
        ("mvae", "complete"): [1.0],
    }


def test_an_estimator_that_does_not_apply_to_a_model_is_no_failure(make: Callable[..., RunRecord]) -> None:
    def scored(model: str, estimator: str) -> RunRecord:
        score = Score("log_likelihood", 1, "street", "street", -1.0, None, 10, estimator)
        return RunRecord(**{**vars(make(model=model)), "scores": (score,)})

    runs = [scored("meme", "conditional-iwae-100"), scored("mvae", "iwae-100"), make(model="mmvae", status="failed")]
    found = {(r.condition.variant.model, r.estimator): (r.n, r.of) for r in rows_of(runs, "log_likelihood")}
    assert found == {
        ("meme", "conditional-iwae-100"): (1, 1),
        ("mvae", "iwae-100"): (1, 1),
        ("mmvae", "conditional-iwae-100"): (0, 1),
        ("mmvae", "iwae-100"): (0, 1),
    }
