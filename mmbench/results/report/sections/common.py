"""What sections made of scores share: a quantity against `f`, its table, and their captions."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from mmbench.results.records import RunRecord
from mmbench.results.report.captions import n_of, seeds_of, terms_of, unreliable, value_text
from mmbench.results.report.commands import further_run
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.against_f import (
    ACROSS,
    Panel,
    Published,
    Reference,
    against_f,
    by_scheme,
    crowded,
    schemes_of,
)
from mmbench.results.report.drawing.style import subscript
from mmbench.results.report.files import safe
from mmbench.results.report.groups import condition_of
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import direction, row_record
from mmbench.results.report.tables.pivot import score_table

__all__ = ["figures_against_f", "plain_table", "section_of", "table_caption"]


Key = tuple[str, str]


def section_of(desk: Desk, name: str, title: str, items: Sequence[FigureItem | TableItem]) -> Section | None:
    """The items as a section of the group; None where there are none."""
    return Section(f"{desk.group.slug}-section-{name}", title, items=tuple(items)) if items else None


def figures_against_f(
    desk: Desk,
    rows: Sequence[Row],
    name: str,
    title: str,
    references: Callable[[Key], tuple[Reference, ...]],
    published: Mapping[Key, Sequence[Published]],
    caption: Sequence[str],
    *,
    number: str = "",
    shares: bool = True,
    source: str = "Tables 3 and 4",
) -> list[FigureItem]:
    """One panel a direction or modality; beside published numbers, one line of panels a scheme too.

    Args:
        number: what the figure is in the paper.
        shares: whether the quantity is a share, drawn from 0 to 1.
        source: the paper's tables that `published` is from.
    """
    every, rows = rows, _of_main(desk, rows)
    keys = sorted({(row.given, row.target) for row in rows})
    panels = [
        Panel(
            " → ".join(part for part in key if part),
            tuple(row for row in rows if (row.given, row.target) == key),
            references(key),
            tuple(published.get(key, ())),
        )
        for key in keys
    ]
    if all(row.condition.scheme == "complete" for row in rows):
        desk.lacks(
            f"{title.lower()} below f = 1",
            "no run hides anything",
            further_run(desk, "--scheme", "split", "--f", "0.5"),
        )
    common = (*caption, seeds_of(rows, band="bands"), n_of(rows), _left_out(desk, rows, every))
    alt, runs = f"{title} against f. {_finding(desk, rows)}", _behind(desk, rows)
    ylabel = title.split(" (")[0].lower()
    beside_published = any(panel.published for panel in panels)
    data = [row_record(desk.group, row, None) for row in rows if row.n]
    items: list[FigureItem] = []
    if not (beside_published and len({row.condition.scheme for row in rows} - {"complete"}) < 2):
        for part, words, ending in _parts(panels):
            items += desk.figure(
                partial(against_f, part, desk.group.names, ylabel=ylabel, shares=shares), name + ending,
                title=f"{title} against f{words}", caption=common, alt=alt, runs=runs, data=data, number=number,
            )  # fmt: skip
    if beside_published:
        items += desk.figure(
            partial(by_scheme, panels, desk.group.names, ylabel=ylabel, shares=shares), f"{name}-published",
            title=f"{title} against f, beside the published numbers", alt=alt,
            caption=(*common, _PUBLISHED.format(source)), runs=runs, data=data, number=number,
        )  # fmt: skip
    return items


def _parts(panels: Sequence[Panel]) -> list[tuple[Sequence[Panel], str, str]]:
    """The panels of each figure, and what its title and file name end in: one, or one a scheme.

    Many panels with many lines each would be a wall of panels: each scheme has its own figure then.
    """
    if len(panels) <= ACROSS or not crowded(panels):
        return [(panels, "", "")]
    return [
        ([replace(panel, rows=_under(panel.rows, scheme)) for panel in panels], f", {scheme}", f"-{safe(scheme)}")
        for scheme in schemes_of(panels)
    ]


def _under(rows: Sequence[Row], scheme: str) -> tuple[Row, ...]:
    """The rows of a scheme with the complete ones, which end its lines."""
    return tuple(row for row in rows if row.condition.scheme in (scheme, "complete"))


def _of_main(desk: Desk, rows: Sequence[Row]) -> list[Row]:
    """Of each model the settings of most runs, and others that are no study: that have half as many conditions."""
    conditions = Counter(condition.variant for condition in {row.condition for row in rows if row.n})
    most: Counter[str] = Counter()
    for variant, count in conditions.items():
        most[variant.model] = max(most[variant.model], count)
    main = desk.group.main
    return [
        row
        for row in rows
        if ((variant := row.condition.variant) in main and not variant.paired_only)
        or 2 * conditions[variant] >= most[variant.model]
    ]


def _left_out(desk: Desk, shown: Sequence[Row], every: Sequence[Row]) -> str:
    drawn, all_ = ({row.condition.variant for row in rows} for rows in (shown, every))
    others = [name for variant, name in desk.group.names.items() if variant in all_ - drawn]
    return f"In figures of their own, or in the table alone: {', '.join(others)}." if others else ""


_PUBLISHED = (
    "Dashed, hollow: numbers published in the MEME paper (ICLR 2022, {}), mean and one standard deviation. "
    "They come from other networks, training lengths and data than this store's runs, so no verdict is drawn."
)


def _finding(desk: Desk, rows: Sequence[Row]) -> str:
    found = [
        f"{desk.group.names[row.condition.variant]} {subscript(row.condition.scheme)}".strip()
        + f", {direction(row)}, f = {row.condition.f:g}: {value_text(row, 2)}"
        for row in rows
        if row.mean is not None
    ]
    return "; ".join(found[:24]) + ("; more in the table." if len(found) > 24 else ".")


def _behind(desk: Desk, rows: Sequence[Row]) -> list[RunRecord]:
    conditions = {row.condition for row in rows if row.n}
    return [run for run in desk.done() if condition_of(run) in conditions]


def plain_table(desk: Desk, metric: str, name: str, title: str, text: str, digits: int = 3) -> list[TableItem]:
    """The table of everything that a metric says; none where it says nothing."""
    rows = desk.rows(metric)
    if not rows:
        return []
    caption = table_caption(desk, rows, text)
    return [score_table(desk.folder, desk.group, rows, name=name, title=title, caption=caption, digits=digits)]


def table_caption(desk: Desk, rows: Sequence[Row], text: str) -> tuple[str, ...]:
    """What the rows are, and what they rest on."""
    sentences = (text, seeds_of(rows), n_of(rows), unreliable(rows), f"Terms: {terms_of(desk.group)}")
    return tuple(sentence for sentence in sentences if sentence)
