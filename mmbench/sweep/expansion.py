"""From a plan to its runs: every block crossed, every combination resolved, the same run once.

The order is that of the plan, first seed first, so that every point of a figure is there early. What a model cannot
bear is no error of the plan: it is an entry that says why.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from mmbench.config import RunSpec
from mmbench.errors import CannotBear, InvalidSetting, MMBenchError, UnknownName
from mmbench.run.options import Request
from mmbench.sweep.plan import Block, Plan

__all__ = ["LARGEST", "Entry", "expand", "requests"]

LARGEST = 100_000  # runs of one plan; more is a slip
ONLY = "<modality>-only"
IDENTITY = ("model", "dataset", "scheme", "f", "seed", "paired_only", "settings")  # of a fit, as `fit_key` reads it


@dataclass(frozen=True)
class Entry:
    """A run of a plan.

    Attributes:
        request: as the plan asks for it.
        spec: complete; None where the model cannot bear it.
        refusal: why not; empty where there is a spec.
    """

    request: Request
    spec: RunSpec | None
    refusal: str = ""


def expand(plan: Plan, data_root: Path | None = None) -> tuple[Entry, ...]:
    """The runs of a plan, each once; needs no data files, but for datasets whose shapes only their files know.

    Runs that differ in nothing that changes the weights are one, which has the metrics of all of them.

    Args:
        data_root: where such files are looked for; None for `MMBENCH_DATA`.

    Raises:
        InvalidSetting: a block names what does not exist or is out of range; says which. Also a plan of too many runs.
    """
    entries: dict[str, Entry] = {}
    resolved: dict[str, Entry] = {}
    for where, asked in requests(plan):
        for request in _with_schemes(where, asked, data_root):
            key = _key({**asdict(request), "seed": None})
            if key not in resolved:
                resolved[key] = _resolved(where, request, data_root)
            entry = _with_seed(resolved[key], request)
            identity = _identity(entry)
            entries[identity] = _merged(where, entries[identity], entry) if identity in entries else entry
    return tuple(entries.values())


def requests(plan: Plan) -> list[tuple[str, Request]]:
    """All combinations of each block, with the block's place; schemes that stand for several are not yet filled in."""
    sizes = [math.prod(map(len, (*block.values.values(), *block.sets.values()))) for block in plan.blocks]
    if sum(sizes) > LARGEST:
        raise InvalidSetting(f"plan {plan.name} asks for {sum(sizes):,} runs, more than {LARGEST:,}; split it up.")
    crossed = [(block.where, request) for block in plan.blocks for request in _crossed(block)]
    return sorted(crossed, key=lambda found: found[1].seed)


def _crossed(block: Block) -> Iterator[Request]:
    names = [*block.values, *block.sets]
    for combination in product(*block.values.values(), *block.sets.values()):
        given = dict(zip(names, combination, strict=True))
        yield Request(**{key: given[key] for key in block.values}, sets={key: given[key] for key in block.sets})


def _with_schemes(where: str, request: Request, root: Path | None) -> Iterator[Request]:
    if request.scheme != ONLY:
        yield request
        return
    with _placed(where):
        names = _modalities(request, root)
    yield from (replace(request, scheme=ONLY.replace("<modality>", name)) for name in names)


def _modalities(request: Request, root: Path | None) -> list[str]:
    """Names of the dataset's modalities, under the settings of its data that the request has."""
    from mmbench.config import parse_settings
    from mmbench.datasets.base import DATASETS

    dataset = DATASETS[request.dataset]
    sets = {key.removeprefix("data."): value for key, value in request.sets.items() if key.startswith("data.")}
    settings = parse_settings(dataset.Settings, sets, "data", owner=f"dataset {request.dataset!r}")
    made = dataset(settings, root if dataset.shapes_in_files else None)
    return [modality.name for modality in made.modalities]


def _resolved(where: str, request: Request, root: Path | None) -> Entry:
    from mmbench.run.specs import resolve

    try:
        with _placed(where):
            return Entry(request, resolve(request, root))
    except CannotBear as error:
        return Entry(request, None, str(error))


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Errors of the plan say where it has them; a model's refusal is none."""
    try:
        yield
    except CannotBear:
        raise
    except MMBenchError as error:
        hint = ""
        if isinstance(error, UnknownName) and error.kind == "scheme":
            hint = f" In a plan, {ONLY} stands for that scheme of every modality of the dataset."
        raise InvalidSetting(f"{where}: {error}{hint}") from error


def _with_seed(entry: Entry, request: Request) -> Entry:
    """The entry under the request's own seed, on which no setting depends."""
    return replace(entry, request=request, spec=entry.spec and replace(entry.spec, seed=request.seed))


def _identity(entry: Entry) -> str:
    if entry.spec is None:
        return _key(asdict(replace(entry.request, metrics=None)))
    values = entry.spec.to_dict()
    return _key({name: values[name] for name in IDENTITY})


def _merged(where: str, first: Entry, second: Entry) -> Entry:
    """One run with the metrics of both."""
    if first.spec is None or second.spec is None:
        return first
    metrics = {**first.spec.metrics, **second.spec.metrics}
    for name, settings in first.spec.metrics.items():
        if metrics[name] != settings:
            raise InvalidSetting(
                f"{where} asks for metric {name!r} of a run with other settings than a block before it; "
                "make two plans of it."
            )
    return replace(first, spec=replace(first.spec, metrics=dict(sorted(metrics.items()))))


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, default=list)
