"""Whole runs on the linear-Gaussian data: its metrics, incomplete rows of three modalities, and gaps that close."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.models.base import MODELS
from mmbench.results.records import RunRecord
from mmbench.results.report import write
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, evaluate_run, read_spec, resolve, run

METRICS = {"log_likelihood", "relatedness", "truth_gap"}
SMALL = {"metrics.truth_gap.k": 5, "metrics.truth_gap.rows": 50, "metrics.log_likelihood.k": 5, "data.rows": 300}


def request(sets: dict[str, Any] | None = None, **given: Any) -> Request:
    return Request(**{"model": "mvae", "dataset": "linear-gaussian", "sets": sets or {}, **given})


def done(store: Store, sets: dict[str, Any], **given: Any) -> RunRecord:
    options = RunOptions(device="cpu", threads=1, quiet=True, say=lambda sentence: None)
    return run(resolve(request(sets, **given)), store, options)


def gap(record: RunRecord, target: str) -> float:
    (found,) = [
        s for s in record.scores if (s.metric, s.target) == ("truth_gap", target) and s.estimator.startswith("iwae")
    ]
    assert found.value is not None
    return found.value


def test_the_dataset_names_its_metrics_and_digits_does_not_list_the_gap() -> None:
    spec = resolve(request())
    assert set(spec.metrics) == METRICS
    assert read_spec(json.loads(json.dumps(spec.to_dict()))) == spec
    assert set(resolve(request(metrics=("relatedness",))).metrics) == {"relatedness"}
    assert "truth_gap" not in resolve(Request(model="mvae")).metrics


def test_its_common_preset_holds_the_truth() -> None:
    settings = resolve(request()).settings
    assert settings["arch"]["latent_dim"] == settings["data"]["latent"]
    assert settings["arch"]["scale"] == settings["data"]["noise"]
    assert (settings["arch"]["networks"], settings["arch"]["likelihood"]) == ("linear", "normal")


@pytest.mark.parametrize("schedule", ["mixed", "alternate"])
def test_rows_with_any_pattern_are_trained_on_and_scored(store: Store, schedule: str) -> None:
    record = done(store, SMALL, scheme="mcar", f=0.3, steps=12, schedule=schedule)
    counts = record.provenance["rows"]
    assert (counts["m1+m2+m3"], sum(counts.values()), len(counts)) == (90, 300, 7)
    assert record.status == "done"
    assert {score.metric for score in record.scores} == METRICS
    assert all(score.status == "ok" for score in record.scores)


def test_gaps_and_grids_of_vectors_are_reported(store: Store, tmp_path: Path) -> None:
    sets = {"data.rows": 100, "metrics.truth_gap.k": 2, "metrics.truth_gap.rows": 20}
    done(store, sets, metrics=("samples", "truth_gap"), steps=3)
    page = write(store, tmp_path / "report")
    assert "truth_gap" in page.read_text(encoding="utf-8")


def test_added_scores_are_those_of_the_dataset(store: Store) -> None:
    options = RunOptions(device="cpu", threads=1, quiet=True)
    record = done(store, {"data.rows": 300}, steps=3, metrics=())
    assert not record.scores
    found = evaluate_run(record.id, store, sets={"metrics.truth_gap.k": "2"}, options=options)
    assert {score.metric for score in found.scores} == METRICS


def test_mnar_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(CannotBear, match=r"the dataset has no classes; use scheme 'mcar', or --f 1\."):
        resolve(request(scheme="mnar", f=0.5))
    assert resolve(request(scheme="mnar", f=1.0)).scheme == "complete"
    with pytest.raises(InvalidSetting, match=r"data\.pairs must lie in \[1, 1\]"):
        resolve(request({"data.pairs": 2}))


def test_every_pattern_that_a_scheme_may_draw_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that cannot learn from one pair of three modalities is refused under mcar, and not under split."""
    asked: list[tuple[str, ...]] = []

    def cannot_bear(self: Any, names: tuple[str, ...]) -> str | None:
        asked.append(tuple(names))
        return "no such pair" if set(names) == {"m1", "m3"} else None

    monkeypatch.setattr(MODELS["mvae"], "cannot_bear", cannot_bear)
    assert resolve(request(scheme="split", f=0.5)).scheme == "split"
    assert asked == [("m1",), ("m2",), ("m3",)]
    with pytest.raises(CannotBear, match="no such pair; use --paired-only"):
        resolve(request(scheme="mcar", f=0.5))
    assert resolve(request(scheme="mcar", f=0.5, paired_only=True)).paired_only


@pytest.mark.slow
def test_training_closes_the_gap(store: Store) -> None:
    sets = {"data.modalities": 2, "metrics.truth_gap.rows": 1000}
    untrained = done(store, sets, metrics=("truth_gap",), steps=5)
    trained = done(store, sets, metrics=("truth_gap",))
    assert gap(untrained, "m1+m2") > 5
    assert -0.05 < gap(trained, "m1+m2") < 0.2
    assert max(gap(trained, name) for name in ("m1", "m2")) < 0.2
