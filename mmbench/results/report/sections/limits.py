"""How much one figure holds: what is left out of it stays in the tables, and the caption says so.

Of each model the variant with the most runs comes first: it is the one that was compared with other models, while the
variants of a study have a few conditions each.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from mmbench.results.report.desk import Desk
from mmbench.results.report.groups import Condition, Variant, condition_of
from mmbench.results.report.sections.arrays import Held

__all__ = ["MODELS", "few", "few_of", "few_places", "left_out_text", "places_text"]

MODELS = 12  # variants that a figure of panels shows
POINTS = 40  # points that a scatter plot with error bars shows

Place = tuple[str, float]


def few(desk: Desk, variants: Iterable[Variant], most: int = MODELS) -> list[Variant]:
    """At most `most` variants in their order: of each model the one with the most runs before any model's second."""
    listed = list(variants)
    runs = Counter(condition_of(run).variant for run in desk.group.runs)
    by_runs = sorted(listed, key=lambda v: (v.paired_only, -runs[v], listed.index(v)))
    place: dict[Variant, int] = {}
    seen: Counter[str] = Counter()
    for variant in by_runs:
        place[variant] = seen[variant.model]
        seen[variant.model] += 1
    chosen = set(sorted(by_runs, key=lambda v: (place[v], by_runs.index(v)))[:most])
    return [variant for variant in listed if variant in chosen]


def few_of(desk: Desk, held: Held, most: int = MODELS) -> Held:
    """The same of example runs with their arrays."""
    return {variant: held[variant] for variant in few(desk, held, most)}


def left_out_text(desk: Desk, shown: Sequence[Variant], everyone: Iterable[Variant]) -> str:
    """Which variants a figure leaves out; empty where it shows all."""
    others = [desk.group.names[variant] for variant in everyone if variant not in shown]
    if not others:
        return ""
    told = ", ".join(others[:6]) + (f" and {len(others) - 6} more" if len(others) > 6 else "")
    return f"Not drawn, to stay readable: {told}."


def few_places(desk: Desk, conditions: Sequence[Condition], most: int = POINTS) -> list[Place]:
    """Scheme and `f` of what a scatter plot shows: all, or as many of the settings as fit, the complete first."""
    if len(conditions) <= most:
        return sorted({(c.scheme, c.f) for c in conditions})
    found: list[Place] = []
    count = 0
    for setting in desk.settings():
        place = (setting.scheme, setting.f)
        there = sum((c.scheme, c.f) == place for c in conditions)
        if there and (not found or count + there <= most):
            found.append(place)
            count += there
    return found


def places_text(shown: Sequence[Place], conditions: Sequence[Condition]) -> str:
    """Which conditions a figure leaves out; empty where it shows all."""
    left = [c for c in conditions if (c.scheme, c.f) not in shown]
    if not left:
        return ""
    told = ", ".join("complete rows" if scheme == "complete" else f"{scheme} f = {f:g}" for scheme, f in shown)
    return f"Drawn, to stay readable: {told}; {len(left)} more conditions are in the CSV."
