"""Tables in the shape of the paper's Tables 3 and 4: a line for each model and scheme, a column for each `f`.

The complete run is the same under every scheme, so it stands in each line of its model, as in the paper; the CSV has it
once. Published numbers follow as lines of their own. Every cell says how many of how many seeds are behind it; bold
face stands only where a test is behind it (`contests`). Intervals stand in the long table of the group.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmbench.config import canonical_json
from mmbench.results.report.captions import DASH, protocol_text, value_text
from mmbench.results.report.contents import TableItem
from mmbench.results.report.contests import BOLD, RowKey, contests_of, row_key, winners
from mmbench.results.report.drawing.against_f import Published
from mmbench.results.report.groups import Condition, Group, Variant
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import direction, estimator, line_name, row_record, subscripted, write_csv

__all__ = ["score_table"]

FILTERS = ("given → target", "estimator", "model", "scheme")
Numbers = Mapping[tuple[str, str], Sequence[Published]]


@dataclass(frozen=True, order=True)
class Line:
    """What the rows of a line share; `protocol` is canonical JSON."""

    given: str
    target: str
    estimator: str
    variant: Variant
    protocol: str
    scheme: str


def score_table(
    folder: Path,
    group: Group,
    rows: Sequence[Row],
    *,
    name: str,
    title: str,
    caption: Iterable[str],
    digits: int = 3,
    published: Numbers | None = None,
    published_estimator: str = "",
) -> TableItem:
    """The table of `rows`, and `tables/<group>-<name>.csv` with a line a row and all digits."""
    numbers = published or {}
    shared = _shared_protocols(rows)
    fs = sorted({row.condition.f for row in rows}, reverse=True)
    lines = _lines(rows)
    bold = winners(contests_of(group, rows))
    body: list[tuple[Any, ...]] = []
    facets: list[tuple[str, ...]] = []
    for line, cells in lines.items():
        about = _about(group, line, cells, shared)
        own = [(*about, *(_cell(cells.get(f), digits, bold) for f in fs))]
        if line.estimator == published_estimator and _last_of_model(line, lines):
            own += _published_lines(numbers.get((line.given, line.target), ()), line, fs, digits)
        body += own
        facets += [(about[0], str(row[1]), group.names[line.variant], line.scheme) for row in own]
    records = [row_record(group, row, _beside(row, numbers, published_estimator)) for row in rows]
    path = write_csv(folder, f"{group.slug}-{name}", records)
    stated = (_rows_text(rows), BOLD if bold else "", _protocols_text(shared))
    head = ("given → target", "estimator", "model", *(f"f = {f:g}" for f in fs))
    sentences = (*caption, *(text for text in stated if text))
    return TableItem(
        f"{group.slug}-table-{name}", title, head, tuple(body), sentences, path, filters=FILTERS, facets=tuple(facets)
    )


def _lines(rows: Sequence[Row]) -> dict[Line, dict[float, Row]]:
    """Rows by line and `f`; rows without a score join the line that their condition would have been in."""
    found: dict[Line, dict[float, Row]] = {}
    partial = [row for row in rows if row.condition.scheme != "complete"]
    complete = [row for row in rows if row.condition.scheme == "complete"]
    for row in sorted(partial, key=lambda row: row.n == 0):
        for line in _fitting(row, found, same_scheme=True) or [_line(row)]:
            found.setdefault(line, {})[row.condition.f] = row
    for row in sorted(complete, key=lambda row: row.n == 0):
        for line in _fitting(row, found, same_scheme=False) or [_line(row)]:
            found.setdefault(line, {}).setdefault(row.condition.f, row)
    return dict(sorted(found.items()))


def _line(row: Row) -> Line:
    c = row.condition
    return Line(row.given, row.target, row.estimator, c.variant, canonical_json(row.protocol), c.scheme)


def _fitting(row: Row, lines: Iterable[Line], *, same_scheme: bool) -> list[Line]:
    own = _line(row)
    quantity = (own.given, own.target, own.estimator, own.variant)
    return [
        line
        for line in lines
        if (line.given, line.target, line.estimator, line.variant) == quantity
        and (line.scheme == own.scheme or not same_scheme)
        and (line.protocol == own.protocol or not row.n)
    ]


def _about(
    group: Group, line: Line, cells: Mapping[float, Row], shared: Mapping[str, Mapping[str, Any]]
) -> tuple[Any, ...]:
    row = next(iter(cells.values()))
    return (
        direction(row),
        estimator(row, shared.get(row.estimator, ())),
        line_name(group, Condition(line.variant, line.scheme, 1.0)),
    )


def _cell(row: Row | None, digits: int, bold: Container[RowKey]) -> Markup:
    if row is None:
        return Markup("")
    form = "<strong>{}</strong>" if row_key(row) in bold else "{}"
    return Markup(form + " <small>{} of {}</small>").format(value_text(row, digits), row.n, row.of)


def _last_of_model(line: Line, lines: Iterable[Line]) -> bool:
    """Whether no later line has the same quantity, model and scheme (another variant), so that a paper's follows."""
    rivals = [
        other
        for other in lines
        if (other.given, other.target, other.estimator, other.variant.model, other.scheme)
        == (line.given, line.target, line.estimator, line.variant.model, line.scheme)
    ]
    return rivals[-1] == line


def _published_lines(
    numbers: Sequence[Published], line: Line, fs: Sequence[float], digits: int
) -> list[tuple[Any, ...]]:
    own = {n.f: n for n in numbers if n.model == line.variant.model and n.scheme in (line.scheme, "complete")}
    if not any(f in own for f in fs):
        return []
    name = subscripted(line.variant.model.upper(), line.scheme)
    cells = [Markup("<i>{}</i>").format(_number(own.get(f), digits)) for f in fs]
    way = " → ".join(part for part in (line.given, line.target) if part)
    return [(way, "published", Markup("<i>{}</i>").format(name), *cells)]


def _number(number: Published | None, digits: int) -> str:
    if number is None:
        return DASH
    return f"{number.mean:.{digits}f}" + (f" ± {number.sd:.{digits}f}" if number.sd is not None else "")


def _beside(row: Row, numbers: Numbers, estimator_of: str) -> Published | None:
    """The paper's number for the same model, scheme and `f`."""
    c = row.condition
    if row.estimator == estimator_of:
        for number in numbers.get((row.given, row.target), ()):
            if (number.model, number.scheme, number.f) == (c.variant.model, c.scheme, c.f):
                return number
    return None


def _shared_protocols(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Estimator -> what the protocols of all its rows say alike."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.n:
            known = found.setdefault(row.estimator, dict(row.protocol))
            found[row.estimator] = {k: v for k, v in known.items() if row.protocol.get(k) == v}
    return found


def _protocols_text(shared: Mapping[str, Mapping[str, Any]]) -> str:
    told = [f"{name} with {protocol_text(held)}" for name, held in shared.items() if held]
    return f"Protocol: {'; '.join(told)}." if told else ""


def _rows_text(rows: Sequence[Row]) -> str:
    counts = sorted({row.rows for row in rows if row.rows})
    if not counts:
        return ""
    span = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return f"{span} test rows (or samples, or pairs) behind each score; small: seeds with the score, of seeds run."
