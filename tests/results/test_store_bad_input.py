"""A store that cannot be used: one sentence, and files as they were."""

import io
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmbench.errors import StoreError
from mmbench.results.records import RunRecord
from mmbench.results.store import Store

Make = Callable[..., RunRecord]
Start = Callable[..., "subprocess.Popen[str]"]

# Everything is imported before the rights are given up: another user may not read this Python installation.
ATTEMPT = """
import os, sys
import alembic.op, alembic.runtime.environment, alembic.script, sqlalchemy.dialects.sqlite
from mmbench.errors import StoreError
from mmbench.results.store import Store
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    with getattr(Store, sys.argv[1])(sys.argv[2]) as store:
        print(len(store.runs()))
except StoreError as error:
    print(error)
"""


@pytest.fixture
def as_other_user(python: Start) -> Callable[[str, Path], str]:
    """What a user without special rights gets from opening a store; the tests may run as root, who has them all."""

    def attempt(how: str, path: Path) -> str:
        process = python(ATTEMPT, how, str(path))
        out, problem = process.communicate(timeout=120)
        assert process.returncode == 0, problem
        return str(out).strip()

    return attempt


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="mmbench-test-"))
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


def _listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestAbsent:
    def test_for_reading(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "results.db"
        with pytest.raises(StoreError, match=r"store .*results\.db does not exist; `mmbench run --store"):
            Store.open_readonly(path)
        assert list(tmp_path.iterdir()) == []

    def test_for_writing_without_creation(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="does not exist"):
            Store.open(tmp_path / "deep" / "results.db", create=False)
        assert list(tmp_path.iterdir()) == []

    def test_it_is_made_with_its_folders(self, tmp_path: Path) -> None:
        with Store.open(tmp_path / "a" / "b" / "results.db") as store:
            assert store.folder == tmp_path / "a" / "b"
        assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["results.db"]

    def test_an_existing_one_is_opened_without_creation(self, tmp_path: Path) -> None:
        Store.open(tmp_path / "results.db").close()
        Store.open(tmp_path / "results.db", create=False).close()

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(StoreError, match=r"the folder of store .* cannot be made \(.*\); name another"):
            Store.open(tmp_path / "file" / "results.db")
        assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("opened", [Store.open, Store.open_readonly])
class TestNoDatabase:
    @pytest.mark.parametrize(
        "content", [b"not a database at all", b"SQLite format 3\0" + bytes(4096), b"\x89PNG" * 999]
    )
    def test_a_file_of_something_else(self, tmp_path: Path, opened: Callable[[Path], Store], content: bytes) -> None:
        path = tmp_path / "results.db"
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"is not a database; name the file of a store"):
            opened(path)
        assert _listing(tmp_path) == {"results.db": content}

    def test_a_folder(self, tmp_path: Path, opened: Callable[[Path], Store]) -> None:
        with pytest.raises(StoreError, match=r"is a folder; name the file in it, e\.g\. .*results\.db\."):
            opened(tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_store_to_read_but_may_become_one(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    path.touch()
    with pytest.raises(StoreError, match="is empty"):
        Store.open_readonly(path)
    assert _listing(tmp_path) == {"results.db": b""}
    Store.open(path).close()
    Store.open_readonly(path).close()


def test_a_truncated_store_is_damaged(tmp_path: Path, make_record: Make) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        for number in range(20):
            store.add(make_record(f"r{number}", f"k{number}"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match="is damaged"), Store.open_readonly(path) as store:
        store.runs()


@pytest.mark.parametrize("npy", [b"", b"\x93NUMPY\x01\x00junk", None])
def test_a_damaged_or_pickled_array_is_refused(tmp_path: Path, make_record: Make, npy: bytes | None) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        store.add(make_record("a"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE arrays SET npy = ? WHERE metric = 'samples'", (npy or _pickled(),))
    with Store.open_readonly(path) as store:
        with pytest.raises(StoreError, match=r"array 'cross/handwritten\|street' of samples is damaged"):
            store.arrays("a")
        assert len(store.arrays("a", "relatedness")) == 1


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"code": "runs"}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def test_a_store_locked_for_too_long(tmp_path: Path, make_record: Make) -> None:
    path = tmp_path / "results.db"
    with Store.open(path, patience=0.1) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"is locked by another process for too long; try again"):
            store.add(make_record())
        with pytest.raises(StoreError, match="is locked"):
            Store.open(path, patience=0.1)
        assert store.runs() == []
        other.execute("ROLLBACK")
        store.add(make_record())


class TestReadOnly:
    @pytest.fixture
    def store_path(self, shared_folder: Path, make_record: Make) -> Path:
        path = shared_folder / "results.db"
        with Store.open(path) as store:
            store.add(make_record("a"))
        return path

    def test_a_file_for_writing(self, store_path: Path, as_other_user: Callable[[str, Path], str]) -> None:
        store_path.chmod(0o444)
        before = _listing(store_path.parent)
        assert as_other_user("open", store_path) == (
            f"store {store_path} cannot be written: {store_path} is read-only; name another store."
        )
        assert _listing(store_path.parent) == before

    def test_a_folder_for_writing(self, store_path: Path, as_other_user: Callable[[str, Path], str]) -> None:
        store_path.chmod(0o666)
        store_path.parent.chmod(0o555)
        assert as_other_user("open", store_path) == (
            f"store {store_path} cannot be written: {store_path.parent} is read-only; name another store."
        )
        assert as_other_user("open", store_path.parent / "new.db").endswith("is read-only; name another store.")

    @pytest.mark.parametrize("mode", [0o777, 0o555])
    def test_both_for_reading(self, store_path: Path, as_other_user: Callable[[str, Path], str], mode: int) -> None:
        store_path.chmod(0o444)
        store_path.parent.chmod(mode)
        assert as_other_user("open_readonly", store_path) == "1"

    def test_a_file_that_may_not_be_read(self, store_path: Path, as_other_user: Callable[[str, Path], str]) -> None:
        store_path.chmod(0o000)
        assert "may not be read by this user" in as_other_user("open_readonly", store_path)

    def test_sqlite_itself_finds_out(self, tmp_path: Path) -> None:
        """Where the file system says that it can be written, but the database cannot."""
        path = tmp_path / "results.db"
        Store.open(path).close()
        with pytest.raises(StoreError, match=r"cannot be written: the file or its folder is read-only"):
            Store.open(f"sqlite:///file:{path}?mode=ro&uri=true")
