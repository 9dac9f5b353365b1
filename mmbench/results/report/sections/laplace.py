"""MMVAE with Laplace posteriors and prior (Table 7), which the paper says explains its lower baseline."""

import json
from dataclasses import replace

from mmbench.results.published import published_rows
from mmbench.results.report.contents import TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.sections.common import table_caption
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.pivot import score_table

__all__ = ["laplace"]

MODEL, SETTING = "mmvae", "family"


def laplace(desk: Desk) -> list[TableItem]:
    """Coherence and latent accuracy of MMVAE by family; none without a variant whose family is Laplace."""
    families = {v: json.loads(v.settings).get(SETTING) for v in desk.group.names if v.model == MODEL}
    if "laplace" not in families.values():
        return []
    rows = [row for row in desk.rows("cross_coherence") if row.estimator == "micro"]
    rows += [row for row in desk.rows("latent_accuracy") if row.estimator == "linear-sample"]
    rows = [row for row in rows if row.condition.variant in families]
    if not any(_is_laplace(row) and row.n for row in rows):
        return []
    text = (
        "MMVAE by family of posteriors and prior (model.family). The paper labels its two numbers coherence, without a "
        "direction; they may be latent accuracies, so both stand here: micro is cross coherence, linear-sample latent "
        f"accuracy. {_published(desk.group.dataset)}"
    ).strip()
    table = score_table(
        desk.folder, desk.group, rows, name="laplace", title="MMVAE with Laplace posteriors and prior",
        caption=table_caption(desk, rows, text),
    )  # fmt: skip
    return [replace(table, number="Table 7")]


def _is_laplace(row: Row) -> bool:
    return bool(json.loads(row.condition.variant.settings).get(SETTING) == "laplace")


def _published(dataset: str) -> str:
    found = [
        f"{row.target} {row.mean:.3f}" for row in published_rows() if row.table == "Table 7" and row.dataset == dataset
    ]
    return f"Published (Joy et al., ICLR 2022, Table 7): {', '.join(found)}." if found else ""
