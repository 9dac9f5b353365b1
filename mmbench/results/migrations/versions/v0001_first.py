"""The first schema: runs, scores, curves and arrays."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the four tables."""
    _make_runs()
    _make_scores()
    _make_curves_and_arrays()


def _make_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("fit_key", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("superseded", sa.Boolean, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("provenance", sa.JSON, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("timings", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_runs"),
        sa.UniqueConstraint("id", name="uq_runs_id"),
    )
    op.create_index("ix_runs_fit_key", "runs", ["fit_key"])
    _one_current("one_current_run", "runs", ["fit_key"])


def _make_scores() -> None:
    op.create_table(
        "scores",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("metric", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("given", sa.String, nullable=False),
        sa.Column("target", sa.String, nullable=False),
        sa.Column("estimator", sa.String, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("value", sa.Double, nullable=True),
        sa.Column("stderr", sa.Double, nullable=True),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("superseded", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_scores"),
        _of_run("scores"),
    )
    op.create_index("ix_scores_metric", "scores", ["metric"])
    _one_current("one_current_score", "scores", ["run", "key"])


def _make_curves_and_arrays() -> None:
    op.create_table(
        "curves",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("steps", sa.LargeBinary, nullable=False),
        sa.Column("points", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_curves"),
        _of_run("curves"),
    )
    op.create_index("one_curve", "curves", ["run", "name"], unique=True)
    op.create_table(
        "arrays",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("metric", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("meta", sa.JSON, nullable=False),
        sa.Column("npy", sa.LargeBinary, nullable=False),
        sa.Column("superseded", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_arrays"),
        _of_run("arrays"),
    )
    _one_current("one_current_array", "arrays", ["run", "metric", "name"])


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run"], ["runs.number"], name=f"fk_{table}_run_runs", ondelete="CASCADE")


def _one_current(name: str, table: str, columns: list[str]) -> None:
    current = sa.column("superseded").is_(False)
    op.create_index(name, table, columns, unique=True, sqlite_where=current, postgresql_where=current)
