"""Scores as a table, one row a score, and its text as CSV or JSON.

The order of the rows depends on their content alone, not on which of several processes was first: the same results give
the same text. A run that ended badly, or has no scores, is one row with the run's status and no metric, so that no
table forgets it.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mmbench.config import canonical_json, content_hash
from mmbench.results.records import RunRecord, Score
from mmbench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "RUN_COLUMNS", "SCORE_COLUMNS", "score_rows", "scores_frame", "to_csv", "to_json"]

RUN_COLUMNS = ("model", "preset", "dataset", "scheme", "f", "paired_only", "settings", "data")
"""What runs that differ in nothing but their seed have in common."""

SCORE_COLUMNS = ("metric", "version", "given", "target", "estimator", "params")
"""What makes a score of a run the same score."""

COLUMNS = {
    "run": "str",
    "model": "str",
    "preset": "str",
    "dataset": "str",
    "scheme": "str",
    "f": "float64",
    "seed": "int64",
    "metric": "str",
    "given": "str",
    "target": "str",
    "value": "float64",
    "stderr": "float64",
    "n": "int64",
    "estimator": "str",
    "status": "str",
    "params": "str",
    "details": "str",
    "note": "str",
    "version": "int64",
    "paired_only": "bool",
    "settings": "str",
    "data": "str",
}
"""Column -> dtype. `params` (what identifies a score) and `details` (what was measured beside its value) are JSON text;
`settings` is a hash of the run's settings, equal for runs set up alike;
`data` the status and digest of the dataset's content (`unverified 3f2a`), empty where a run ended before it was read.
"""

_RUN_ORDER = ("dataset", "model", "preset", "scheme", "paired_only", "f", "settings", "data", "seed", "run")


def scores_frame(source: Store | Iterable[RunRecord]) -> "pd.DataFrame":
    """One row for each current score of each run, with the columns of `COLUMNS`.

    `status` is `ok` or `skipped` for a score (its reason in `note`), and the run's status in the row without metric
    of a run that did not end as `done` or has no scores (its error in `note`). Absent values and errors are NaN.

    Args:
        source: a store, whose current runs are taken, or records.
    """
    import pandas as pd

    return pd.DataFrame(score_rows(source), columns=list(COLUMNS)).astype(COLUMNS)


def score_rows(source: Store | Iterable[RunRecord]) -> Iterator[dict[str, Any]]:
    """The rows of `scores_frame` as plain values, in its order, one after the other; needs no pandas."""
    records = source.runs() if isinstance(source, Store) else source
    abouts = [
        ({"run": record.id, **_about(record.spec), "data": _data(record.provenance)}, record) for record in records
    ]
    for about, record in sorted(abouts, key=lambda pair: _place(pair[0], _RUN_ORDER)):
        yield from sorted(_rows(about, record), key=lambda row: _place(row, SCORE_COLUMNS))


def _place(row: Mapping[str, Any], order: Iterable[str]) -> tuple[Any, ...]:
    return tuple([math.inf if row[name] != row[name] else row[name] for name in order])


def to_csv(frame: "pd.DataFrame") -> str:
    """CSV with a header; absent numbers are empty, numbers are written so that they read back exactly."""
    return frame.to_csv(index=False, lineterminator="\n")


def to_json(frame: "pd.DataFrame") -> str:
    """A JSON list with one object a row, one row a line; absent numbers are null."""
    records: list[dict[str, Any]] = [
        {str(name): _absent_as_none(value) for name, value in row.items()} for row in frame.to_dict(orient="records")
    ]
    lines = ",\n".join(json.dumps(record, allow_nan=False, ensure_ascii=False) for record in records)
    return f"[\n{lines}\n]\n" if records else "[]\n"


def _rows(about: Mapping[str, Any], record: RunRecord) -> Iterator[dict[str, Any]]:
    if record.status != "done" or not record.scores:
        nothing = Score(metric="", version=0, given="", target="", value=None)
        yield {**about, **_measured(nothing), "status": record.status, "note": record.error}
    for score in record.scores:
        yield {**about, **_measured(score)}


def _about(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The run's columns; a spec of another origin may lack some, which are then empty."""
    texts = {name: str(spec.get(name, "")) for name in ("model", "preset", "dataset", "scheme")}
    return {
        **texts,
        "f": float(spec.get("f", math.nan)),
        "seed": spec.get("seed", -1),
        "paired_only": bool(spec.get("paired_only", False)),
        "settings": content_hash(spec.get("settings", {})),
    }


def _data(provenance: Mapping[str, Any]) -> str:
    facts = provenance.get("data")
    known = [facts.get("status"), facts.get("digest")] if isinstance(facts, Mapping) else []
    return " ".join(str(fact) for fact in known if fact)


def _measured(score: Score) -> dict[str, Any]:
    return {
        "metric": score.metric,
        "version": score.version,
        "given": score.given,
        "target": score.target,
        "value": math.nan if score.value is None else score.value,
        "stderr": math.nan if score.stderr is None else score.stderr,
        "n": score.n,
        "estimator": score.estimator,
        "params": canonical_json(score.params) if score.params else "{}",
        "details": canonical_json(score.details) if score.details else "{}",
        "status": score.status,
        "note": score.note,
    }


def _absent_as_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
