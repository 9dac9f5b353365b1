"""Signal-to-noise ratio of the gradients along training (Figure 10), of runs that recorded it."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

from mmbench.results.records import Curve, RunRecord
from mmbench.results.report.commands import further_run
from mmbench.results.report.contents import FigureItem, Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.averaging import mean_curve
from mmbench.results.report.drawing.signal_to_noise import SnrLine, signal_to_noise_curves
from mmbench.results.report.files import safe
from mmbench.results.report.groups import Condition, condition_of, of_seeds, version_of
from mmbench.results.report.sections.common import section_of

__all__ = ["signal_to_noise"]

PREFIX = "snr/"
PAIR = {"stop-gradient", "full"}
Held = Mapping[str, Sequence[Curve]]


def signal_to_noise(desk: Desk) -> Section | None:
    """A figure for each variant whose runs recorded ratios: of one condition, the complete runs where they did."""
    first: dict[str, tuple[Condition, list[RunRecord], Held]] = {}
    others: dict[str, list[str]] = {}
    for condition, runs in _recording(desk).items():
        held: Held = {run.id: [c for c in desk.source.curves(run.id) if c.name.startswith(PREFIX)] for run in runs}
        if not any(held.values()):
            continue
        name = desk.group.names[condition.variant]
        if name in first:
            others.setdefault(name, []).append(_condition_text(condition))
        else:
            first[name] = condition, runs, held
    if not first:
        desk.lacks(
            "signal-to-noise ratio of gradients", "no run recorded it",
            further_run(desk, "--set", "train.log_snr_every=100"),
        )  # fmt: skip
        return None
    items: list[FigureItem] = []
    for index, (name, (condition, runs, held)) in enumerate(first.items()):
        items += _figure(desk, index + 1, condition, runs, held, others.get(name, []))
    return section_of(desk, "snr", "Signal-to-noise ratio of gradients", items)


def _recording(desk: Desk) -> dict[Condition, list[RunRecord]]:
    """Runs whose settings ask for ratios, by condition; the complete ones of a variant first.

    Recording changes no score, so that a later run of the same condition and seed may stand in the tables in place of
    the one that recorded; its ratios count all the same where the model's version does.
    """
    newest = {run.spec["model"]: version_of(run) for run in desk.group.runs}
    asked: dict[tuple[Condition, int], RunRecord] = {}
    for run in (*desk.group.left_out, *desk.group.runs):
        current = version_of(run) == newest.get(run.spec["model"])
        if current and run.spec["settings"].get("train", {}).get("log_snr_every"):
            asked[condition_of(run), run.spec["seed"]] = run
    by_condition = of_seeds(asked.values())
    order = sorted(by_condition, key=lambda c: (c.variant, c.scheme != "complete", c.scheme, -c.f))
    return {condition: by_condition[condition] for condition in order}


def _figure(
    desk: Desk, index: int, condition: Condition, runs: Sequence[RunRecord], held: Held, others: Sequence[str]
) -> list[FigureItem]:
    name = desk.group.names[condition.variant]
    lines = _lines(runs, held)
    draws = sorted({int(run.spec["settings"]["train"].get("log_snr_draws", 0)) for run in runs})
    floor = math.sqrt(2 / (math.pi * draws[0])) if len(draws) == 1 and draws[0] > 1 else None
    estimators = {line.estimator for line in lines}
    seeds = max(line.curve.seeds for line in lines)
    caption = (
        f"{name}, {_condition_text(condition)}: mean over the parameters of a network of |mean| / standard deviation "
        f"of {' or '.join(map(str, draws))} gradient estimates, at the same weights and the same mini-batch. Higher is "
        "less noise.",
        "Stop-gradient holds the weight of the first term constant, full differentiates it too (eq. 7)."
        if estimators >= PAIR
        else "",
        "The run itself was trained with the estimator called drawn." if "drawn" in estimators else "",
        f"Dotted: what noise alone gives, sqrt(2 / (pi n)) = {floor:.2f}." if floor else "",
        f"Mean over {seeds} seeds, bands: one standard deviation." if seeds > 1 else "One seed, so no band is drawn.",
        f"Also recorded for: {'; '.join(others)}." if others else "",
    )
    return desk.figure(
        partial(signal_to_noise_curves, lines, floor=floor), f"snr-{index}-{safe(condition.variant.model)}",
        title=f"Signal-to-noise ratio of the gradients of {name}", caption=caption, alt=_finding(lines), runs=runs,
        data=_points(lines), number="Figure 10" if estimators >= PAIR else "",
    )  # fmt: skip


def _lines(runs: Sequence[RunRecord], held: Held) -> list[SnrLine]:
    names = sorted({curve.name for curves in held.values() for curve in curves})
    whole = [run.status == "done" for run in runs]
    found = []
    for name in names:
        estimator, network, modality = name.removeprefix(PREFIX).split("/", 2)
        pairs = [(c, ok) for run, ok in zip(runs, whole, strict=True) for c in held[run.id] if c.name == name]
        curve = mean_curve([c for c, _ in pairs], [ok for _, ok in pairs])
        if len(curve.steps):
            found.append(SnrLine(estimator, network, modality, curve))
    return found


def _condition_text(condition: Condition) -> str:
    if condition.scheme == "complete":
        return "complete rows"
    return f"scheme {condition.scheme}, f = {condition.f:g}"


def _finding(lines: Sequence[SnrLine]) -> str:
    """Last value of each line, and where both are there how they compare."""
    last = {(line.network, line.modality, line.estimator): float(line.curve.means[-1]) for line in lines}
    told = []
    for network, modality in dict.fromkeys((line.network, line.modality) for line in lines):
        own = {e: value for (n, m, e), value in last.items() if (n, m) == (network, modality)}
        values = ", ".join(f"{estimator} {value:.3g}" for estimator, value in sorted(own.items()))
        ratio = own["stop-gradient"] / own["full"] if set(own) >= PAIR and own["full"] else None
        told.append(f"{network} of {modality}: {values}" + (f" (ratio {ratio:.2g})" if ratio else ""))
    return f"Signal-to-noise ratio at the last recorded step. {'; '.join(told)}."


def _points(lines: Sequence[SnrLine]) -> list[dict[str, object]]:
    return [
        {
            "network": line.network,
            "modality": line.modality,
            "estimator": line.estimator,
            "step": int(step),
            "mean": float(mean),
            "sd": float(sd) if sd == sd else None,
            "seeds": int(count),
        }
        for line in lines
        for step, mean, sd, count in zip(
            line.curve.steps, line.curve.means, line.curve.sds, line.curve.counts, strict=True
        )
    ]
