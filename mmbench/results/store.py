"""The results store: runs with their scores, curves and arrays, added whole, never changed, only superseded.

Two keys: a record supersedes the earlier record of its fit key (all that changes the weights), and a score added later
by an evaluation supersedes the earlier score of its score key. Frozen records go in and come out; no session, row or
connection leaves this room. A store is a SQLite file by default, or a PostgreSQL database by its URL.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mmbench.results import migrate, queries, rows
from mmbench.results.database import Database
from mmbench.results.location import check_present, check_writable, locate
from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score

__all__ = ["Store"]


class Store:
    """An open store; made by `Store.open` and `Store.open_readonly`, closed by `close` or a `with` block.

    Safe to use from several processes at once, each with a `Store` of its own, and from several threads.
    Every method raises `StoreError` where the database fails, and `StorageFull` where it has no room.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, where: str | Path, *, create: bool = True, patience: float = 60.0) -> Self:
        """Open for reading and writing; a new store is made and an older schema migrated, after a copy of the file.

        Args:
            where: a path, `:memory:`, or a SQLAlchemy URL.
            create: whether to make the store, and its folder, where there is none.
            patience: seconds to wait for other writers.

        Raises:
            StoreError: absent (without `create`), no database, a foreign one, read-only, locked, of a newer schema.
            StorageFull: no room to make or migrate it.
        """
        location = locate(where)
        if location.path is not None:
            check_writable(location.path, create=create)
        database = Database(location, patience=patience, readonly=False)
        migrate.prepare_for_writing(database)
        return cls(database)

    @classmethod
    def open_readonly(cls, where: str | Path, *, patience: float = 60.0) -> Self:
        """Open for reading only: never made, never migrated, never changed. Raises `StoreError` as `open` does."""
        location = locate(where)
        if location.path is not None:
            check_present(location.path)
        database = Database(location, patience=patience, readonly=True)
        migrate.check_readable(database)
        return cls(database)

    @property
    def name(self) -> str:
        """What messages call the store: its path, or its URL without password."""
        return self._database.location.name

    @property
    def folder(self) -> Path | None:
        """The folder of the SQLite file, beside which checkpoints lie; None for other databases."""
        path = self._database.location.path
        return None if path is None else path.parent

    def add(self, record: RunRecord) -> None:
        """Add a run whole or not at all; it supersedes the earlier record of its fit key, whatever its status.

        Raises:
            InvalidSetting: a value that the store cannot keep (NaN in JSON or a score, an object array, no time zone).
            StoreError: the id is taken.
        """
        row = rows.run_row(record)
        self._database.write(lambda session: queries.add_run(session, row))

    def add_results(self, run_id: str, scores: Sequence[Score], arrays: Sequence[ArrayRecord] = ()) -> None:
        """Add scores and arrays to a run, whole or not at all.

        A score supersedes the earlier one of its score key, and a metric's earlier "skipped" gives way to any new score
        of that metric and version; an array supersedes the earlier one of its metric and name.

        Raises:
            UnknownName: no run has exactly this id.
            InvalidSetting: a value that the store cannot keep.
        """
        new_scores, new_arrays = rows.score_rows(scores), rows.array_rows(arrays)
        self._database.write(lambda session: queries.add_results(session, run_id, new_scores, new_arrays))

    def find(self, fit_key: str) -> RunRecord | None:
        """The current record of a fit key, whole, or None."""
        return self._database.read(lambda session: queries.current(session, fit_key))

    def get(self, run: str) -> RunRecord:
        """The record, whole, of a run id, of a prefix that only one run has, or of `latest`, the run added last.

        An id is looked up as it is first, superseded runs included; for a prefix current runs come first.

        Raises:
            UnknownName: no run has it; lists the nearest ids.
            InvalidSetting: several runs have the prefix; lists them.
        """
        return self._database.read(lambda session: queries.whole(session, queries.resolve(session, run)))

    def runs(self, *, include_superseded: bool = False) -> list[RunRecord]:
        """All runs in the order in which they were added, with their scores, without curves and arrays."""
        return self._database.read(lambda session: queries.outlines(session, include_superseded))

    def curves(self, run_id: str) -> list[Curve]:
        """The curves of exactly this run, in the order in which they were recorded. Raises `UnknownName`."""
        return self._database.read(lambda session: queries.curves(session, run_id))

    def arrays(self, run_id: str, metric: str | None = None) -> list[ArrayRecord]:
        """The current arrays of exactly this run, of one metric or of all. Raises `UnknownName`."""
        return self._database.read(lambda session: queries.arrays(session, run_id, metric))

    def close(self) -> None:
        """Let go of the database; a store in memory is gone."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.name!r})"
