"""Frozen records to and from the rows of the schema; everything is checked before a database is touched."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast, get_args

from sqlalchemy import Row, Text
from sqlalchemy import cast as in_sql

from mmbench.config import content_hash
from mmbench.errors import InvalidSetting
from mmbench.results import packing
from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score, Status
from mmbench.results.schema import ArrayRow, CurveRow, Run, ScoreRow

__all__ = [
    "SCORE_COLUMNS",
    "array_record",
    "array_rows",
    "curve_record",
    "outline",
    "plain_scores",
    "run_record",
    "run_row",
    "score_key",
    "score_rows",
]

STEPS, POINTS = "<i8", "<f8"

SCORE_COLUMNS = (
    in_sql(ScoreRow.params, Text),
    in_sql(ScoreRow.details, Text),
    ScoreRow.metric,
    ScoreRow.version,
    ScoreRow.given,
    ScoreRow.target,
    ScoreRow.value,
    ScoreRow.stderr,
    ScoreRow.n,
    ScoreRow.estimator,
    ScoreRow.status,
    ScoreRow.note,
)
"""What `plain_scores` reads of a score, after the number of its run."""


def score_key(score: Score) -> str:
    """What makes a score the same score: a hash of metric, version, given, target, estimator and params."""
    params = packing.json_object(score.params, f"params of {score.metric}")
    return content_hash([score.metric, int(score.version), score.given, score.target, score.estimator, params])


def run_row(record: RunRecord) -> Run:
    """A new, current row with its scores, curves and arrays.

    Raises:
        InvalidSetting: a value that the store cannot keep, or two parts of the record that have the same key.
    """
    if record.status not in get_args(Status):
        raise InvalidSetting(f"run {record.id!r} has the status {record.status!r}, not one of {get_args(Status)}.")
    if not record.id or record.created.tzinfo is None or record.superseded:
        raise InvalidSetting(f"a new run needs an id, a created with a time zone and superseded=False ({record.id!r}).")
    return Run(
        id=record.id,
        fit_key=record.fit_key,
        status=record.status,
        error=record.error,
        created=record.created,
        superseded=False,
        spec=packing.json_object(record.spec, "spec"),
        provenance=packing.json_object(record.provenance, "provenance"),
        facts=packing.json_object(record.facts, "facts"),
        timings=packing.json_object(record.timings, "timings"),
        scores=score_rows(record.scores),
        curves=_curve_rows(record.curves),
        arrays=array_rows(record.arrays),
    )


def score_rows(scores: Sequence[Score]) -> list[ScoreRow]:
    """New, current rows of the scores, in their order."""
    rows = [_score_row(score) for score in scores]
    _refuse_twins("scores", [(row.metric, row.given, row.target, row.estimator, row.key) for row in rows])
    return rows


def array_rows(arrays: Sequence[ArrayRecord]) -> list[ArrayRow]:
    """New, current rows of the arrays, in their order."""
    _refuse_twins("arrays", [(array.metric, array.name) for array in arrays])
    return [
        ArrayRow(
            metric=array.metric,
            name=array.name,
            meta=packing.json_object(array.meta, f"meta of {array.name}"),
            npy=packing.array_bytes(array.value, f"array {array.name!r} of {array.metric}"),
            superseded=False,
        )
        for array in arrays
    ]


def run_record(row: Run) -> RunRecord:
    """The record of a row with its scores, curves and arrays."""
    return replace(
        outline(row, [_score(part) for part in row.scores]),
        curves=tuple(map(curve_record, row.curves)),
        arrays=tuple(map(array_record, row.arrays)),
    )


def outline(row: Run | Row[Any], scores: Iterable[Score]) -> RunRecord:
    """The record of a row, an object of the session or plain, with these scores, without curves and arrays."""
    return RunRecord(
        id=row.id,
        fit_key=row.fit_key,
        spec=row.spec,
        status=cast(Status, row.status),
        provenance=row.provenance,
        facts=row.facts,
        timings=row.timings,
        created=row.created,
        error=row.error,
        scores=tuple(scores),
        superseded=row.superseded,
    )


def plain_scores(found: Iterable[Any]) -> dict[int, list[Score]]:
    """Number of a run -> scores, of rows of its number and `SCORE_COLUMNS`.

    The same few texts of JSON come ten thousands of times, so that each is read once.
    """
    read: dict[str, dict[str, Any]] = {}
    by_run: dict[int, list[Score]] = defaultdict(list)
    for run, params, details, metric, version, given, target, value, stderr, n, estimator, status, note in found:
        for text in (params, details):
            if text not in read:
                read[text] = json.loads(text)
        own = dict(read[params]), dict(read[details])
        by_run[run].append(Score(metric, version, given, target, value, stderr, n, estimator, *own, status, note))
    return by_run


def curve_record(row: CurveRow) -> Curve:
    """The curve, its steps as int64 `[n]` and its values as float64 `[n]`."""
    return Curve(row.name, packing.unpack(row.steps, STEPS), packing.unpack(row.points, POINTS))


def array_record(row: ArrayRow) -> ArrayRecord:
    """The array with its dtype and shape. Raises `StoreError` where its bytes are damaged."""
    value = packing.read_array(row.npy, f"array {row.name!r} of {row.metric}")
    return ArrayRecord(row.metric, row.name, value, row.meta)


def _score_row(score: Score) -> ScoreRow:
    where = f"score {score.metric} ({score.given or '-'} -> {score.target or '-'}, {score.estimator or '-'})"
    value = packing.finite(score.value, f"the value of {where}")
    if (value is None) != (score.status == "skipped"):
        raise InvalidSetting(f"{where} needs a value, or the status 'skipped' with a note, and not both.")
    return ScoreRow(
        key=score_key(score),
        metric=score.metric,
        version=int(score.version),
        given=score.given,
        target=score.target,
        estimator=score.estimator,
        params=packing.json_object(score.params, f"params of {where}"),
        details=packing.json_object(score.details, f"details of {where}"),
        value=value,
        stderr=packing.finite(score.stderr, f"the standard error of {where}"),
        n=int(score.n),
        status=score.status,
        note=score.note,
        superseded=False,
    )


def _score(row: ScoreRow) -> Score:
    return Score(
        metric=row.metric,
        version=row.version,
        given=row.given,
        target=row.target,
        value=row.value,
        stderr=row.stderr,
        n=row.n,
        estimator=row.estimator,
        params=row.params,
        details=row.details,
        status="skipped" if row.status == "skipped" else "ok",
        note=row.note,
    )


def _curve_rows(curves: Sequence[Curve]) -> list[CurveRow]:
    _refuse_twins("curves", [(curve.name,) for curve in curves])
    for curve in curves:
        if len(curve.steps) != len(curve.values):
            counts = f"{len(curve.steps)} steps and {len(curve.values)} values"
            raise InvalidSetting(f"curve {curve.name!r} has {counts}; it needs one value a step.")
    return [
        CurveRow(
            name=curve.name,
            steps=packing.pack(curve.steps, STEPS, f"steps of curve {curve.name!r}"),
            points=packing.pack(curve.values, POINTS, f"values of curve {curve.name!r}"),
        )
        for curve in curves
    ]


def _refuse_twins(kind: str, keys: Sequence[tuple[str, ...]]) -> None:
    for key, times in Counter(keys).items():
        if times > 1:
            raise InvalidSetting(f"{times} {kind} of one record are the same, {key}; each needs a key of its own.")
