"""Coherence: cross coherence against `f` (Figure 5), its tables (3 and 7), by class, joint, and what bounds it."""

from collections.abc import Sequence
from dataclasses import replace

from mmbench.results.report.averages import by_target, is_single, many_modalities
from mmbench.results.report.commands import lacks_metric
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.sections.by_class import by_class_figure
from mmbench.results.report.sections.by_number import by_number_figure
from mmbench.results.report.sections.common import (
    figures_against_f,
    plain_table,
    section_of,
    table_caption,
)
from mmbench.results.report.sections.laplace import laplace
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.bounds import (
    bounds_table,
    classifiers_text,
    coherence_references,
    judges_differ,
    mean_references,
)
from mmbench.results.report.tables.lines import per_class_table
from mmbench.results.report.tables.pivot import score_table
from mmbench.results.report.tables.published import published_numbers

__all__ = ["coherence"]

_OVER_SUBSETS = " and over every subset of the other modalities; the CSV has each."
PANELS = 12  # directions that a figure against f shows one by one


def coherence(desk: Desk) -> Section | None:
    """Figure 5 with its tables: cross coherence, by class, joint coherence, and what bounds them."""
    rows = desk.rows("cross_coherence")
    items: list[FigureItem | TableItem] = []
    if not rows:
        lacks_metric(desk, "coherence", "cross_coherence")
    published = published_numbers(desk.group.dataset, "cross_coherence")
    micro = [row for row in rows if row.estimator == "micro"]
    if micro:
        many = many_modalities(micro)
        if many:
            what = "Share of test rows whose generation has its input's class (estimator micro)"
            items += by_number_figure(
                desk, micro, name="coherence-number", title="Cross coherence", what=what,
                references=mean_references(desk),
            )  # fmt: skip
        drawn, told = _few_panels(micro) if many else (micro, "")
        items += figures_against_f(
            desk, drawn, "coherence", "Cross coherence", coherence_references(desk), published,
            (*_caption(desk), told), number="Figure 5",
        )  # fmt: skip
    whole = [row for row in rows if "class" not in row.protocol]
    if whole:
        text = "Share of test rows whose generation has its input's class."
        table = score_table(
            desk.folder, desk.group, whole, name="coherence", title="Cross coherence",
            caption=table_caption(desk, whole, text), published=published, published_estimator="micro",
        )  # fmt: skip
        items.append(replace(table, number="Table 3"))
    items += laplace(desk)
    if by_class := [row for row in rows if "class" in row.protocol]:
        many = many_modalities(by_class)
        shown = by_target(by_class, single=False) if many else by_class
        items += by_class_figure(desk, shown)
        text = "Cross coherence by the class of the input; means over seeds" + (_OVER_SUBSETS if many else ".")
        items.append(
            per_class_table(
                desk.folder, desk.group, shown, title="Cross coherence by class", every=by_class,
                caption=table_caption(desk, by_class, text),
            )
        )  # fmt: skip
    items += plain_table(
        desk, "joint_coherence", "joint", "Joint coherence",
        "Share of samples from the prior, or from the stand-in named, on which all classifiers agree.",
    )  # fmt: skip
    items += bounds_table(
        desk, "classifier_accuracy", ("classifier", "majority"), "classifiers", "Classifiers and majority class",
        "What coherence is measured with: accuracy of each modality's classifier on real test images (a generation can "
        "hardly do better), and the share of the largest class (what a constant guess reaches).",
    )  # fmt: skip
    return section_of(desk, "coherence", "Coherence", items)


def _few_panels(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Of more than two modalities what a figure against `f` shows, and what it leaves out: no subset of several."""
    single = [row for row in rows if is_single(row)]
    directions = {(row.given, row.target) for row in single}
    if len(directions) <= PANELS:
        return single, "From one modality to one other; where several are given, see the figure above and the table."
    return by_target(rows), (
        f"Means over the single modalities given, one panel a target: the {len(directions)} directions from one "
        "modality to one other, and those from several, are in the table."
    )


def _caption(desk: Desk) -> tuple[str, ...]:
    stated = classifiers_text(desk)
    return (
        "Share of test rows whose generation, decoded from one posterior sample, is given the class of its input "
        "(estimator micro); the subscript names the modality that is always present.",
        f"The classifiers' own accuracy on real test images: {stated}." if stated else "",
        "Dotted: the majority class's share and the classifier's accuracy." if stated else "",
        judges_differ(desk),
    )
