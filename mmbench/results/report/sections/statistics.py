"""Every mean with what it rests on: both intervals, `n of N`, and what became of the other runs.

The tables of the sections show mean and standard deviation; this long one, a line a score, holds the intervals.
"""

from collections.abc import Iterable, Sequence

from mmbench.results.report.captions import (
    DASH,
    interval_text,
    n_of,
    others_text,
    terms_of,
    unreliable,
    value_text,
)
from mmbench.results.report.contents import Missing, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.headlines import HEADLINES
from mmbench.results.report.summaries import OLDER, Row
from mmbench.results.report.tables.lines import direction, estimator, line_name, row_record, write_csv

__all__ = ["statistics"]

INTERVALS = (
    "95 % over seeds: Student's t interval of the mean over seeds, on the same test rows. 95 % over rows: for the same "
    "weights on other test rows (Wilson's for a share, normal otherwise), the mean of the seeds' own intervals, which "
    "is not too narrow although all seeds are scored on the same rows."
)


def statistics(desk: Desk) -> Section | None:
    """The long table of all metrics, those by class left out; None where nothing was scored."""
    rows = [row for metric in _metrics(desk) for row in desk.rows(metric) if "class" not in row.protocol]
    if not rows:
        return None
    path = write_csv(desk.folder, f"{desk.group.slug}-statistics", [row_record(desk.group, row, None) for row in rows])
    head = ("metric", "given → target", "estimator", "model", "scheme", "f", "mean ± sd", "95 % over seeds",
            "95 % over rows", "n of N", "the others")  # fmt: skip
    alone = "One seed everywhere, so there is no interval over seeds." if max(row.n for row in rows) == 1 else ""
    caption = (INTERVALS, alone, n_of(rows), unreliable(rows), f"Terms: {terms_of(desk.group)}")
    table = TableItem(
        f"{desk.group.slug}-table-statistics",
        "Means with their intervals",
        head,
        tuple(_line(desk, row) for row in rows),
        tuple(sentence for sentence in caption if sentence),
        path,
        folded=True,
        filters=("metric", "model", "scheme", "f"),
        facets=tuple(
            (row.metric, desk.group.names[row.condition.variant], row.condition.scheme, f"{row.condition.f:g}")
            for row in rows
        ),
    )
    desk.missing.extend(_older(desk, rows))
    return Section(f"{desk.group.slug}-section-statistics", "Statistics", items=(table,))


def _metrics(desk: Desk) -> list[str]:
    """Headline metrics first."""
    names = {s.metric for run in desk.done() for s in run.scores if s.status == "ok"}
    return [name for name in HEADLINES if name in names] + sorted(names - set(HEADLINES))


def _line(desk: Desk, row: Row) -> tuple[object, ...]:
    digits = HEADLINES[row.metric].digits if row.metric in HEADLINES else 3
    one = row.n == 1
    return (
        row.metric,
        direction(row),
        estimator(row),
        line_name(desk.group, row.condition),
        row.condition.scheme,
        f"{row.condition.f:g}",
        value_text(row, digits),
        "one seed" if one else interval_text(row.interval, digits),
        interval_text(row.over_rows, digits),
        f"{row.n} of {row.of}",
        others_text([row]) or DASH,
    )


def _older(desk: Desk, rows: Iterable[Row]) -> Sequence[Missing]:
    """Scores by an older version of a metric, which no table averages with newer ones."""
    counted: dict[tuple[str, int], int] = {}
    for row in rows:
        key = row.metric, row.version
        counted[key] = max(counted.get(key, 0), dict(row.others).get(OLDER, 0))
    return [
        Missing(
            f"{desk.group.title}: {metric} of runs that only have an older version of it",
            f"version {version} is shown, and versions are never averaged together",
            f"mmbench evaluate RUN --metrics {metric}",
            "Older records left out",
        )
        for (metric, version), count in sorted(counted.items())
        if count
    ]
