"""Sentences that captions share: the terms under which numbers stand, and how many seeds are behind them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmbench.results.records import RunRecord
from mmbench.results.report.groups import Condition, Group, flat
from mmbench.results.report.summaries import Row

__all__ = [
    "DASH",
    "data_of",
    "figures_text",
    "interval_text",
    "n_of",
    "others_text",
    "protocol_text",
    "seeds_of",
    "terms_of",
    "unreliable",
    "value_text",
]

DASH = "\N{EN DASH}"  # where a cell has nothing to show
DAGGER = "\N{DAGGER}"
FEW = 5.0  # effective samples below which an importance-sampled estimate is marked


def terms_of(group: Group) -> str:
    """Dataset, presets and the status of the data, for every caption."""
    presets = group.presets
    return f"{group.dataset}, preset{'s' if len(presets) > 1 else ''} {', '.join(presets)}; {data_of(group.runs)}."


def data_of(runs: Iterable[RunRecord]) -> str:
    """The status of the data with its counts, as recorded; each distinct statement once."""
    found = sorted({_data(run.provenance.get("data")) for run in runs} - {""})
    return "data " + (" and ".join(found) if found else "of unrecorded status")


def _data(data: Any) -> str:
    if not isinstance(data, Mapping) or "status" not in data:
        return ""
    parts = [_counted(name, value) for name, value in (data.get("counts") or {}).items()]
    return f"{data['status']}" + (f" ({'; '.join(parts)})" if parts else "")


def _counted(name: str, value: Any) -> str:
    """`train 1,438`, or by modality, `train 60,000 mnist, 4,434 svhn`."""
    if not isinstance(value, Mapping):
        return f"{name} {_count(value)}"
    return f"{name} " + ", ".join(f"{_count(count)} {part}" for part, count in flat(value).items())


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def seeds_of(rows: Sequence[Row], *, band: str = "") -> str:
    """How many seeds are behind the points, and what `band` shows where there are two or more."""
    counts = sorted({row.n for row in rows if row.n})
    if not counts:
        return "No run has this score."
    if counts == [1]:
        return "One seed a point, so no band is drawn." if band else f"One seed a value{_STDERR}."
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    gap = " (points with one seed have none)" if counts[0] == 1 else ""
    if band:
        return f"Means over {span} seeds; {band}: one standard deviation over seeds{gap}."
    return f"Means over {span} seeds, ± one standard deviation over seeds{_STDERR if counts[0] == 1 else ''}."


_STDERR = "; se: standard error over test rows, where there is one seed"


def n_of(rows: Sequence[Row]) -> str:
    """Runs that have the score, of all runs, and what became of the others; empty where none is lacking."""
    by_condition: dict[Condition, Row] = {}
    for row in sorted(rows, key=lambda row: row.n):
        by_condition[row.condition] = row
    n, of = sum(r.n for r in by_condition.values()), sum(r.of for r in by_condition.values())
    if n == of:
        return ""
    ends = others_text(by_condition.values())
    return f"{n} of {of} runs have all of this, of the others {ends}; {DASH}: no such score, for the model or the run."


def others_text(rows: Iterable[Row]) -> str:
    """What became of the runs without the score: `1 diverged, 2 failed`; empty where all have it."""
    counted: Counter[str] = Counter()
    for row in rows:
        counted.update(dict(row.others))
    return ", ".join(f"{count} {end}" for end, count in sorted(counted.items()))


def interval_text(interval: tuple[float | None, float | None], digits: int = 3) -> str:
    """Both ends, or a dash where there is none.

    >>> interval_text((0.1, 0.25), 2), interval_text((None, None))
    ('0.10 to 0.25', '\N{EN DASH}')
    """
    low, high = interval
    return DASH if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"


def protocol_text(protocol: Mapping[str, Any]) -> str:
    """The protocol in words, the class left out."""
    return ", ".join(f"{name} {_plain(value)}" for name, value in protocol.items() if name != "class")


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def value_text(row: Row, digits: int = 3) -> str:
    """Mean with its standard deviation over seeds, or with its standard error over test rows where there is one."""
    if row.mean is None:
        return DASH
    text = f"{row.mean:.{digits}f}" + (DAGGER if row.ess is not None and row.ess < FEW else "")
    if row.sd is not None:
        return f"{text} ± {row.sd:.{digits}f}"
    return text if row.stderr is None else f"{text} (se {row.stderr:.{digits}f})"


def unreliable(rows: Iterable[Row]) -> str:
    """What the dagger means; empty where no row has one."""
    if not any(row.ess is not None and row.ess < FEW for row in rows):
        return ""
    return (
        f"{DAGGER}: fewer than {FEW:g} effective samples a row on average, so that the estimate is unreliable and its "
        "stated errors are too small: a marginal lies below the truth, a difference of two on either side of it."
    )


def figures_text(count: int, noun: str) -> str:
    """A count with its noun.

    >>> figures_text(1, "run"), figures_text(2, "run")
    ('1 run', '2 runs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
