"""Make the golden database of the present schema, as a SQL text: `python tests/results/golden/make_golden.py`.

Run once when a schema is made, by the code of that time; afterwards `schema_<revision>.sql` stays as it is, so that
stores of that time can be read for ever. `test_store_schema.py` states what must be read from it.
"""

import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score
from mmbench.results.schema import REVISIONS
from mmbench.results.store import Store

SPEC = {"model": "meme", "dataset": "digits", "f": 0.25, "seed": 3, "settings": {"train": {"clip": None}}}


def fill(store: Store) -> None:
    """A run with everything, a superseded one, a diverged one, and a score that was evaluated again."""
    store.add(_run("golden-1", "interrupted", error="stopped by Ctrl-C at step 7."))
    scores = (
        Score("cross_coherence", 1, "a", "b", 0.5, 0.25, 4, "micro", {}, {"ess": 2.5}),
        Score("joint_coherence", 1, "", "", None, status="skipped", note="no prior"),
    )
    curve = Curve("loss", np.array([1, 1 << 40]), np.array([0.1, np.nan]))
    array = ArrayRecord("samples", "joint/a", np.array([[1, 255]], np.uint8), {"target": "a"})
    store.add(_run("golden-2", "done", scores=scores, curves=(curve,), arrays=(array,)))
    store.add(_run("golden-3", "diverged", fit_key="0f", error="training diverged at step 2."))
    store.add_results("golden-2", [Score("cross_coherence", 1, "a", "b", 0.75, None, 8, "micro", {}, {"ess": 7.5})])


def _run(run_id: str, status: str, *, fit_key: str = "0e", **parts: object) -> RunRecord:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    base = {"provenance": {"note": "naïve ±"}, "facts": {"partial": True}, "timings": {"train_s": 1.5}}
    return RunRecord(id=run_id, fit_key=fit_key, spec=SPEC, status=status, created=moment, **base, **parts)


def main() -> None:
    """Write the SQL text of a store made now."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "golden.db"
        with Store.open(path) as store:
            fill(store)
        with closing(sqlite3.connect(path)) as connection:
            text = "\n".join(connection.iterdump())
    target = Path(__file__).with_name(f"schema_{REVISIONS[-1]}.sql")
    target.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
