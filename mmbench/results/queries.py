"""What the store asks and does within one transaction: look-ups by key, id and prefix, and additions that supersede."""

from collections.abc import Sequence
from difflib import get_close_matches

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session, selectinload

from mmbench.errors import InvalidSetting, StoreError, UnknownName
from mmbench.results import rows
from mmbench.results.records import ArrayRecord, Curve, RunRecord
from mmbench.results.schema import ArrayRow, CurveRow, Run, ScoreRow

__all__ = ["LATEST", "add_results", "add_run", "arrays", "current", "curves", "outlines", "resolve", "whole"]

LATEST = "latest"
LISTED = 12

_SCORES = selectinload(Run.scores.and_(ScoreRow.superseded.is_(False)))
_ARRAYS = selectinload(Run.arrays.and_(ArrayRow.superseded.is_(False)))


def add_run(session: Session, row: Run) -> None:
    """Add a run with its parts in place of the current run of its fit key."""
    if session.scalar(select(Run.number).where(Run.id == row.id)) is not None:
        raise StoreError(f"a run with the id {row.id!r} is in the store; records never change, choose another id.")
    earlier = update(Run).where(Run.fit_key == row.fit_key, Run.superseded.is_(False))
    session.execute(earlier.values(superseded=True))
    session.add(row)


def add_results(session: Session, run_id: str, scores: Sequence[ScoreRow], arrays: Sequence[ArrayRow]) -> None:
    """Add scores and arrays to a run in place of the current ones of their keys."""
    number = _number(session, run_id)
    for score in scores:
        skipped = and_(ScoreRow.metric == score.metric, ScoreRow.version == score.version, ScoreRow.status == "skipped")
        same = update(ScoreRow).where(ScoreRow.run == number, or_(ScoreRow.key == score.key, skipped))
        session.execute(same.values(superseded=True))
    for array in arrays:
        same_array = update(ArrayRow).where(ArrayRow.metric == array.metric, ArrayRow.name == array.name)
        session.execute(same_array.where(ArrayRow.run == number).values(superseded=True))
    rows_of_run: list[ScoreRow | ArrayRow] = [*scores, *arrays]
    for row in rows_of_run:
        row.run = number
    session.add_all(rows_of_run)


def current(session: Session, fit_key: str) -> RunRecord | None:
    """The current record of a fit key, whole, or None."""
    number = session.scalar(select(Run.number).where(Run.fit_key == fit_key, Run.superseded.is_(False)))
    return None if number is None else whole(session, number)


def whole(session: Session, number: int) -> RunRecord:
    """The record of a run's number with its curves and its current scores and arrays."""
    wanted = select(Run).where(Run.number == number).options(_SCORES, selectinload(Run.curves), _ARRAYS)
    row = session.scalars(wanted).one()
    return rows.run_record(row)


def outlines(session: Session, include_superseded: bool) -> list[RunRecord]:
    """Records in the order of their addition, with their current scores, without curves and arrays.

    Read as plain rows: objects that the session would follow cost three times the time for a thousand runs.
    """
    wanted = [] if include_superseded else [Run.superseded.is_(False)]
    runs = session.execute(select(*Run.__table__.columns).where(*wanted).order_by(Run.number)).all()
    scores = select(ScoreRow.run, *rows.SCORE_COLUMNS).join(Run, Run.number == ScoreRow.run)
    scores = scores.where(ScoreRow.superseded.is_(False), *wanted).order_by(ScoreRow.number)
    by_run = rows.plain_scores(session.execute(scores))
    return [rows.outline(run, by_run.get(run.number, ())) for run in runs]


def curves(session: Session, run_id: str) -> list[Curve]:
    """The curves of a run, in order."""
    wanted = select(CurveRow).where(CurveRow.run == _number(session, run_id)).order_by(CurveRow.number)
    return [rows.curve_record(row) for row in session.scalars(wanted)]


def arrays(session: Session, run_id: str, metric: str | None) -> list[ArrayRecord]:
    """The current arrays of a run, of one metric or of all, in order."""
    wanted = select(ArrayRow).where(ArrayRow.run == _number(session, run_id), ArrayRow.superseded.is_(False))
    if metric is not None:
        wanted = wanted.where(ArrayRow.metric == metric)
    return [rows.array_record(row) for row in session.scalars(wanted.order_by(ArrayRow.number))]


def resolve(session: Session, name: str) -> int:
    """The number of the run that an id, a unique prefix, or `latest` names; see `Store.get`."""
    known = session.execute(select(Run.id, Run.number, Run.superseded).order_by(Run.number)).all()
    numbers = {run_id: number for run_id, number, _ in known}
    if name in numbers:
        return numbers[name]
    valid = [run_id for run_id, _, superseded in known if not superseded]
    if name == LATEST and valid:
        return numbers[valid[-1]]
    for candidates in (valid, list(numbers)):
        matches = [run_id for run_id in candidates if name and run_id.startswith(name)]
        if len(matches) == 1:
            return numbers[matches[0]]
        if matches:
            raise _ambiguous(name, matches)
    raise _unknown(name, list(numbers))


def _number(session: Session, run_id: str) -> int:
    number = session.scalar(select(Run.number).where(Run.id == run_id))
    if number is None:
        raise _unknown(run_id, list(session.scalars(select(Run.id))))
    return number


def _ambiguous(name: str, matches: Sequence[str]) -> InvalidSetting:
    more = f" and {len(matches) - LISTED} more" if len(matches) > LISTED else ""
    listing = ", ".join(matches[:LISTED]) + more
    return InvalidSetting(f"run {name!r} may be any of {listing}; give more of the id.")


def _unknown(name: str, ids: Sequence[str]) -> UnknownName:
    if len(ids) <= LISTED:
        return UnknownName("run", name, ids)
    near = get_close_matches(name, ids, n=LISTED, cutoff=0.0)
    return UnknownName(f"run (of {len(ids)}, the nearest {LISTED} are listed)", name, near)
