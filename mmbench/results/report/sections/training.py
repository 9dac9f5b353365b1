"""Training curves, a figure for each variant."""

from collections.abc import Mapping, Sequence
from functools import partial

from mmbench.results.records import Curve, RunRecord
from mmbench.results.report.contents import FigureItem, Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.training import PANELS, training_curves
from mmbench.results.report.files import safe
from mmbench.results.report.groups import condition_of

__all__ = ["training"]


def training(desk: Desk) -> Section | None:
    """Training curves, a figure for each variant."""
    items: list[FigureItem] = []
    for index, (variant, name) in enumerate(desk.group.names.items()):
        runs = [run for run in desk.group.runs if condition_of(run).variant == variant]
        held = {run.id: desk.source.curves(run.id) for run in runs}
        terms = {c.name.partition("/")[2] or c.name for found in held.values() for c in found if len(c.values)}
        if not terms:
            desk.lacks(f"training curves of {name}", "its runs have none", "")
            continue
        caption = (
            "Solid: means of training terms; dashed: the same terms on held-out test rows. One line a run; "
            "the first tenth of the steps does not set the axis. Losses of different models are not comparable.",
            f"The first {PANELS} of {len(terms)} terms are drawn." if len(terms) > PANELS else "",
        )
        items += desk.figure(
            partial(training_curves, runs, held, name), f"training-{index + 1}-{safe(variant.model)}",
            title=f"Training of {name}", caption=caption, runs=runs, data=_points(runs, held),
            alt=f"Training terms of {name} against the step: {', '.join(sorted(terms)[:PANELS])}.",
        )  # fmt: skip
    return Section(f"{desk.group.slug}-section-training", "Training", items=tuple(items)) if items else None


def _points(runs: Sequence[RunRecord], held: Mapping[str, Sequence[Curve]]) -> list[dict[str, object]]:
    return [
        {"run": run.id, "curve": curve.name, "step": int(step), "value": float(value)}
        for run in runs
        for curve in held[run.id]
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]
