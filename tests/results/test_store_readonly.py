"""Reading a foreign store: nothing is written into it or beside it, and a writer at work does not disturb."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mmbench.results import database
from mmbench.results.records import RunRecord
from mmbench.results.store import Store

Make = Callable[..., RunRecord]


@pytest.fixture
def path(tmp_path: Path, make_record: Make) -> Path:
    """A store with one run that nobody has written for an hour, in WAL mode."""
    file = tmp_path / "results.db"
    with Store.open(file) as store:
        store.add(make_record("a", "ka"))
    hour_ago = file.stat().st_mtime - 3600
    os.utime(file, (hour_ago, hour_ago))
    return file


def _journal_mode(path: Path | str) -> str:
    with closing(sqlite3.connect(path, uri=str(path).startswith("file:"))) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_a_new_store_is_in_wal_mode(path: Path) -> None:
    assert _journal_mode(path) == "wal"


def test_another_journal_mode_serves_where_wal_cannot(tmp_path: Path, make_record: Make) -> None:
    with Store.open(f"sqlite:///file:{tmp_path / 'x.db'}?vfs=unix-dotfile&uri=true") as store:
        store.add(make_record("a"))
    assert _journal_mode(tmp_path / "x.db") == "delete"


def test_reading_leaves_the_folder_as_it_was(path: Path) -> None:
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    with Store.open_readonly(path) as store:
        assert [run.id for run in store.runs()] == ["a"]
        assert len(store.arrays("a")) == 2
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [entry.name for entry in path.parent.iterdir()] == ["results.db"]


def test_writing_leaves_one_file(path: Path, make_record: Make) -> None:
    with Store.open(path) as store:
        store.add(make_record("b", "kb"))
        assert [entry.name for entry in path.parent.iterdir()] == ["results.db"]


def test_what_a_writer_has_not_moved_from_its_log_is_seen(path: Path, make_record: Make) -> None:
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("UPDATE runs SET id = 'renamed'")
        writer.commit()
        with Store.open_readonly(path) as store:
            assert [run.id for run in store.runs()] == ["renamed"]


def test_a_write_during_a_quiet_read_is_noticed(path: Path, make_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of a read that a writer overtook is asked again from a connection that takes part in locking."""
    answers: list[list[RunRecord]] = []
    with Store.open_readonly(path) as store, Store.open(path) as writer:
        usual = database._transact

        def overtaken(engine: object, work: Callable[..., list[RunRecord]]) -> list[RunRecord]:
            answer = usual(engine, work)
            if not answers:
                answers.append(answer)
                with monkeypatch.context() as patch:
                    patch.setattr(database, "_transact", usual)
                    writer.add(make_record("b", "kb"))
            return answer

        monkeypatch.setattr(database, "_transact", overtaken)
        assert [run.id for run in store.runs()] == ["a", "b"]
    assert [run.id for run in answers[0]] == ["a"]


@pytest.mark.parametrize("name", ["with space", "50%", "question?mark", "hash#tag", "naïve", "a&b=c"])
def test_any_name_of_a_folder_serves(tmp_path: Path, make_record: Make, name: str) -> None:
    path = tmp_path / name / "results.db"
    with Store.open(path) as store:
        store.add(make_record("a"))
    for text in (str(path), path):
        with Store.open_readonly(text) as store:
            assert [run.id for run in store.runs()] == ["a"]
    assert path.is_file()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
