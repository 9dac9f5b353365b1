"""Several processes at one store: nothing is lost, nothing is torn, nobody is turned away."""

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmbench.results.records import RunRecord
from mmbench.results.store import Store

Make = Callable[..., RunRecord]
Start = Callable[..., "subprocess.Popen[str]"]

WRITERS, RECORDS, ROWS = 4, 10, 20

# Arguments: store, name of the writer, number of records. All writers share the fit key `shared` once each round.
WRITER = """
import sys
from datetime import UTC, datetime
import numpy as np
from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score
from mmbench.results.store import Store

place, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(count):
    key = "shared" if number % 2 else f"{name}-{number}"
    scores = tuple(Score("m", 1, "a", "b", float(row), params={"row": row}) for row in range(20))
    with Store.open(place) as store:
        store.add(
            RunRecord(
                f"{name}-{number}", key, {"seed": number}, "done", {}, {}, {}, datetime.now(UTC), scores=scores,
                curves=(Curve("loss", np.arange(100), np.arange(100.0)),),
                arrays=(ArrayRecord("m", "a", np.zeros((64, 64))),),
            )
        )
        store.add_results(f"{name}-{number}", [Score("later", 1, "", "", 1.0)])
"""

# Ends without a word in the middle of a transaction, like a process that is killed.
DYING = """
import os, sys
from datetime import UTC, datetime
import numpy as np
from sqlalchemy import Engine, event
from mmbench.results.records import ArrayRecord, RunRecord, Score
from mmbench.results.store import Store

@event.listens_for(Engine, "after_cursor_execute")
def die(_connection, _cursor, statement, *_):
    if statement.startswith("INSERT INTO arrays"):
        os._exit(9)

parts = {"scores": (Score("m", 1, "", "", 1.0),), "arrays": (ArrayRecord("m", "a", np.zeros(1 << 20)),)}
with Store.open(sys.argv[1]) as store:
    store.add(RunRecord("dying", "k", {}, "done", {}, {}, {}, datetime.now(UTC), **parts))
"""


def _watch(path: Path, processes: list["subprocess.Popen[str]"]) -> int:
    """Read while others write; what is seen is whole and only grows. Returns the number of looks."""
    seen: set[str] = set()
    looks = 0
    while any(process.poll() is None for process in processes):
        if path.exists() and path.stat().st_size:
            with Store.open_readonly(path) as reader:
                runs = reader.runs(include_superseded=True)
            assert all(len([s for s in run.scores if s.metric == "m"]) == ROWS for run in runs)
            assert sum(run.fit_key == "shared" and not run.superseded for run in runs) <= 1
            ids = {run.id for run in runs}
            assert seen <= ids
            seen, looks = ids, looks + 1
        time.sleep(0.01)
    return looks


@pytest.mark.parametrize("place", ["{path}", "sqlite:///file:{path}?vfs=unix-dotfile&uri=true"])
def test_writers_and_a_reader_at_once(tmp_path: Path, python: Start, place: str) -> None:
    path = tmp_path / "results.db"
    where = place.format(path=path)
    Store.open(where).close()
    processes = [python(WRITER, where, f"w{number}", str(RECORDS)) for number in range(WRITERS)]
    looks = _watch(path, processes) if "vfs" not in where else 1
    assert [process.communicate(timeout=200) for process in processes] == [("", "")] * WRITERS
    assert looks > 0
    with Store.open_readonly(where) as store:
        runs = store.runs(include_superseded=True)
        assert {run.id for run in runs} == {f"w{w}-{r}" for w in range(WRITERS) for r in range(RECORDS)}
        assert all(len(run.scores) == ROWS + 1 for run in runs)
        assert [len(store.arrays(run.id)) for run in runs] == [1] * len(runs)
        shared = [run for run in runs if run.fit_key == "shared"]
        assert [run.superseded for run in shared] == [True] * (len(shared) - 1) + [False]


def test_one_store_made_by_several_at_once(tmp_path: Path, python: Start) -> None:
    path = tmp_path / "new" / "results.db"
    processes = [python(WRITER, str(path), f"w{number}", "1") for number in range(WRITERS)]
    assert [process.communicate(timeout=200) for process in processes] == [("", "")] * WRITERS
    with Store.open_readonly(path) as store:
        assert {run.id for run in store.runs()} == {f"w{number}-0" for number in range(WRITERS)}


def test_a_process_killed_in_the_middle_leaves_nothing(tmp_path: Path, python: Start, make_record: Make) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        store.add(make_record("first", "k"))
    process = python(DYING, str(path))
    process.communicate(timeout=100)
    assert process.returncode == 9
    with Store.open_readonly(path) as store:
        assert [(run.id, run.superseded) for run in store.runs(include_superseded=True)] == [("first", False)]
    with Store.open(path) as store:
        store.add(make_record("second", "k"))
        assert [run.id for run in store.runs()] == ["second"]


def test_threads_share_a_store(tmp_path: Path, make_record: Make) -> None:
    with Store.open(tmp_path / "results.db") as store, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: store.add(make_record(f"t{number}", f"k{number}")), range(12)))
        assert {run.id for run in store.runs()} == {f"t{number}" for number in range(12)}
