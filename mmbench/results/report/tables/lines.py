"""Tables: shown with the digits that mean something, written as CSV with all of them."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmbench.config import canonical_json
from mmbench.results.report.captions import DASH, others_text, protocol_text
from mmbench.results.report.contents import TableItem
from mmbench.results.report.drawing.against_f import Published
from mmbench.results.report.drawing.style import subscript
from mmbench.results.report.files import safe
from mmbench.results.report.groups import Condition, Group
from mmbench.results.report.summaries import Row

__all__ = ["direction", "estimator", "line_name", "per_class_table", "row_record", "subscripted", "write_csv"]


FORMULA = frozenset("=+-@\t\r")


def write_csv(
    folder: Path,
    name: str,
    records: Iterable[Mapping[str, Any]],
    *,
    below: str = "tables",
    columns: Sequence[str] = (),
) -> str:
    """Write `<below>/<name>.csv` in `folder` and return that path; the first record names the columns, or `columns` do.

    Absent numbers are empty, the others read back exactly. A text that a spreadsheet would take for a formula, which a
    name in a stranger's store may be, has an apostrophe before it.
    """
    (folder / below).mkdir(exist_ok=True)
    path = f"{below}/{safe(name)}.csv"
    rest = iter(records)
    first = list(islice(rest, 1))
    names = list(columns) or [name for record in first for name in record]
    with (folder / path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(_written([record[name] for name in names]) for record in chain(first, rest))
    return path


def _written(values: list[Any]) -> list[Any]:
    """Cells as they are written; a million of them, so that one look at each has to do."""
    for place, value in enumerate(values):
        if isinstance(value, str):
            if value[:1] in FORMULA:
                values[place] = "'" + value
        elif value != value:
            values[place] = ""
    return values


def line_name(group: Group, condition: Condition) -> Markup:
    """The condition's model with the paper's subscript, as HTML."""
    model, bracket, note = group.names[condition.variant].partition(" (")
    name = subscripted(model, condition.scheme)
    return name + bracket + note


def subscripted(name: str, scheme: str) -> Markup:
    """A model's name with the paper's subscript of a scheme, as HTML."""
    below = subscript(scheme)
    return Markup("{}<sub>{}</sub>").format(name, below) if below else Markup("{}").format(name)


def per_class_table(
    folder: Path, group: Group, rows: Sequence[Row], *, title: str, caption: Iterable[str], every: Sequence[Row] = ()
) -> TableItem:
    """One column a class, one line a condition and direction; the CSV holds `every` row where there are more."""
    classes = sorted({row.protocol["class"] for row in rows}, key=lambda c: (str(type(c)), c))
    lines: dict[tuple[Condition, str, str], dict[Any, Row]] = {}
    for row in rows:
        lines.setdefault((row.condition, direction(row), row.estimator), {})[row.protocol["class"]] = row
    body = []
    for (condition, way, _), by_class in lines.items():
        n = max(row.n for row in by_class.values())
        means = [_short(by_class.get(c)) for c in classes]
        body.append((line_name(group, condition), f"{condition.f:g}", way, *means, str(n)))
    head = ("model", "f", "given → target", *map(str, classes), "seeds")
    path = write_csv(
        folder, f"{group.slug}-coherence-per-class", [row_record(group, row, None) for row in every or rows]
    )
    return TableItem(f"{group.slug}-table-per-class", title, head, tuple(body), tuple(caption), path, folded=True)


def _short(row: Row | None) -> str:
    """Two digits, without spread: for wide tables."""
    return DASH if row is None or row.mean is None else f"{row.mean:.2f}"


def direction(row: Row) -> str:
    """What was given and what was scored."""
    return " → ".join(part for part in (row.given, row.target) if part) or DASH


def estimator(row: Row, shared: Iterable[str] = ()) -> str:
    """Estimator, what of its protocol is not `shared`, and the version of the metric."""
    own = protocol_text({k: v for k, v in row.protocol.items() if k not in shared})
    notes = [text for text in (own, f"version {row.version}" if row.version > 1 else "") if text]
    return f"{row.estimator} ({'; '.join(notes)})" if notes else row.estimator


def row_record(group: Group, row: Row, published: Published | None) -> dict[str, Any]:
    """Everything known of a row, for CSV; absent numbers are empty."""
    variant = row.condition.variant
    return {
        "group": group.slug,
        "dataset": group.dataset,
        "model": variant.model,
        "preset": variant.preset,
        "paired_only": variant.paired_only,
        "settings": variant.settings,
        "scheme": row.condition.scheme,
        "f": row.condition.f,
        "metric": row.metric,
        "version": row.version,
        "given": row.given,
        "target": row.target,
        "estimator": row.estimator,
        "protocol": canonical_json(row.protocol),
        "mean": row.mean,
        "sd": row.sd,
        "low": row.interval[0],
        "high": row.interval[1],
        "n": row.n,
        "of": row.of,
        "others": others_text([row]),
        "rows_low": row.over_rows[0],
        "rows_high": row.over_rows[1],
        "stderr": row.stderr,
        "rows": row.rows,
        "ess": row.ess,
        "published_mean": published.mean if published else None,
        "published_sd": published.sd if published else None,
    }
