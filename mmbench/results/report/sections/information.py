"""Mutual information of a classifier's predictions on generations (Table 6)."""

from dataclasses import replace

from mmbench.results.report.commands import lacks_metric
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.sections.common import section_of, table_caption
from mmbench.results.report.tables.bounds import bounds_table
from mmbench.results.report.tables.pivot import score_table
from mmbench.results.report.tables.published import published_numbers

__all__ = ["information"]

METRIC, ESTIMATOR, REAL = "predictive_information", "svgp", "svgp-real"


def information(desk: Desk) -> Section | None:
    """Table 6, with the value on real images beside it; None where no run has the metric."""
    rows = [row for row in desk.rows(METRIC) if row.estimator != REAL]
    if not any(row.n for row in rows):
        lacks_metric(desk, "mutual information of predictions", METRIC)
        return None
    text = (
        "Mutual information between prediction and weights, in nats, of a classifier whose last layer is a sparse "
        "variational Gaussian process: how unsure it is of a generated image for want of ever having seen its like. "
        "Lower is better, and low values do not say that the class is right. Given and target alike: a reconstruction, "
        f"as in the paper. {_real(desk)}"
    )
    table = score_table(
        desk.folder, desk.group, rows, name="information", title="Mutual information of predictions",
        caption=table_caption(desk, rows, text.strip()), published=published_numbers(desk.group.dataset, METRIC),
        published_estimator=ESTIMATOR,
    )  # fmt: skip
    items: list[FigureItem | TableItem] = [replace(table, number="Table 6")]
    items += bounds_table(
        desk, METRIC, (REAL,), "information-real", "Mutual information on real images",
        "The same classifiers on real test images: what a generation that cannot be told from them would have.",
    )  # fmt: skip
    return section_of(desk, "information", "Mutual information of predictions", items)


def _real(desk: Desk) -> str:
    """The values on real images in a sentence; empty where there are none."""
    found = sorted(
        {
            (s.target, f"{s.value:.3f}")
            for run in desk.done()
            for s in run.scores
            if (s.metric, s.estimator, s.status) == (METRIC, REAL, "ok") and s.value is not None
        }
    )
    return f"On real test images: {', '.join(f'{target} {value}' for target, value in found)}." if found else ""
