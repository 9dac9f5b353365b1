"""A disk that fills up: `StorageFull`, and what was stored before is intact."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, event

from mmbench.errors import StorageFull, StoreError
from mmbench.results import failures
from mmbench.results.records import ArrayRecord, RunRecord, Score
from mmbench.results.store import Store

Make = Callable[..., RunRecord]
BIG = ArrayRecord("samples", "big", np.zeros(1 << 21, np.uint8))
SENTENCE = "there is no room for more: the disk or its quota is full; what was stored before is intact"


@pytest.fixture
def quota() -> Iterator[Callable[[int], None]]:
    """Let SQLite databases grow no further than so many pages."""
    pages = [1 << 30]

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages[0]}")

    def set_pages(number: int) -> None:
        pages[0] = number

    event.listen(Engine, "connect", limit)
    yield set_pages
    event.remove(Engine, "connect", limit)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("may not mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(store: Store, make_record: Make, same: Callable[[RunRecord, RunRecord], None]) -> None:
    with pytest.raises(StorageFull, match=SENTENCE):
        store.add(make_record("big", "k", arrays=(BIG,)))
    with pytest.raises(StorageFull, match=SENTENCE):
        store.add_results("first", [Score("m", 1, "", "", 1.0)], [BIG])
    assert [(run.id, run.superseded) for run in store.runs(include_superseded=True)] == [("first", False)]
    same(store.get("first"), make_record("first", "k"))


def test_a_quota_of_pages(
    tmp_path: Path, make_record: Make, same: Callable[[RunRecord, RunRecord], None], quota: Callable[[int], None]
) -> None:
    with Store.open(tmp_path / "results.db") as store:
        store.add(make_record("first", "k"))
        quota(40)
        _fill(store, make_record, same)
        quota(1 << 20)
        store.add(make_record("big", "k", arrays=(BIG,)))
        assert [run.id for run in store.runs()] == ["big"]


def test_a_full_file_system(small_disk: Path, make_record: Make, same: Callable[[RunRecord, RunRecord], None]) -> None:
    with Store.open(small_disk / "results.db") as store:
        store.add(make_record("first", "k"))
        _fill(store, make_record, same)
    with Store.open_readonly(small_disk / "results.db") as store:
        same(store.get("first"), make_record("first", "k"))


def test_no_room_for_a_new_store(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(2 << 20))
    with pytest.raises(StorageFull, match=SENTENCE):
        Store.open(small_disk / "results.db")
    filler.unlink()
    Store.open(small_disk / "results.db").close()


@pytest.mark.parametrize("code", ["SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_TRUNCATE"])
def test_quotas_of_file_systems_come_as_failed_writes(code: str) -> None:
    """SQLite has its own code for a full disk only; EDQUOT and EFBIG come as failed writes."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = getattr(sqlite3, code)
    assert isinstance(failures.failure(error, "x"), StorageFull)


def test_a_copy_before_a_migration_that_has_no_room() -> None:
    error = OSError(28, "No space left on device")
    assert isinstance(failures.failure(error, "x"), StorageFull)


def test_a_failed_read_is_no_full_disk() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    assert type(failures.failure(error, "x")) is StoreError
