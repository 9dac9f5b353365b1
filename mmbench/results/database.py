"""Transactions on a store's database: short, whole or not at all, one writer at a time.

A connection lives as long as its transaction, so that no process holds a store while it trains. On SQLite a write
begins with BEGIN IMMEDIATE, so that writers queue at the start and none fails in the middle; on PostgreSQL an advisory
lock does the same. A file opened for reading only is left alone: nothing is created beside it while nobody writes it.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, StaticPool

from mmbench.errors import StoreError
from mmbench.results.failures import store_failures
from mmbench.results.location import Location

__all__ = ["Database"]

T = TypeVar("T")

SETTLED_AFTER_S = 1.0
"""A file that changed more recently than this may be written at this moment: clocks of file systems tick in ms."""

_ADVISORY_LOCK = 0x6D6D62656E6368  # "mmbench" in ASCII


class Database:
    """A database that answers questions and takes in work, each in one transaction.

    Args:
        patience: seconds to wait for other writers.
        readonly: whether writing is refused, by mmbench and by the database.
    """

    def __init__(self, location: Location, *, patience: float, readonly: bool) -> None:
        self.location, self.readonly, self._patience = location, readonly, patience
        if readonly and location.path is not None:
            self._engine = self._connected(location.file_url(mode="ro"))
            self._still = self._connected(location.file_url(mode="ro", immutable="1"))
        else:
            self._engine = self._connected(location.url)

    def read(self, question: Callable[[Session], T]) -> T:
        """The answer to a question, from one consistent state of the database."""
        with store_failures(self.location.name, self.location.password):
            if self.readonly and self.location.path is not None:
                return self._read_file(self.location.path, question)
            return _transact(self._engine.execution_options(postgresql_readonly=self.readonly), question)

    def write(self, work: Callable[[Session], T]) -> T:
        """Do the work whole or not at all, while no other process writes."""
        if self.readonly:
            raise StoreError(f"store {self.location.name} is open for reading only; open it for writing instead.")
        with store_failures(self.location.name, self.location.password):
            return _transact(self._engine.execution_options(sqlite_begin="BEGIN IMMEDIATE"), self._alone(work))

    def prefer_wal(self) -> None:
        """Let readers and a writer work side by side on a new SQLite file, where its file system can do so."""
        if self.location.path is None:
            return
        deadline = time.monotonic() + self._patience
        with store_failures(self.location.name):
            while not _set_wal(self._engine) and time.monotonic() < deadline:
                time.sleep(0.02)

    def close(self) -> None:
        """Let go of a database in memory; others hold nothing between transactions."""
        self._engine.dispose()

    def _read_file(self, path: Path, question: Callable[[Session], T]) -> T:
        """Read a file without leaving a log beside it, and once more with one if it was written meanwhile."""
        before = _state(path)
        if not _settled(path):
            return _transact(self._engine, question)
        try:
            answer = _transact(self._still, question)
        except DBAPIError:
            if _state(path) == before:
                raise
        else:
            if _state(path) == before:
                return answer
        return _transact(self._engine, question)

    def _alone(self, work: Callable[[Session], T]) -> Callable[[Session], T]:
        if self._engine.dialect.name != "postgresql":
            return work

        def locked(session: Session) -> T:
            session.execute(text(f"SET LOCAL lock_timeout = {max(1, int(self._patience * 1000))}"))
            session.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            return work(session)

        return locked

    def _connected(self, url: Any) -> Engine:
        options: dict[str, Any] = {"poolclass": NullPool}
        if self.location.is_sqlite:
            options["connect_args"] = {"timeout": self._patience}
            if self.location.path is None:
                options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        try:
            engine = create_engine(url, **options)
        except (ImportError, NoSuchModuleError) as error:
            raise StoreError(
                f"store {self.location.name} needs a driver that is not there ({error}); "
                "for PostgreSQL: pip install 'mmbench[postgres]' and a URL that begins with postgresql+psycopg://."
            ) from error
        if self.location.is_sqlite:
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        return engine


def _transact(engine: Engine, work: Callable[[Session], T]) -> T:
    with Session(engine) as session, session.begin():
        return work(session)


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # sqlite3 would begin transactions of its own, and too late
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Any) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def _set_wal(engine: Engine) -> bool:
    """Whether the journal mode is settled: not while another process holds the file."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return False
            if code not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CANTOPEN):
                raise
            cursor.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()
    return True


def _log_sizes(path: Path) -> list[int]:
    logs = [Path(f"{path}{suffix}") for suffix in ("-wal", "-journal")]
    return [log.stat().st_size if log.exists() else 0 for log in logs]


def _state(path: Path) -> tuple[int, ...]:
    facts = path.stat()
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns, *_log_sizes(path))


def _settled(path: Path) -> bool:
    """Whether nobody seems to write the file: no log holds changes, and it is old or its folder cannot be written."""
    age = time.time() - path.stat().st_mtime
    return not any(_log_sizes(path)) and (age > SETTLED_AFTER_S or not os.access(path.parent, os.W_OK))
