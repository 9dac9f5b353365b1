"""A plan: a YAML file whose blocks name values of a run's keys, all combinations of which are carried out.

    title: what it is for                        about: where from, and what it costs
    defaults: {dataset: digits, seed: [0, 1]}    values of every block that has none of its own
    grid:
      - {model: [meme, mvae], scheme: split, f: [0.5, 0.25]}
      - {model: meme, set: {model.pseudo_inputs: [1, 10]}}
    include: [another]                           ready plans, or files beside this one, whose runs come first

A list is crossed. `metrics` is one list of names and is not crossed; a setting whose own value is a list is written as
a list in a list, `[[64, 32]]`, or as text, `"64,32"`. `<modality>-only` stands for that scheme of each modality that
the dataset has, so that one plan fits many datasets. Reading is strict: an unknown key is an error that says where it
stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmbench.errors import InvalidSetting, UnknownName
from mmbench.sweep import documents

__all__ = ["LENGTHS", "Block", "Plan", "overridden", "read_plan", "ready_plans"]

READY = Path(__file__).with_name("plans")
TOP = ("title", "about", "defaults", "grid", "include")
KEYS = (
    "seed", "dataset", "model", "preset", "scheme", "f", "paired_only", "steps", "epochs", "schedule", "metrics", "set",
)  # fmt: skip
LENGTHS = ("steps", "epochs")
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Block:
    """What is crossed: the values of keys of a run, and of settings by their dotted names.

    Attributes:
        where: file and place in it, for messages.
        values: key -> the values it takes; `metrics` takes one, a tuple of names.
        sets: dotted name -> the values it takes.
    """

    where: str
    values: Mapping[str, tuple[Any, ...]]
    sets: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A plan as it was read: its blocks in order, those of included plans first."""

    name: str
    title: str
    about: str
    blocks: tuple[Block, ...]


def ready_plans() -> dict[str, str]:
    """The plans that ship with the package: name -> title, sorted."""
    return {path.stem: _read(path, ()).title for path in sorted(READY.glob("*.yaml"))}


def read_plan(name: str) -> Plan:
    """The ready plan of this name, or the plan in this file.

    Raises:
        UnknownName: no ready plan has this name; an unknown key in the file.
        InvalidSetting: what the file holds is no plan; says where in it.
    """
    return _read(_found(name, Path()), ())


def overridden(
    plan: Plan,
    *,
    dataset: str | None = None,
    seeds: Sequence[int] | None = None,
    steps: int | None = None,
    metrics: Sequence[str] | None = None,
    sets: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan with these values in every block in place of its own; None leaves a key as it is."""
    given = {"dataset": dataset, "steps": steps, "metrics": None if metrics is None else tuple(metrics)}
    values: dict[str, tuple[Any, ...]] = {key: (value,) for key, value in given.items() if value is not None}
    if seeds is not None:
        values["seed"] = tuple(seeds)
        _require_seeds(seeds, "the seed of every run")
    replaced = {} if sets is None else {key: (value,) for key, value in sets.items()}
    return replace(plan, blocks=tuple(_with(block, values, replaced) for block in plan.blocks))


def _with(block: Block, values: Mapping[str, tuple[Any, ...]], sets: Mapping[str, tuple[Any, ...]]) -> Block:
    """The block with other values; where one of steps and epochs is given, the other one of before no longer counts."""
    lengths = {key for key in LENGTHS if key in values or f"train.{key}" in sets}
    dropped = {name for key in LENGTHS for name in (key, f"train.{key}")} if lengths else set[str]()
    kept = {key: held for key, held in block.values.items() if key not in dropped}
    kept_sets = {key: held for key, held in block.sets.items() if key not in dropped}
    return replace(block, values={**kept, **values}, sets={**kept_sets, **sets})


# Reading --------------------------------------------------------------------------------------------------------------
def _found(name: str, beside: Path) -> Path:
    """The file of a plan's name: a ready one's, or a path as seen from the folder `beside`."""
    ready, path = READY / f"{name}.yaml", beside / name
    if Path(name).name == name and ready.is_file():
        return ready
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or len(Path(name).parts) > 1:
        raise InvalidSetting(f"plan {path} is no file that is there; name one, or a plan of `mmbench list plans`.")
    raise UnknownName("plan", name, [file.stem for file in READY.glob("*.yaml")])


def _read(path: Path, readers: tuple[Path, ...]) -> Plan:
    source = path.name if path.parent == READY else str(path)
    if path.resolve() in readers:
        raise InvalidSetting(f"plan {source} includes itself; leave it out of `include`.")
    document = _mapping(documents.read(path), source)
    _require_known(document, TOP, source)
    blocks: list[Block] = []
    for other in _names(document.get("include", []), f"{source}, include"):
        blocks += _read(_found(other, path.parent), (*readers, path.resolve())).blocks
    blocks += _grid(document, source)
    if not blocks:
        raise InvalidSetting(f"plan {source} has no run: give `grid` at least one block, or `include` a plan.")
    title, about = (_text(document.get(key, ""), f"{source}, {key}") for key in ("title", "about"))
    return Plan(path.stem, title or path.stem, about, tuple(blocks))


def _grid(document: Mapping[str, Any], source: str) -> list[Block]:
    defaults = _block(document.get("defaults") or {}, f"{source}, defaults")
    grid = document.get("grid") or []
    if not isinstance(grid, list):
        raise InvalidSetting(f"{source}, grid must be a list of blocks, got {grid!r}; begin each block with a dash.")
    own = [_block(given, f"{source}, grid[{number}]") for number, given in enumerate(grid, start=1)]
    return [replace(_with(defaults, block.values, block.sets), where=block.where) for block in own]


def _block(given: Any, where: str) -> Block:
    given = _mapping(given, where)
    _require_known(given, KEYS, where)
    sets = _mapping(given.get("set") or {}, f"{where}.set")
    values = {key: _values(given[key], f"{where}.{key}") for key in given if key not in ("set", "metrics")}
    _require_seeds(values.get("seed", ()), f"{where}.seed")
    if given.get("metrics") is not None:
        names = [] if given["metrics"] == "none" else _names(given["metrics"], f"{where}.metrics")
        values["metrics"] = (tuple(names),)
    return Block(where, values, {key: _values(value, f"{where}.set.{key}", nested=True) for key, value in sets.items()})


def _values(value: Any, where: str, *, nested: bool = False) -> tuple[Any, ...]:
    """What a key takes in turn; with `nested` each of them may be a list."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise InvalidSetting(f"{where} has no value in its list; give one, or leave the key out.")
    for item in values:
        plain = item if nested and isinstance(item, list) else [item]
        if not all(one is None or isinstance(one, str | int | float) for one in plain):
            raise InvalidSetting(f"{where} must be a word, a number, true or false, or a list of them, got {item!r}.")
    return tuple(values)


def _names(value: Any, where: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidSetting(f"{where} must be a list of names, got {value!r}.")
    return names


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidSetting(f"{where} must be text, got {value!r}; put it in quotation marks.")
    return value.strip()


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InvalidSetting(f"{where} must map keys to values (`key: value`), got {value!r}.")
    return value


def _require_seeds(seeds: Sequence[Any], where: str) -> None:
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
            raise InvalidSetting(f"{where} must be a whole number from 0 to 2^63 - 1, got {seed!r}.")


def _require_known(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise UnknownName(f"key in {where}:", key, known)
