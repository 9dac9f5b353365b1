"""Seeds that a condition lacks while the other conditions of its group have them: what spoils comparisons by seed.

Each gap comes with the whole spec that fills it, the spec of a run of the same condition with another seed, so that the
command is exact whatever settings the runs had. A model that was never run under a scheme is no gap: nobody asked. Nor
is a seed that few conditions have: it is theirs, not the group's.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmbench.results.records import RunRecord
from mmbench.results.report.contents import Missing
from mmbench.results.report.files import safe
from mmbench.results.report.groups import Condition, Group, of_seeds

__all__ = ["NOT_STARTED", "Gap", "gaps_of", "usual_seeds"]

NOT_STARTED = "Runs not started"


@dataclass(frozen=True)
class Gap:
    """A run that nobody started.

    Attributes:
        path: where the report keeps the spec, relative to its folder.
        spec: the whole spec, as `mmbench run --spec` takes it.
        missing: the entry for the list of what is missing.
    """

    path: str
    spec: Mapping[str, Any]
    missing: Missing


def usual_seeds(group: Group) -> set[int]:
    """The seeds that at least half of the group's conditions have, however their runs ended, refused ones apart."""
    seeds = [{run.spec["seed"] for run in runs} for runs in _tried(group).values()]
    counts = Counter(seed for held in seeds for seed in held)
    return {seed for seed, count in counts.items() if 2 * count >= len(seeds)}


def gaps_of(group: Group) -> list[Gap]:
    """The usual seeds that a condition has no run of, condition by condition."""
    usual = usual_seeds(group)
    return [
        _gap(group, condition, {**runs[0].spec, "seed": seed}, runs[0].id)
        for condition, runs in sorted(_tried(group).items())
        for seed in sorted(usual - {run.spec["seed"] for run in runs})
    ]


def _tried(group: Group) -> dict[Condition, list[RunRecord]]:
    found = of_seeds(group.runs)
    return {c: runs for c, runs in found.items() if any(run.status != "refused" for run in runs)}


def _gap(group: Group, condition: Condition, spec: Mapping[str, Any], sibling: str) -> Gap:
    name = f"{group.names[condition.variant]}, {condition.scheme}, f = {condition.f:g}, seed {spec['seed']}"
    unstarted = f"{sibling}-with-seed-{spec['seed']}"
    path = f"specs/{safe(unstarted)}.json"
    why = "most conditions of this group have this seed"
    return Gap(path, spec, Missing(f"{group.title}: {name}", why, f"mmbench run --spec {path}", NOT_STARTED))
