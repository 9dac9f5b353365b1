"""Training curves, a figure for each variant."""

from collections.abc import Sequence
from functools import partial

from mmbench.results.records import RunRecord
from mmbench.results.report.contents import FigureItem, Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.training import (
    PANELS,
    SHADES,
    Track,
    averaged,
    terms_of,
    tracks,
    training_curves,
)
from mmbench.results.report.files import safe
from mmbench.results.report.groups import Variant, condition_of
from mmbench.results.report.sections.limits import few, left_out_text

__all__ = ["training"]

Place = tuple[str, float]


def training(desk: Desk) -> Section | None:
    """Training curves, a figure for each variant; of very many variants, the first of each model before the others."""
    items: list[FigureItem] = []
    names = desk.group.names
    shown = few(desk, names)
    for index, variant in enumerate(names):
        if variant in shown:
            items += _figure(desk, variant, index + 1)
    if not items:
        return None
    text = left_out_text(desk, shown, names)
    return Section(f"{desk.group.slug}-section-training", "Training", (text,) if text else (), tuple(items))


def _figure(desk: Desk, variant: Variant, index: int) -> list[FigureItem]:
    everyone = [run for run in desk.group.runs if condition_of(run).variant == variant]
    name = desk.group.names[variant]
    places = _places(everyone)
    runs = [run for run in everyone if _place(run) in places]
    held = {run.id: desk.source.curves(run.id) for run in runs}
    terms = terms_of(held)
    if not terms:
        desk.lacks(f"training curves of {name}", "its runs have none", "")
        return []
    drawn = tracks(runs, held)
    left = len({_place(run) for run in everyone}) - len(places)
    caption = (
        "Solid: means of training terms; dashed: the same terms on held-out test rows. "
        f"{_lines_text(runs)} The first tenth of the steps does not set the axis. "
        "Losses of different models are not comparable.",
        f"The first {PANELS} of {len(terms)} terms are drawn." if len(terms) > PANELS else "",
        f"{left} more conditions are not drawn: of each scheme the largest and smallest f come first." if left else "",
    )
    return desk.figure(
        partial(training_curves, drawn, name), f"training-{index}-{safe(variant.model)}",
        title=f"Training of {name}", caption=caption, runs=runs, data=_points(drawn),
        alt=f"Training terms of {name} against the step: {', '.join(terms[:PANELS])}.{_ends(drawn)}",
    )  # fmt: skip


def _lines_text(runs: Sequence[RunRecord]) -> str:
    if not averaged(runs):
        return "One line a run; a cross ends that of a run that did not end well."
    return (
        f"{len(runs)} runs would be too many lines: drawn is the mean over the seeds of each condition, with a band of "
        "one standard deviation; a run that ended early counts up to its end."
    )


def _place(run: RunRecord) -> Place:
    return run.spec["scheme"], float(run.spec["f"])


def _places(runs: Sequence[RunRecord]) -> list[Place]:
    """Scheme and `f` of what is drawn, as many as there are colours: the ends of each scheme before what is between."""
    everyone = sorted({_place(run) for run in runs})
    by_scheme = {scheme: [p for p in everyone if p[0] == scheme] for scheme, _ in everyone}
    ends = [place for members in by_scheme.values() for place in (members[0], members[-1])]
    ordered = sorted(everyone, key=lambda place: (place[0] != "complete", place not in ends, everyone.index(place)))
    return ordered[: len(SHADES)]


def _ends(drawn: Sequence[Track]) -> str:
    """Where the loss ended on training rows, for those who cannot see it."""
    told = [
        f"{scheme}, f = {-f:g}: {track.values[-1]:.4g}"
        for track in drawn
        for scheme, f in (track.condition,)
        if (track.term, track.kind) == ("loss", "train")
    ]
    return f" The training loss ends at: {'; '.join(told)}." if told else ""


def _points(drawn: Sequence[Track]) -> list[dict[str, object]]:
    """A record a point: of single runs with the run's name, of means with their standard deviation."""
    return [
        {
            "run": track.run,
            "scheme": track.condition[0],
            "f": -track.condition[1],
            "curve": f"{track.kind}/{track.term}",
            "step": int(step),
            "value": float(value),
            "sd": float(track.sds[i]) if len(track.sds) and track.sds[i] == track.sds[i] else None,
            "seeds": track.seeds,
        }
        for track in drawn
        for i, (step, value) in enumerate(zip(track.steps, track.values, strict=True))
    ]
