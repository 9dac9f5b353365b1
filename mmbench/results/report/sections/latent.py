"""Latent accuracy: the class read from each modality's encoding, against `f` (Figure 7, Table 4)."""

from dataclasses import replace

from mmbench.results.report.commands import lacks_metric
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.sections.common import (
    figures_against_f,
    section_of,
    table_caption,
)
from mmbench.results.report.tables.bounds import bounds_table, latent_references
from mmbench.results.report.tables.pivot import score_table
from mmbench.results.report.tables.published import published_numbers

__all__ = ["latent_accuracy"]


def latent_accuracy(desk: Desk) -> Section | None:
    """Figure 7: a figure for each estimator, and one table."""
    rows = desk.rows("latent_accuracy")
    items: list[FigureItem | TableItem] = []
    if not rows:
        lacks_metric(desk, "latent accuracy", "latent_accuracy")
    bounds = [row for row in rows if row.estimator.startswith("input")]
    own = [row for row in rows if not row.estimator.startswith("input")]
    published = published_numbers(desk.group.dataset, "latent_accuracy")
    for estimator in sorted({row.estimator for row in own}):
        members = [row for row in own if row.estimator == estimator]
        numbers = published if estimator == "linear-sample" else {}
        title = f"Latent accuracy ({estimator})"
        caption = (f"Accuracy of the class read from the latent space of each modality, estimator {estimator}.",)
        items += figures_against_f(
            desk,
            members,
            f"latent-{estimator}",
            title,
            latent_references(desk, bounds),
            numbers,
            caption,
            number="Figure 7",
        )
    if own:
        text = "Accuracy of the class read from one modality's encoding."
        table = score_table(
            desk.folder, desk.group, own, name="latent-accuracy", title="Latent accuracy",
            caption=table_caption(desk, own, text), published=published, published_estimator="linear-sample",
        )  # fmt: skip
        items.append(replace(table, number="Table 4"))
    text = "Supervised accuracy on the inputs themselves, which no encoding of them can be expected to beat."
    items += bounds_table(desk, "latent_accuracy", ("input",), "supervised", "Supervised accuracy on the input", text)
    return section_of(desk, "latent", "Latent accuracy", items)
