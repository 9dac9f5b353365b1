"""Reading the arrays behind figures that show one run a model."""

from collections.abc import Mapping

from mmbench.results.records import ArrayRecord, RunRecord
from mmbench.results.report.commands import evaluation_of
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.groups import Variant

__all__ = ["Held", "arrays_of", "lack_arrays", "names_of", "pair_of", "seed_text"]


Held = Mapping[Variant, tuple[RunRecord, Mapping[str, ArrayRecord]]]


def arrays_of(desk: Desk, setting: Setting, metric: str) -> Held:
    """The arrays of a metric by name, of each variant's example run."""
    examples = desk.examples(setting)
    return {
        variant: (run, {array.name: array for array in desk.source.arrays(run.id, metric)})
        for variant, run in examples.items()
    }


def names_of(held: Held, prefix: str) -> list[str]:
    """The names that begin so, of any variant."""
    return sorted({name for _, arrays in held.values() for name in arrays if name.startswith(prefix)})


def pair_of(array: ArrayRecord) -> tuple[str, str]:
    """What an array's modality is given, and which it is about."""
    given, _, target = array.name.partition("/")[2].partition("|")
    return str(array.meta.get("given", given)), str(array.meta.get("target", target))


def seed_text(held: Held) -> str:
    """The seeds shown."""
    seeds = sorted({run.spec["seed"] for run, _ in held.values()})
    return f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}."


def lack_arrays(desk: Desk, setting: Setting, held: Held, metric: str, name: str) -> None:
    """Note each variant whose run lacks an array that others have."""
    for variant, (run, arrays) in held.items():
        if name not in arrays:
            why = f"run {run.id} has no array {name}"
            desk.lacks(f"{name} of {desk.group.names[variant]}, {setting.text}", why, evaluation_of(run, metric))
