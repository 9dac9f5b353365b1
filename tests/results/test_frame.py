"""Scores as a table: the columns, rows for what failed, and texts that depend on content alone."""

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from mmbench.results.frame import COLUMNS, scores_frame, to_csv, to_json
from mmbench.results.records import RunRecord, Score
from mmbench.results.store import Store

Make = Callable[..., RunRecord]

REQUIRED = [
    *("run", "model", "preset", "dataset", "scheme", "f", "seed", "metric", "given", "target", "value", "stderr", "n"),
    *("estimator", "status", "params", "details", "note", "version"),
]


@pytest.fixture
def records(make_record: Make) -> list[RunRecord]:
    done = make_record("a", "ka")
    failed = make_record("b", "kb", status="diverged", error="loss is nan", scores=(), provenance={})
    return [done, replace(failed, spec={**done.spec, "seed": 1})]


def test_columns_are_those_promised(records: list[RunRecord]) -> None:
    frame = scores_frame(records)
    assert list(frame.columns) == list(COLUMNS)
    assert list(frame.columns)[: len(REQUIRED)] == REQUIRED


def test_a_score_is_a_row(records: list[RunRecord]) -> None:
    row = scores_frame(records).query("run == 'a' and estimator == 'class'").to_dict(orient="records")
    assert len(row) == 1
    settings = row[0].pop("settings")
    assert len(settings) == 16
    assert row[0] == {
        "run": "a",
        "model": "mvae",
        "preset": "common",
        "dataset": "digits",
        "scheme": "split",
        "f": 0.5,
        "seed": 0,
        "metric": "cross_coherence",
        "given": "handwritten",
        "target": "street",
        "value": 0.25,
        "stderr": 0.05,
        "n": 75,
        "estimator": "class",
        "status": "ok",
        "params": '{"class":3}',
        "details": "{}",
        "note": "",
        "version": 1,
        "paired_only": False,
        "data": "embedded d1",
    }


def test_what_was_measured_beside_a_value_has_its_own_column(records: list[RunRecord]) -> None:
    (row,) = scores_frame(records).query("metric == 'log_likelihood'").to_dict(orient="records")
    assert (row["params"], row["details"]) == ('{"K":100}', '{"ess":2.5}')


def test_a_skipped_score_says_why(records: list[RunRecord]) -> None:
    (row,) = scores_frame(records).query("status == 'skipped'").to_dict(orient="records")
    assert (row["metric"], row["note"]) == ("relatedness", "no density")
    assert math.isnan(row["value"])


def test_a_run_that_ended_badly_is_one_row(records: list[RunRecord]) -> None:
    (row,) = scores_frame(records).query("run == 'b'").to_dict(orient="records")
    assert (row["status"], row["metric"], row["n"], row["note"], row["data"]) == ("diverged", "", 0, "loss is nan", "")
    assert math.isnan(row["value"])


def test_a_run_without_scores_is_not_forgotten(make_record: Make) -> None:
    (row,) = scores_frame([make_record(scores=())]).to_dict(orient="records")
    assert (row["status"], row["metric"]) == ("done", "")


def test_runs_of_other_settings_are_told_apart(make_record: Make) -> None:
    spec = dict(make_record().spec)
    other_seed = {**spec, "seed": 5}
    other_beta = {**spec, "settings": {**spec["settings"], "model": {"beta": 2.0}}}
    frame = scores_frame([make_record(str(n), str(n), spec=s) for n, s in enumerate((spec, other_seed, other_beta))])
    settings = frame.groupby("run")["settings"].first()
    assert settings["0"] == settings["1"]
    assert settings["0"] != settings["2"]


def test_a_store_gives_its_current_runs(records: list[RunRecord]) -> None:
    with Store.open(":memory:") as store:
        store.add(replace(records[0], id="old"))
        for record in records:
            store.add(record)
        assert to_csv(scores_frame(store)) == to_csv(scores_frame(records))


def test_nothing_gives_an_empty_table_of_the_same_types(records: list[RunRecord]) -> None:
    empty = scores_frame([])
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == scores_frame(records).dtypes.to_dict()
    assert to_csv(empty) == ",".join(COLUMNS) + "\n"
    assert json.loads(to_json(empty)) == []


@pytest.mark.parametrize("write", [to_csv, to_json])
def test_the_order_of_addition_leaves_no_trace(records: list[RunRecord], write: Callable[..., str]) -> None:
    shuffled = [replace(record, scores=record.scores[::-1]) for record in records[::-1]]
    assert write(scores_frame(shuffled)) == write(scores_frame(records))


@pytest.mark.parametrize("value", [1 / 3, 1e-17, -123456.789012345678, 5e-324])
def test_numbers_are_written_exactly(make_record: Make, value: float) -> None:
    frame = scores_frame([make_record(scores=(Score("m", 1, "a", "b", value, note='a "quoted", naïve\nnote'),))])
    (row,) = csv.DictReader(io.StringIO(to_csv(frame)))
    assert float(row["value"]) == value
    assert row["stderr"] == ""
    (item,) = json.loads(to_json(frame))
    assert (item["value"], item["stderr"], item["note"]) == (value, None, 'a "quoted", naïve\nnote')
