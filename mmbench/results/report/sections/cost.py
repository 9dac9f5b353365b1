"""Cost beside quality: training speed and peak memory against mean cross coherence, device by device."""

from collections.abc import Mapping, Sequence
from functools import partial

from mmbench.results.records import RunRecord
from mmbench.results.report.captions import DASH, terms_of
from mmbench.results.report.contents import FigureItem, Section, TableItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.trade_off import Point, Spread, TradePanel, trade_off
from mmbench.results.report.groups import Condition, of_seeds
from mmbench.results.report.sections.common import section_of
from mmbench.results.report.sections.limits import few, few_places, left_out_text, places_text
from mmbench.results.report.sections.trade_off import name_of, spread_text
from mmbench.results.report.sections.values import mean_coherence, spread_of
from mmbench.results.report.tables.lines import line_name, write_csv

__all__ = ["cost"]

DEVICES = 3  # drawn, those with the most conditions
TIMINGS = (("pairs_per_s", "training pairs a second"), ("peak_memory_mb", "peak memory, MiB"))

Place = tuple[Condition, str]
Costs = Mapping[Place, Mapping[str, Spread]]


def cost(desk: Desk) -> Section | None:
    """A figure with two panels a device, and a table; None where no run has timings."""
    costs = _costs(desk)
    if not any(costs.values()):
        return None
    coherence = mean_coherence(desk)
    items: list[FigureItem | TableItem] = [*_figure(desk, costs, coherence), _table(desk, costs, coherence)]
    return section_of(desk, "cost", "Cost beside quality", items)


def _costs(desk: Desk) -> dict[Place, dict[str, Spread]]:
    """Each timing over the seeds of a condition on one device."""
    by_place: dict[Place, list[RunRecord]] = {}
    for condition, runs in of_seeds(desk.done()).items():
        for run in runs:
            by_place.setdefault((condition, _device(run)), []).append(run)
    found: dict[Place, dict[str, Spread]] = {}
    for place in sorted(by_place, key=lambda p: (p[1], p[0].variant, p[0].scheme != "complete", p[0].scheme, -p[0].f)):
        found[place] = {}
        for name, _ in TIMINGS:
            values = [float(r.timings[name]) for r in by_place[place] if r.timings.get(name) is not None]
            if spread := spread_of(values):
                found[place][name] = spread
    return found


def _device(run: RunRecord) -> str:
    """The device as recorded, a CPU with its number of threads."""
    device, threads = str(run.provenance.get("device", "unknown device")), run.provenance.get("threads")
    if not device.startswith("cpu") or threads is None:
        return device
    return f"{device}, {threads} thread{'' if threads == 1 else 's'}"


def _figure(desk: Desk, costs: Costs, coherence: Mapping[Condition, Spread]) -> list[FigureItem]:
    everything = costs
    everywhere = list(dict.fromkeys(condition.variant for condition, _ in costs))
    shown = few(desk, everywhere)
    costs = {place: found for place, found in costs.items() if place[0].variant in shown}
    conditions = [condition for condition, _ in costs]
    places = few_places(desk, conditions)
    costs = {place: found for place, found in costs.items() if (place[0].scheme, place[0].f) in places}
    panels, drawn = _panels(costs, coherence)
    if not panels:
        return []
    everyone = {device for _, device in everything}
    caption = (
        "Cross coherence (estimator micro, mean over the directions) against what training cost; up is better, and to "
        "the right is faster on the left, larger on the right. Colour: model; fill: scheme; size: f.",
        _COMPARED,
        f"Drawn: the {len(drawn)} of {len(everyone)} devices with the most conditions." if drawn != everyone else "",
        left_out_text(desk, shown, everywhere),
        places_text(places, conditions),
    )
    points = {p.condition for panel in panels for p in panel.points}
    return desk.figure(
        partial(trade_off, panels, desk.group.names, ylabel="cross coherence"), "cost", title="Cost beside quality",
        caption=caption, alt=f"Scatter plots of coherence against cost. {_finding(desk, costs, drawn)}",
        data=[_record(desk, place, found, coherence) for place, found in everything.items()],
        runs=[run for condition, runs in of_seeds(desk.done()).items() if condition in points for run in runs],
    )  # fmt: skip


