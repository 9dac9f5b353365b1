"""The schema: migrations make what the models say, old stores stay readable, nothing is migrated without a copy."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from mmbench.errors import StoreError
from mmbench.results import migrate, schema
from mmbench.results.records import RunRecord, Score
from mmbench.results.store import Store

Make = Callable[..., RunRecord]
GOLDEN = Path(__file__).parent / "golden"

SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("colour", sa.String, server_default="blue", nullable=False))
    {more}
"""


@pytest.fixture
def second_schema(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Let mmbench have a second schema from here on."""

    def make(more: str = "pass") -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(migrate.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "versions" / "v0002_second.py").write_text(SECOND.format(more=more))
        monkeypatch.setattr(migrate, "FOLDER", folder)
        monkeypatch.setattr(migrate, "REVISIONS", ("0001", "0002"))

    return make


def _columns(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[1] for row in connection.execute("PRAGMA table_info(runs)")}


def _set_revision(path: Path, revision: str) -> bytes:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    return path.read_bytes()


def test_migrations_make_what_the_models_say() -> None:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        migrate.upgrade(connection)
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.Base.metadata) == []
    engine.dispose()


def test_migrations_make_the_same_sql_as_the_models() -> None:
    """With what `compare_metadata` does not look at: conditions of partial indexes, and what happens on deletion."""
    assert _sql(migrate.upgrade) == _sql(schema.Base.metadata.create_all)


def _sql(make: Callable[[Connection], None]) -> dict[str, str]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        make(connection)
        entries = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
    engine.dispose()
    return {name: " ".join(sql.split()) for name, sql in entries if name != "alembic_version"}


def test_the_known_revisions_are_the_migrations() -> None:
    script = ScriptDirectory(str(migrate.FOLDER))
    assert [entry.revision for entry in script.walk_revisions()][::-1] == list(schema.REVISIONS)


def test_there_is_a_golden_database_of_every_schema() -> None:
    assert {path.name for path in GOLDEN.glob("*.sql")} == {f"schema_{name}.sql" for name in schema.REVISIONS}


@pytest.mark.parametrize("revision", schema.REVISIONS)
def test_stores_of_every_schema_can_be_opened(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "golden.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((GOLDEN / f"schema_{revision}.sql").read_text(encoding="utf-8"))
    with Store.open(path) as store:
        outlines = [(run.id, run.status, run.superseded) for run in store.runs(include_superseded=True)]
        run, lost = store.get("golden-2"), store.get("golden-3")
    assert outlines == [("golden-1", "interrupted", True), ("golden-2", "done", False), ("golden-3", "diverged", False)]
    assert run.spec == {
        "model": "meme",
        "dataset": "digits",
        "f": 0.25,
        "seed": 3,
        "settings": {"train": {"clip": None}},
    }
    assert (run.fit_key, run.provenance, run.facts) == ("0e", {"note": "naïve ±"}, {"partial": True})
    assert (run.timings, run.created) == ({"train_s": 1.5}, datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
    assert run.scores == (
        Score("joint_coherence", 1, "", "", None, status="skipped", note="no prior"),
        Score("cross_coherence", 1, "a", "b", 0.75, None, 8, "micro", {}, {"ess": 7.5}),
    )
    assert [(curve.name, curve.steps.tolist(), str(curve.values)) for curve in run.curves] == [
        ("loss", [1, 1 << 40], "[0.1 nan]")
    ]
    assert [(array.metric, array.name, array.meta) for array in run.arrays] == [("samples", "joint/a", {"target": "a"})]
    assert (run.arrays[0].value.tolist(), str(run.arrays[0].value.dtype)) == ([[1, 255]], "uint8")
    assert (lost.fit_key, lost.error) == ("0f", "training diverged at step 2.")


def test_an_older_store_is_copied_then_migrated(
    tmp_path: Path, make_record: Make, second_schema: Callable[[], None]
) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        store.add(make_record("a"))
    second_schema()
    with Store.open(path) as store:
        assert [run.id for run in store.runs()] == ["a"]
    assert "colour" in _columns(path)
    backup = tmp_path / "results.db.schema-0001.backup"
    assert "colour" not in _columns(backup)
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT id FROM runs").fetchall() == [("a",)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    Store.open(path).close()
    assert len(list(tmp_path.glob("*backup*"))) == 1


def test_an_earlier_copy_is_never_overwritten(tmp_path: Path, second_schema: Callable[[], None]) -> None:
    path, earlier = tmp_path / "results.db", tmp_path / "results.db.schema-0001.backup"
    Store.open(path).close()
    earlier.write_text("mine")
    second_schema()
    Store.open(path).close()
    assert earlier.read_text() == "mine"
    assert "colour" not in _columns(tmp_path / "results.db.schema-0001.backup-2")


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, make_record: Make, second_schema: Callable[[str], None]
) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        store.add(make_record("a"))
    second_schema('raise sa.exc.InvalidRequestError("injected")')
    with pytest.raises(StoreError, match="injected"):
        Store.open(path)
    assert "colour" not in _columns(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]


def test_an_older_store_is_not_migrated_for_reading(tmp_path: Path, second_schema: Callable[[], None]) -> None:
    path = tmp_path / "results.db"
    Store.open(path).close()
    before = path.read_bytes()
    second_schema()
    with pytest.raises(StoreError, match=r"has the older schema 0001 and is not migrated for reading"):
        Store.open_readonly(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*backup*"))


@pytest.mark.parametrize("opened", [Store.open, Store.open_readonly])
def test_a_newer_store_is_refused_and_untouched(tmp_path: Path, opened: Callable[[Path], Store]) -> None:
    path = tmp_path / "results.db"
    Store.open(path).close()
    before = _set_revision(path, "0999")
    with pytest.raises(StoreError, match=r"has the schema 0999, newer than 0001 of this mmbench; update mmbench"):
        opened(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*backup*"))


@pytest.mark.parametrize("opened", [Store.open, Store.open_readonly])
@pytest.mark.parametrize("table", ["users", "alembic_version"])
def test_a_database_of_something_else_is_refused_and_untouched(
    tmp_path: Path, opened: Callable[[Path], Store], table: str
) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table} (version_num TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"is a database of something else \(tables {table}\)"):
        opened(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["other.db"]


def test_one_run_of_a_fit_key_is_current_by_the_database_itself(tmp_path: Path, make_record: Make) -> None:
    path = tmp_path / "results.db"
    with Store.open(path) as store:
        store.add(make_record("a", "k"))
        store.add(make_record("b", "k"))
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError, match="fit_key"):
        connection.execute("UPDATE runs SET superseded = 0")
