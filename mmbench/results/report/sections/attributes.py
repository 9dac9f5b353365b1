"""Attributes of generations, read by rule: which of them a model carries from one modality to another."""

from collections.abc import Mapping, Sequence
from functools import partial

from markupsafe import Markup

from mmbench.results.report.averages import by_target, many_modalities
from mmbench.results.report.captions import DASH, n_of, seeds_of, value_text
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.contests import BOLD, contests_of, row_key, winners
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.drawing.attributes import AttributePanel, Dots, attribute_dots
from mmbench.results.report.groups import Condition, Variant, condition_of
from mmbench.results.report.sections.by_number import by_number_figure
from mmbench.results.report.sections.common import section_of, table_caption
from mmbench.results.report.sections.limits import few, left_out_text
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import direction, line_name, row_record, write_csv
from mmbench.results.report.tables.pivot import score_table

__all__ = ["attributes"]

METRIC, EACH, MEAN, ALL, JOINT = "attribute_coherence", "attribute", "features", "strict", "joint-strict"
WHOLE = {MEAN: "mean", ALL: "all right"}  # how columns beside those of single attributes are called
PANELS = 6  # directions that a figure shows one by one
Line = tuple[Condition, str, str]  # condition, given, target
Cells = Mapping[str, Row]  # column -> row


def attributes(desk: Desk) -> Section | None:
    """Figures of the settings shown, a table by direction, and joint samples; None where no run has the metric."""
    rows = desk.rows(METRIC)
    if not any(row.n for row in rows):
        return None
    items: list[FigureItem | TableItem] = []
    columns = _columns(rows)
    single = [row for row in rows if row.estimator in (EACH, MEAN, ALL)]
    if any(row.n for row in single):
        strict = [row for row in single if row.estimator == ALL]
        if many_modalities(single):
            what = "Share of generations of which every attribute is right"
            items += by_number_figure(desk, strict, name="attributes-number", title="Attribute coherence", what=what)
        for setting in desk.settings():
            items += _figure(desk, setting, single, columns)
        items.append(_table(desk, single, columns))
    joint = [row for row in rows if row.estimator not in (EACH, MEAN, ALL)]
    if any(row.n for row in joint):
        text = "Share of samples from the prior, or from the stand-in named, in which all modalities read alike."
        items.append(
            score_table(desk.folder, desk.group, joint, name="attributes-joint", title="Joint attribute coherence",
                        caption=table_caption(desk, joint, text))
        )  # fmt: skip
    return section_of(desk, "attributes", "Attributes of generations", items)


def _columns(rows: Sequence[Row]) -> list[str]:
    """The attributes, as they come in the first run that has them, then their mean and all together."""
    each = dict.fromkeys(_column(row) for row in rows if row.n and row.estimator == EACH)
    return [
        *each,
        *(words for estimator, words in WHOLE.items() if any(r.n and r.estimator == estimator for r in rows)),
    ]


def _column(row: Row) -> str:
    return str(row.protocol.get("attribute", "")) if row.estimator == EACH else WHOLE.get(row.estimator, row.estimator)


def _by_line(rows: Sequence[Row]) -> dict[Line, dict[str, Row]]:
    """Rows by condition and direction; of several protocols the first stands."""
    found: dict[Line, dict[str, Row]] = {}
    for row in rows:
        if row.n:
            found.setdefault((row.condition, row.given, row.target), {}).setdefault(_column(row), row)
    return found


