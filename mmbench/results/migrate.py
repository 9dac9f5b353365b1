"""The schema of a store: told apart from foreign databases, made when new, brought to the newest when older.

Migrations are Alembic's, shipped inside the package, and run in the transaction that holds the write lock: whole or not
at all. A SQLite file is copied before any of them touches it. Alembic is imported only when there is something to do.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.orm import Session

from mmbench.errors import StoreError
from mmbench.results.database import Database
from mmbench.results.location import Location
from mmbench.results.schema import REVISIONS

__all__ = ["FOLDER", "check_readable", "prepare_for_writing", "upgrade"]

FOLDER = Path(__file__).parent / "migrations"


def prepare_for_writing(database: Database) -> None:
    """Make the schema of an empty database, migrate an older one, and find out now whether it can be written.

    Raises:
        StoreError: a foreign database, a newer schema, a database that cannot be written; nothing was changed.
        StorageFull: no room for the schema, the copy or the migration.
    """
    if database.read(lambda session: _revision(session, database.location)) is None:
        database.prefer_wal()
    database.write(lambda session: _to_newest(session, database.location))


def check_readable(database: Database) -> None:
    """Raises `StoreError` unless the database holds a store of exactly this version's schema."""
    name = database.location.name
    revision = database.read(lambda session: _revision(session, database.location))
    if revision is None:
        raise StoreError(f"store {name} is empty; `mmbench run --store` fills it.")
    if revision != REVISIONS[-1]:
        raise StoreError(
            f"store {name} has the older schema {revision} and is not migrated for reading; "
            "open a copy of it once for writing, e.g. with `mmbench run --store`."
        )


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision inside the connection's transaction."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(FOLDER))
    context = EnvironmentContext(Config(), script, fn=lambda held, _: script._upgrade_revs("head", held))
    with context:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


def _to_newest(session: Session, location: Location) -> None:
    revision = _revision(session, location)
    if revision == REVISIONS[-1]:
        session.execute(text("DELETE FROM runs WHERE 1 = 0"))  # fails where writing would, and changes nothing
        return
    if revision is not None and location.path is not None:
        _back_up(location.path, revision)
    upgrade(session.connection())


def _revision(session: Session, location: Location) -> str | None:
    """The schema's revision, None for an empty database."""
    tables = set(inspect(session.connection()).get_table_names())
    if not tables:
        return None
    if not {"alembic_version", "runs", "scores"} <= tables:
        raise StoreError(
            f"store {location.name} is a database of something else (tables {', '.join(sorted(tables)[:5])}); "
            "name another file or database for mmbench."
        )
    revision = str(session.scalar(text("SELECT version_num FROM alembic_version")))
    if revision not in REVISIONS:
        raise StoreError(
            f"store {location.name} has the schema {revision}, newer than {REVISIONS[-1]} of this mmbench; "
            "update mmbench or name another store."
        )
    return revision


def _back_up(path: Path, revision: str) -> None:
    """Copy what is committed to `<name>.schema-<revision>.backup`, with a number where that is taken."""
    target = Path(f"{path}.schema-{revision}.backup")
    number = 1
    while target.exists():
        number += 1
        target = Path(f"{path}.schema-{revision}.backup-{number}")
    partial = Path(f"{target}.{os.getpid()}.partial")
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(partial)) as copy:
            source.backup(copy)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
