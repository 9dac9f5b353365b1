"""How captions read: perplexity, and how varied generated ones are beside real ones."""

import math
from collections import defaultdict

from markupsafe import Markup

from mmbench.results.report.captions import DASH, value_text
from mmbench.results.report.contents import Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import Condition, condition_of
from mmbench.results.report.sections.common import section_of, table_caption
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import direction, line_name, row_record, write_csv

__all__ = ["caption_quality"]

METRIC = "caption_quality"
DIGITS = {"perplexity": 1, "distinct-1": 3, "distinct-2": 3}  # estimators in the order of the columns
Key = tuple[Condition, str, str, str]  # condition, given, target, estimator


def caption_quality(desk: Desk) -> Section | None:
    """One table; None where no run has the metric."""
    rows = [row for row in desk.rows(METRIC) if row.n]
    if not rows:
        return None
    real = _real(desk)
    others = sorted({row.estimator for row in rows} - set(DIGITS))
    columns = [name for name in (*DIGITS, *others) if any(row.estimator == name for row in rows)]
    lines: dict[tuple[str, str, Condition], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        lines[row.given, row.target, row.condition].setdefault(row.estimator, row)
    body, facets = [], []
    for (_, _, condition), cells in sorted(lines.items(), key=lambda item: item[0]):
        first = next(iter(cells.values()))
        way, n = direction(first), max(row.n for row in cells.values())
        body.append((way, line_name(desk.group, condition), f"{condition.f:g}",
                     *(_cell(cells.get(name), real, DIGITS.get(name, 3)) for name in columns),
                     Markup("<small>{} of {}</small>").format(n, first.of)))  # fmt: skip
        facets.append((way, desk.group.names[condition.variant], condition.scheme, f"{condition.f:g}"))
    text = (
        "Perplexity: of real captions under the model, lower is better. Distinct: different words (1) or pairs of "
        "words (2) among all those of the generated captions; small: the same of real captions, which a good generator "
        "comes near to, and neither side of it is better."
    )
    path = write_csv(desk.folder, f"{desk.group.slug}-caption-quality",
                     [{**row_record(desk.group, row, None), "real": real.get(_key(row))} for row in rows])  # fmt: skip
    head = ("given → target", "model", "f", *columns, "seeds")
    table = TableItem(
        f"{desk.group.slug}-table-caption-quality", "Quality of captions", head, tuple(body),
        table_caption(desk, rows, text), path, filters=("given → target", "model", "scheme", "f"),
        facets=tuple(facets),
    )  # fmt: skip
    return section_of(desk, "caption-quality", "Quality of captions", [table])


def _real(desk: Desk) -> dict[Key, float]:
    """The same number of real captions, mean over the seeds that have it."""
    found: dict[Key, list[float]] = defaultdict(list)
    for run in desk.done():
        for s in run.scores:
            value = s.details.get("real")
            if s.metric == METRIC and isinstance(value, int | float):
                found[condition_of(run), s.given, s.target, s.estimator].append(float(value))
    return {key: math.fsum(values) / len(values) for key, values in found.items()}


def _key(row: Row) -> Key:
    return row.condition, row.given, row.target, row.estimator


def _cell(row: Row | None, real: dict[Key, float], digits: int) -> object:
    if row is None:
        return DASH
    beside = real.get(_key(row))
    text = value_text(row, digits)
    return text if beside is None else Markup("{} <small>real {}</small>").format(text, f"{beside:.{digits}f}")
