"""Every pair of modalities at a glance, where there are more than two: whose encodings share the concept."""

from functools import partial

import numpy as np

from mmbench.results.report.averages import many_modalities
from mmbench.results.report.captions import n_of
from mmbench.results.report.contents import FigureItem
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.drawing.heat_map import Heat, heat_map
from mmbench.results.report.drawing.style import plain
from mmbench.results.report.groups import condition_of
from mmbench.results.report.sections.limits import few, left_out_text
from mmbench.results.report.tables.lines import row_record

__all__ = ["pairs_figure"]

LINES = 24  # models


def pairs_figure(desk: Desk, setting: Setting) -> list[FigureItem]:
    """AUROC of the distances of each pair, a line a model; none for two modalities, which are one pair."""
    scored = [
        row
        for row in desk.rows("relatedness")
        if row.estimator == "auroc"
        and row.mean is not None
        and (row.condition.scheme, row.condition.f) == (setting.scheme, setting.f)
    ]
    if not many_modalities(scored):
        return []
    there = [v for v in desk.group.names if any(row.condition.variant == v for row in scored)]
    shown = few(desk, there, LINES)
    rows = [row for row in scored if row.condition.variant in shown]
    pairs = sorted({(row.given, row.target) for row in rows})
    values = np.full((len(shown), len(pairs)), np.nan)
    for row in rows:
        values[shown.index(row.condition.variant), pairs.index((row.given, row.target))] = row.mean
    best = max(rows, key=lambda row: row.mean or 0.0)
    caption = (
        "AUROC of the negative distance of encodings, same concept against different ones, of every two modalities; "
        "0.5 is chance.",
        n_of(rows),
        left_out_text(desk, shown, there),
    )
    return desk.figure(
        partial(heat_map, [Heat("", values)], [plain(desk.group.names[v]) for v in shown],
                [f"{a}, {b}" for a, b in pairs], label="AUROC", xlabel="pair of modalities"),
        f"w2-pairs-{setting.slug}", title=f"Relatedness of every pair, {setting.text}", caption=caption,
        alt=f"Heat map of AUROC by model and pair of modalities. Highest: {desk.group.names[best.condition.variant]}, "
        f"{best.given} and {best.target}, {best.mean:.2f}.",
        runs=[run for run in desk.done() if condition_of(run) in {row.condition for row in rows}],
        data=[row_record(desk.group, row, None) for row in rows],
    )  # fmt: skip
