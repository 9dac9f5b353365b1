"""What `mmbench sweep` prints: the runs of a plan with where they stand, and what became of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmbench.printing import pairs, table

if TYPE_CHECKING:
    from mmbench.run import Request
    from mmbench.sweep.outcome import Outcome
    from mmbench.sweep.standing import Standing

__all__ = ["ending", "plan_table", "reasons_table", "states_table"]

HEADER = ("model", "preset", "dataset", "scheme", "f", "seed", "settings", "state")
BESIDE = ("paired_only", "steps", "epochs", "schedule")  # keys of a request that stand among the settings


def plan_table(standings: Sequence["Standing"]) -> str:
    """One row a run; of the settings those in which the runs of the plan differ, a column only where they do."""
    settings = [_settings(each.entry.request) for each in standings]
    counts = Counter((key, repr(value)) for given in settings for key, value in given.items())
    differing = {key for (key, _), count in counts.items() if count < len(settings)}
    rows = [
        (*_core(each), pairs({key: value for key, value in given.items() if key in differing}, ", "), _state(each))
        for each, given in zip(standings, settings, strict=True)
    ]
    shown = [i for i, name in enumerate(HEADER) if name != "settings" or differing]
    return table([HEADER[i] for i in shown], [[row[i] for i in shown] for row in rows])


def states_table(standings: Sequence["Standing"]) -> str:
    """How many runs are in each state, and of all."""
    counts = Counter(each.state for each in standings)
    return table(("state", "runs"), [*((s, str(n)) for s, n in counts.items()), ("all", str(len(standings)))])


def reasons_table(standings: Sequence["Standing"]) -> str:
    """The runs that are not done, with the reason, and what may help."""
    rows = [(each.run or " ".join(_core(each)), _state(each)) for each in standings if each.state != "done"]
    again = any(each.state in ("failed", "diverged") for each in standings)
    remedy = "\n(--retry trains again what failed or diverged)" if again else ""
    return table(("run", "state"), rows) + remedy


def ending(outcome: "Outcome", seconds_left: float | None) -> str:
    """One line on a run that has ended."""
    from mmbench.sweep.estimate import duration

    spec = outcome.spec
    name = outcome.run or f"{spec.model} {spec.dataset} {spec.scheme} f={spec.f:g} seed {spec.seed}"
    left = "" if seconds_left is None else f" About {duration(seconds_left)} left."
    return f"{name} {outcome.status}{f': {outcome.error}' if outcome.error else '.'}{left}"


def _core(each: "Standing") -> tuple[str, ...]:
    run = each.entry.spec or each.entry.request
    return run.model, run.preset, run.dataset, run.scheme, f"{run.f:g}", str(run.seed)


def _state(each: "Standing") -> str:
    return f"{each.state}: {each.reason}" if each.reason else each.state


def _settings(request: "Request") -> Mapping[str, Any]:
    beside = {key: value for key in BESIDE if (value := getattr(request, key)) not in (None, False)}
    return {**beside, **request.sets}