_COMPARED = (
    "Speeds compare only on one device that does nothing else meanwhile. On a CPU the peak memory is that of the whole "
    "process, so that several runs of one process share the largest of them."
)


def _panels(costs: Costs, coherence: Mapping[Condition, Spread]) -> tuple[list[TradePanel], set[str]]:
    places = [place for place in costs if place[0] in coherence]
    counts = {device: sum(p[1] == device for p in places) for _, device in places}
    devices = sorted(sorted(counts), key=lambda device: -counts[device])[:DEVICES]
    panels = []
    for device in devices:
        for name, words in TIMINGS:
            points = tuple(
                Point(c, costs[c, d][name], coherence[c]) for c, d in places if d == device and name in costs[c, d]
            )
            panels.append(TradePanel(device, words, points, log=True))
    return [panel for panel in panels if panel.points], set(devices)


def _finding(desk: Desk, costs: Costs, devices: set[str]) -> str:
    """The fastest and the slowest on each device."""
    told = []
    for device in sorted(devices):
        speeds = {c: costs[c, d]["pairs_per_s"].mean for c, d in costs if d == device and "pairs_per_s" in costs[c, d]}
        if speeds:
            fast, slow = max(speeds, key=lambda c: speeds[c]), min(speeds, key=lambda c: speeds[c])
            told.append(
                f"On {device} the fastest is {name_of(desk, fast)} with {speeds[fast]:,.0f} pairs/s, the slowest "
                f"{name_of(desk, slow)} with {speeds[slow]:,.0f}"
            )
    return "; ".join(told) + "." if told else ""


def _table(desk: Desk, costs: Costs, coherence: Mapping[Condition, Spread]) -> TableItem:
    head = ("model", "f", "device", "pairs/s", "peak memory", "coherence", "seeds")
    body = [
        (
            line_name(desk.group, condition),
            f"{condition.f:g}",
            device,
            spread_text(found["pairs_per_s"], 0) if "pairs_per_s" in found else DASH,
            f"{spread_text(found['peak_memory_mb'], 0)} MiB" if "peak_memory_mb" in found else DASH,
            spread_text(coherence[condition], 3) if condition in coherence else DASH,
            str(max((spread.n for spread in found.values()), default=0)),
        )
        for (condition, device), found in costs.items()
    ]
    caption = (
        "Mean over seeds, ± one standard deviation where there are two or more; coherence is the mean over the "
        "directions (micro).",
        _COMPARED,
        f"Terms: {terms_of(desk.group)}",
    )
    path = write_csv(desk.folder, f"{desk.group.slug}-cost", [_record(desk, p, costs[p], coherence) for p in costs])
    return TableItem(
        f"{desk.group.slug}-table-cost", "Cost and quality", head, tuple(body), caption, path, folded=True,
        filters=("model", "f", "device"),
    )  # fmt: skip


def _record(
    desk: Desk, place: Place, found: Mapping[str, Spread], coherence: Mapping[Condition, Spread]
) -> dict[str, object]:
    condition, device = place
    quality = coherence.get(condition)
    record: dict[str, object] = {
        "model": desk.group.names[condition.variant],
        "scheme": condition.scheme,
        "f": condition.f,
        "device": device,
    }
    for name, _ in TIMINGS:
        spread = found.get(name)
        record |= {name: spread.mean if spread else None, f"{name}_sd": spread.sd if spread else None}
    seeds: Sequence[int] = [spread.n for spread in found.values()]
    return record | {
        "seeds": max(seeds, default=0),
        "coherence": quality.mean if quality else None,
        "coherence_sd": quality.sd if quality else None,
    }