def _figure(desk: Desk, setting: Setting, rows: Sequence[Row], columns: Sequence[str]) -> list[FigureItem]:
    """A panel a direction, or a target where there are too many directions, with every model's dots."""
    own = [row for row in rows if (row.condition.scheme, row.condition.f) == (setting.scheme, setting.f) and row.n]
    many = len({(row.given, row.target) for row in own}) > PANELS
    drawn = by_target(own, single=False) if many else own
    there = [v for v in desk.group.names if any(row.condition.variant == v and row.n for row in drawn)]
    shown = few(desk, there)
    lines = _by_line([row for row in drawn if row.condition.variant in shown])
    if not lines:
        return []
    panels = [
        AttributePanel(
            " → ".join(part for part in way if part),
            tuple(
                _dots(desk, variant, cells, columns)
                for variant in shown
                for (condition, *line), cells in lines.items()
                if condition.variant == variant and tuple(line) == way
            ),
        )
        for way in sorted({(given, target) for _, given, target in lines})
    ]
    used = [row for cells in lines.values() for row in cells.values()]
    conditions = {row.condition for row in used}
    caption = (
        "Share of test rows whose generation shows the value that the row has, attribute by attribute; mean: over the "
        "attributes; all right: rows with no attribute wrong.",
        "Means over every subset of the other modalities; each is in the table." if many else "",
        seeds_of(used, band="error bars"),
        n_of(used),
        left_out_text(desk, shown, there),
    )
    return desk.figure(
        partial(attribute_dots, panels, list(columns), list(desk.group.names)), f"attributes-{setting.slug}",
        title=f"Attributes of generations, {setting.text}", caption=caption, alt=_finding(desk, lines),
        runs=[run for run in desk.done() if condition_of(run) in conditions],
        data=[row_record(desk.group, row, None) for row in own],
    )  # fmt: skip


def _dots(desk: Desk, variant: Variant, cells: Cells, columns: Sequence[str]) -> Dots:
    points = tuple((columns.index(name), row.mean or 0.0, row.sd) for name, row in cells.items())
    return Dots(variant, desk.group.names[variant], points)


def _finding(desk: Desk, lines: Mapping[Line, Cells]) -> str:
    """The hardest attribute of each model and direction."""
    told = []
    for (condition, given, target), cells in lines.items():
        single = {name: row.mean for name, row in cells.items() if row.estimator == EACH and row.mean is not None}
        if single:
            low = min(single, key=lambda name: single[name])
            whole = cells.get(WHOLE[ALL])
            right = f", all right {whole.mean:.2f}" if whole and whole.mean is not None else ""
            way = " → ".join(part for part in (given, target) if part)
            told.append(f"{desk.group.names[condition.variant]}, {way}: lowest {low} ({single[low]:.2f}){right}")
    more = "; more in the table." if len(told) > 12 else "."
    return f"Shares of generations with the right attribute. {'; '.join(told[:12])}{more}"


def _table(desk: Desk, rows: Sequence[Row], columns: Sequence[str]) -> TableItem:
    bold = winners(contests_of(desk.group, [row for row in rows if row.estimator == ALL]))
    body, facets = [], []
    lines = sorted(_by_line(rows).items(), key=lambda item: (*item[0][1:], item[0][0]))
    for (condition, *_), cells in lines:
        any_row = next(iter(cells.values()))
        values = []
        for name in columns:
            row = cells.get(name)
            form = "<strong>{}</strong>" if row and row_key(row) in bold else "{}"
            values.append(Markup(form).format(value_text(row)) if row else DASH)
        n = max(row.n for row in cells.values())
        body.append((direction(any_row), line_name(desk.group, condition), f"{condition.f:g}", *values,
                     Markup("<small>{} of {}</small>").format(n, any_row.of)))  # fmt: skip
        facets.append((direction(any_row), desk.group.names[condition.variant], condition.scheme, f"{condition.f:g}"))
    caption = (
        *table_caption(
            desk, [row for row in rows if row.n],
            "Share of test rows whose generation shows the value that the row has, read by rule; mean: over the "
            "attributes; all right: rows with no attribute wrong.",
        ),
        *((BOLD,) if bold else ()),
    )  # fmt: skip
    path = write_csv(desk.folder, f"{desk.group.slug}-attributes", [row_record(desk.group, row, None) for row in rows])
    head = ("given → target", "model", "f", *columns, "seeds")
    return TableItem(
        f"{desk.group.slug}-table-attributes", "Attributes of generations", head, tuple(body), caption, path,
        filters=("given → target", "model", "scheme", "f"), facets=tuple(facets),
    )  # fmt: skip
