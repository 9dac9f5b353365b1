"""The tables of the results store: runs, and the scores, curves and arrays that belong to them.

Rows are added and never changed, except that `superseded` turns true when a later row takes a row's place; partial
unique indexes hold that at most one row of a key is current. Only types that SQLite and PostgreSQL share are used.
A change here needs a migration in `migrations/versions` and its name at the end of `REVISIONS`.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Double, ForeignKey, Index, LargeBinary, MetaData, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = ["REVISIONS", "ArrayRow", "Base", "CurveRow", "Run", "ScoreRow", "UTCDateTime"]

REVISIONS = ("0001",)
"""Names of the schema's revisions, oldest first; the last is the schema of this version of mmbench."""


class UTCDateTime(TypeDecorator[datetime]):
    """A moment, kept as UTC without a zone because SQLite has none, and given back with its zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC without a zone, as stored."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The stored moment with its zone."""
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """The metadata of all tables, with a fixed naming of constraints so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Run(Base):
    """One run; `number` counts runs in the order in which they were added."""

    __tablename__ = "runs"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    fit_key: Mapped[str] = mapped_column(index=True)
    status: Mapped[str]
    error: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(UTCDateTime)
    superseded: Mapped[bool] = mapped_column(default=False)
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    provenance: Mapped[dict[str, Any]] = mapped_column(JSON)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    timings: Mapped[dict[str, Any]] = mapped_column(JSON)

    scores: Mapped[list["ScoreRow"]] = relationship(order_by="ScoreRow.number", lazy="raise")
    curves: Mapped[list["CurveRow"]] = relationship(order_by="CurveRow.number", lazy="raise")
    arrays: Mapped[list["ArrayRow"]] = relationship(order_by="ArrayRow.number", lazy="raise")


class ScoreRow(Base):
    """One score; `key` is the hash of metric, version, given, target, estimator and params."""

    __tablename__ = "scores"

    number: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.number", ondelete="CASCADE"))
    key: Mapped[str]
    metric: Mapped[str] = mapped_column(index=True)
    version: Mapped[int]
    given: Mapped[str]
    target: Mapped[str]
    estimator: Mapped[str]
    params: Mapped[dict[str, Any]] = mapped_column(JSON)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    value: Mapped[float | None] = mapped_column(Double)
    stderr: Mapped[float | None] = mapped_column(Double)
    n: Mapped[int]
    status: Mapped[str]
    note: Mapped[str] = mapped_column(Text)
    superseded: Mapped[bool] = mapped_column(default=False)


class CurveRow(Base):
    """One curve: `steps` packed as little-endian 64-bit integers, `points` as little-endian 64-bit floats."""

    __tablename__ = "curves"

    number: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.number", ondelete="CASCADE"))
    name: Mapped[str]
    steps: Mapped[bytes] = mapped_column(LargeBinary)
    points: Mapped[bytes] = mapped_column(LargeBinary)


class ArrayRow(Base):
    """One array behind a figure; `npy` holds the bytes of an `.npy` file, never of an object array."""

    __tablename__ = "arrays"

    number: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.number", ondelete="CASCADE"))
    metric: Mapped[str]
    name: Mapped[str]
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)
    npy: Mapped[bytes] = mapped_column(LargeBinary)
    superseded: Mapped[bool] = mapped_column(default=False)


def _one_current(name: str, table: type[Run | ScoreRow | ArrayRow], *columns: str) -> None:
    current = table.superseded.is_(False)
    parts = [getattr(table, column) for column in columns]
    Index(name, *parts, unique=True, sqlite_where=current, postgresql_where=current)


_one_current("one_current_run", Run, "fit_key")
_one_current("one_current_score", ScoreRow, "run", "key")
_one_current("one_current_array", ArrayRow, "run", "metric", "name")
Index("one_curve", CurveRow.run, CurveRow.name, unique=True)
