"""Correlation of images and captions (Table 5, Figure 6): CCA of generated pairs, beside what real pairs reach.

A score says little alone, since it hangs on the word vectors and the CCA that it was measured with: beside each stand
the real pairs of the same rows (ground truth), the same pairs shuffled (control), and the share of the ground truth.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from markupsafe import Markup

from mmbench.results.published import GROUND_TRUTH, published_rows
from mmbench.results.report.captions import DASH, protocol_text, value_text
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.contests import BOLD, RowKey, contests_of, row_key, winners
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.against_f import Published, Reference
from mmbench.results.report.groups import Condition
from mmbench.results.report.sections.common import figures_against_f, section_of, table_caption
from mmbench.results.report.summaries import Row, mean_and_sd
from mmbench.results.report.tables.lines import direction, line_name, row_record, write_csv
from mmbench.results.report.tables.published import published_numbers

__all__ = ["correlation", "share_of_truth"]

METRIC, ESTIMATOR, TRUTH, CONTROL = "caption_correlation", "cca", "ground-truth", "shuffled"
HEAD = ("given → target", "model", "f", "correlation", "ground truth", "shuffled", "score / ground truth", "published",
        "seeds")  # fmt: skip
FILTERS = ("given → target", "model", "scheme", "f")


def correlation(desk: Desk) -> Section | None:
    """Figure 6 and Table 5; None where no run has the metric."""
    rows = desk.rows(METRIC)
    scored = [row for row in rows if row.estimator == ESTIMATOR]
    if not any(row.n for row in scored):
        return None
    published = published_numbers(desk.group.dataset, METRIC)
    items: list[FigureItem | TableItem] = []
    across = [row for row in scored if row.given and row.target]
    if any(row.n for row in across):
        items += figures_against_f(
            desk, across, "correlation", "Caption correlation", _references(rows), published, _caption(desk),
            number="Figure 6", shares=False, source="Table 5",
        )  # fmt: skip
    items.append(_table(desk, rows, scored, published))
    return section_of(desk, "correlation", "Correlation of images and captions", items)


def share_of_truth(row: Row, truth: Row | None) -> tuple[float | None, float | None]:
    """Mean and standard deviation over common seeds of score / ground truth; None where some truth is not positive."""
    own, real = dict(row.by_seed), dict(truth.by_seed) if truth else {}
    seeds = sorted(set(own) & set(real))
    if any(real[seed] <= 0 for seed in seeds):
        return None, None
    return mean_and_sd([own[seed] / real[seed] for seed in seeds])


def _beside(rows: Sequence[Row], row: Row, estimator: str) -> Row | None:
    """The ground truth or the control of the row's condition whose protocol is the row's own, or a part of it."""
    found = [r for r in rows if (r.condition, r.estimator) == (row.condition, estimator) and r.n]
    return next((r for r in found if r.protocol.items() <= row.protocol.items()), None)


def _references(rows: Sequence[Row]) -> Callable[[tuple[str, str]], tuple[Reference, ...]]:
    """Lines of a direction: mean over all runs of the ground truth, and of the control."""

    def references(key: tuple[str, str]) -> tuple[Reference, ...]:
        found = []
        for estimator, words in ((TRUTH, "ground truth"), (CONTROL, "shuffled pairs")):
            held = [r for r in rows if r.estimator == estimator and r.protocol.get("view", key[0]) in key]
            values = [value for r in held for _, value in r.by_seed]
            if values:
                found.append(Reference(words, math.fsum(values) / len(values)))
        return tuple(found)

    return references


def _caption(desk: Desk) -> tuple[str, ...]:
    printed = _printed_truth(desk)
    return (
        "Mean cosine of the canonical projections of test pairs, one side real and the other generated from it, by a "
        "CCA that was fitted on real training pairs.",
        "Dotted: the real pairs of the same rows (ground truth) and the same pairs shuffled (control), mean over runs.",
        f"The paper's ground truth is {printed:.3f}." if printed is not None else "",
    )


def _printed_truth(desk: Desk) -> float | None:
    for row in published_rows():
        if (row.dataset, row.metric, row.model) == (desk.group.dataset, METRIC, GROUND_TRUTH):
            return row.mean
    return None


def _table(
    desk: Desk, rows: Sequence[Row], scored: Sequence[Row], published: dict[tuple[str, str], list[Published]]
) -> TableItem:
    ordered = sorted(scored, key=lambda row: (not row.given, row.given, row.target))
    bold = winners(contests_of(desk.group, scored))
    body, facets, records = [], [], []
    for row in ordered:
        c = row.condition
        truth, control = (_beside(rows, row, estimator) for estimator in (TRUTH, CONTROL))
        printed = _printed(published.get((row.given, row.target), ()), c)
        share = share_of_truth(row, truth)
        way = direction(row) if row.given or row.target else "samples from the prior"
        seeds = Markup("<small>{} of {}</small>").format(row.n, row.of)
        body.append((way, line_name(desk.group, c), f"{c.f:g}", _value(row, bold), _mean(truth), _mean(control),
                     _spread(*share, 2), _number(printed), seeds))  # fmt: skip
        facets.append((way, desk.group.names[c.variant], c.scheme, f"{c.f:g}"))
        records.append(_record(desk, row, truth, control, share, printed))
    path = write_csv(desk.folder, f"{desk.group.slug}-correlation", records)
    caption = table_caption(
        desk, scored,
        "Correlation of test pairs by CCA; image → caption: the real image and the caption generated from it. Ground "
        "truth and control (shuffled) are real pairs of the same rows. Score / ground truth: mean over seeds, a dash "
        "where the ground truth is not above zero.",
    )  # fmt: skip
    notes = (BOLD if bold else "", _protocols(scored), _PUBLISHED if published else "")
    table = TableItem(
        f"{desk.group.slug}-table-correlation", "Correlation of images and captions", HEAD, tuple(body),
        (*caption, *(note for note in notes if note)), path, filters=FILTERS, facets=tuple(facets),
    )  # fmt: skip
    return replace(table, number="Table 5")


_PUBLISHED = (
    "Published: mean and one standard deviation as printed in the MEME paper (ICLR 2022, Table 5); whether they may be "
    "compared stands in the table of verdicts."
)


def _value(row: Row, bold: frozenset[RowKey]) -> Markup:
    return Markup("<strong>{}</strong>" if row_key(row) in bold else "{}").format(value_text(row))


def _mean(row: Row | None) -> str:
    return DASH if row is None else _spread(row.mean, row.sd, 3)


def _spread(mean: float | None, sd: float | None, digits: int) -> str:
    if mean is None:
        return DASH
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd is not None else "")


def _printed(numbers: Sequence[Published], condition: Condition) -> Published | None:
    wanted = (condition.variant.model, condition.scheme, condition.f)
    return next((n for n in numbers if (n.model, n.scheme, n.f) == wanted), None)


def _number(printed: Published | None) -> object:
    return Markup("<i>{}</i>").format(_spread(printed.mean, printed.sd, 3)) if printed else DASH


def _protocols(rows: Sequence[Row]) -> str:
    told = dict.fromkeys(protocol_text(row.protocol) for row in rows if row.n and row.given and row.protocol)
    return f"Protocol: {'; or '.join(text for text in told if text)}." if any(told) else ""


def _record(
    desk: Desk, row: Row, truth: Row | None, control: Row | None, share: tuple[float | None, float | None],
    printed: Published | None,
) -> dict[str, object]:  # fmt: skip
    return {
        **row_record(desk.group, row, printed),
        "ground_truth": truth.mean if truth else None,
        "ground_truth_sd": truth.sd if truth else None,
        "shuffled": control.mean if control else None,
        "shuffled_sd": control.sd if control else None,
        "share_of_truth": share[0],
        "share_of_truth_sd": share[1],
    }
