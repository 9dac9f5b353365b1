"""Which runs may stand in one figure: the terms of comparability.

Runs are drawn together when everything that is not the model's own is the same: the dataset with its settings and the
digest of its content, the networks and likelihoods (`arch`), the loader and the training settings. Inside such a group
a `Variant` is a model with its own settings, its preset and whether it saw the paired rows alone; runs of one variant,
scheme and `f` differ in the seed only, and those are what means and standard deviations are taken over.
Presets are a name for settings, so the content decides, and the presets that meet in a group are named.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmbench.config import canonical_json, content_hash
from mmbench.results.records import RunRecord
from mmbench.results.report.files import safe

__all__ = ["Condition", "Group", "Variant", "condition_of", "flat", "groups_of", "of_seeds", "version_of"]

SHARED = ("data", "arch", "loader", "train")
UNKNOWN = (0, 0)
NEUTRAL = ("train.log_", "train.test_")  # what is written down, and how often, changes no weight


@dataclass(frozen=True, order=True)
class Variant:
    """A model with its own settings (`settings` is their canonical JSON): one line of a figure, before the scheme."""

    model: str
    preset: str
    paired_only: bool
    settings: str


@dataclass(frozen=True, order=True)
class Condition:
    """What runs that differ in the seed only have in common, within a group."""

    variant: Variant
    scheme: str
    f: float


@dataclass(frozen=True)
class Group:
    """Runs that may be drawn together.

    Attributes:
        slug: begins the names of the group's files.
        title: dataset and presets.
        dataset: the dataset's name.
        differs: what sets this group apart from the other groups of its dataset, empty where it is the only one.
        differing: the settings of these, but the length of training, as `--set` takes them.
        settings: the shared settings by dotted name.
        digest: of the content of the data; empty where no run got as far as reading it.
        runs: the records, one a condition and seed, sorted.
        left_out: records of an older version of a model, of its plug-in file or of the engine: they no longer compare.
        names: variant -> its name within the group.
        main: of each model, preset and choice of rows, the variant with the most runs; of equals the first by settings.
    """

    slug: str
    title: str
    dataset: str
    differs: str
    differing: tuple[str, ...]
    settings: Mapping[str, Any]
    digest: str
    runs: tuple[RunRecord, ...]
    left_out: tuple[RunRecord, ...]
    names: Mapping[Variant, str]
    main: frozenset[Variant]

    @property
    def presets(self) -> tuple[str, ...]:
        """The presets that meet in this group."""
        return tuple(sorted({run.spec["preset"] for run in self.runs}))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Every condition of the group, sorted; `f` falls."""
        return tuple(sorted({condition_of(run) for run in self.runs}, key=lambda c: (c.variant, c.scheme, -c.f)))


def groups_of(runs: Iterable[RunRecord]) -> tuple[Group, ...]:
    """Partition runs into groups, sorted by dataset; the order of `runs` does not matter."""
    by_settings: dict[str, list[RunRecord]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.id):
        by_settings[canonical_json([run.spec["dataset"], _shared(run)])].append(run)
    parts = [part for key in sorted(by_settings) for part in _by_data(by_settings[key])]
    return tuple(sorted((_group(part, parts) for part in parts), key=lambda g: (g.dataset, g.slug)))


def condition_of(run: RunRecord) -> Condition:
    """The condition a run belongs to."""
    spec = run.spec
    own = canonical_json(spec["settings"].get("model", {}))
    variant = Variant(spec["model"], spec["preset"], bool(spec["paired_only"]), own)
    return Condition(variant, spec["scheme"], float(spec["f"]))


def of_seeds(runs: Iterable[RunRecord]) -> dict[Condition, list[RunRecord]]:
    """Runs by condition, each list in the order of the seeds."""
    found: dict[Condition, list[RunRecord]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.spec["seed"], run.id)):
        found[condition_of(run)].append(run)
    return dict(found)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted names.

    >>> flat({"train": {"lr": 0.001}})
    {'train.lr': 0.001}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _shared(run: RunRecord) -> dict[str, Any]:
    settings = flat({name: run.spec["settings"].get(name, {}) for name in SHARED})
    return {name: value for name, value in sorted(settings.items()) if not name.startswith(NEUTRAL)}


def _digest(run: RunRecord) -> str:
    data = run.provenance.get("data", {})
    return str(data.get("digest", "")) if isinstance(data, Mapping) else ""


def _by_data(runs: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Split by the digest of the data; runs that ended before it was known stay with the first part."""
    parts: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        parts[_digest(run)].append(run)
    unknown = parts.pop("", [])
    ordered = [parts[digest] for digest in sorted(parts)] or [[]]
    return [ordered[0] + unknown, *ordered[1:]]


def _group(runs: list[RunRecord], parts: Sequence[list[RunRecord]]) -> Group:
    dataset = runs[0].spec["dataset"]
    siblings = [part for part in parts if part[0].spec["dataset"] == dataset]
    current, older = _latest(runs)
    presets = sorted({run.spec["preset"] for run in runs})
    same_name = [part for part in siblings if {run.spec["preset"] for run in part} == set(presets)]
    identity = [_shared(runs[0]), _digest(runs[0])]
    suffix = f"-{content_hash(identity)[:6]}" if len(same_name) > 1 else ""
    return Group(
        slug=safe("-".join([dataset, *presets])) + suffix,
        title=f"{dataset}, preset{'s' if len(presets) > 1 else ''} {', '.join(presets)}",
        dataset=dataset,
        differs=", ".join(f"{key} = {value}" for key, value in _differences(runs, siblings).items()),
        differing=tuple(
            f"{key}={str(value).lower() if isinstance(value, bool) else value}"
            for key, value in _differences(runs, siblings).items()
            if key not in ("data digest", "train.steps", "train.epochs") and not isinstance(value, list | None)
        ),
        settings=_shared(runs[0]),
        digest=_digest(runs[0]),
        runs=current,
        left_out=older,
        names=_names(runs, _titles(runs)),
        main=_main(current),
    )


def _main(runs: Iterable[RunRecord]) -> frozenset[Variant]:
    """The variant of each model that stands for it where models meet; the choice looks at no score."""
    counted = Counter(condition_of(run).variant for run in runs)
    chosen: dict[tuple[str, str, bool], Variant] = {}
    for variant in sorted(counted, key=lambda variant: (-counted[variant], variant)):
        chosen.setdefault((variant.model, variant.preset, variant.paired_only), variant)
    return frozenset(chosen.values())


def _latest(runs: Iterable[RunRecord]) -> tuple[tuple[RunRecord, ...], tuple[RunRecord, ...]]:
    """Runs of each model's newest version (of a plug-in file: as it last was), one a condition and seed; the others."""
    ordered = sorted(runs, key=lambda run: (version_of(run), run.created, run.id))
    newest = {run.spec["model"]: (version_of(run), _file_of(run)) for run in ordered}
    current: dict[tuple[Condition, int], RunRecord] = {}
    for run in ordered:
        version, file = newest[run.spec["model"]]
        if version_of(run) in (version, UNKNOWN) and _file_of(run) == file:
            current[condition_of(run), run.spec["seed"]] = run
    kept = {run.id for run in current.values()}
    return tuple(current[key] for key in sorted(current)), tuple(run for run in ordered if run.id not in kept)


def version_of(run: RunRecord) -> tuple[int, int]:
    """Versions of the engine and of the model, newer ones larger; `UNKNOWN` where they are not recorded."""
    return int(run.provenance.get("engine", 0)), int(run.provenance.get("model_version", 0))


def _file_of(run: RunRecord) -> str:
    """Digest of the plug-in file that the model came from; empty for mmbench's own and those of distributions."""
    origin = run.provenance.get("plugins", {}).get("model", {})
    return "" if "distribution" in origin else str(origin.get("digest", ""))


def _differences(runs: Sequence[RunRecord], siblings: Sequence[Sequence[RunRecord]]) -> dict[str, Any]:
    """What the groups of a dataset do not share, by dotted name, with this group's values."""
    everyone = [{**_shared(part[0]), "data digest": _digest(part[0])[:12]} for part in siblings]
    own = {**_shared(runs[0]), "data digest": _digest(runs[0])[:12]}
    keys = sorted({key for settings in everyone for key in settings})
    differing = [key for key in keys if len({canonical_json(s.get(key)) for s in everyone}) > 1]
    return {key: own.get(key) for key in differing}


def _titles(runs: Iterable[RunRecord]) -> dict[str, str]:
    """Model -> how the literature writes it, from the facts of its latest run."""
    ordered = sorted(runs, key=lambda run: (run.created, run.id))
    return {run.spec["model"]: str(run.facts.get("title") or run.spec["model"].upper()) for run in ordered}


def _names(runs: Sequence[RunRecord], titles: Mapping[str, str]) -> dict[Variant, str]:
    """Model by model, in each the variant that stands for it first, then the others by their settings' values."""
    counted = Counter(condition_of(run).variant for run in runs)
    several = len({variant.preset for variant in counted}) > 1
    by_model: dict[str, list[Variant]] = defaultdict(list)
    for variant in sorted(counted, key=lambda v: (v.model, v.preset, v.paired_only, -counted[v], _values(v))):
        by_model[variant.model].append(variant)
    return {
        variant: _name(variant, siblings, titles[variant.model], several, _plain(siblings, counted))
        for siblings in by_model.values()
        for variant in siblings
    }


def _values(variant: Variant) -> list[tuple[str, float, str]]:
    """Settings in an order in which 5 comes before 100."""
    found = sorted(flat(json.loads(variant.settings)).items())
    return [(name, float(v) if isinstance(v, int | float) else 0.0, str(v)) for name, v in found]


def _plain(siblings: Sequence[Variant], counted: Mapping[Variant, int]) -> str:
    """The settings of a model that go without saying: those of most of its runs; empty where none has so many."""
    runs: Counter[str] = Counter()
    for variant in siblings:
        runs[variant.settings] += counted[variant]
    (settings, count), *others = runs.most_common(2)
    return settings if count > 2 * sum(found for _, found in others) else ""


def _name(variant: Variant, siblings: Sequence[Variant], title: str, several: bool, usual: str) -> str:
    """The model's title with what sets the variant apart; the preset, where several meet and it is not `common`.

    Settings are those that differ from the usual ones, or, where there are none, from any sibling's.
    """
    notes = ["paired rows only"] if variant.paired_only else []
    rivals = [v for v in siblings if v.paired_only == variant.paired_only]
    if len({v.preset for v in siblings}) > 1 or (several and variant.preset != "common"):
        notes.insert(0, variant.preset)
    if usual or len(rivals) > len({v.preset for v in rivals}):
        notes += _own_settings(variant, [usual] if usual else [v.settings for v in rivals])
    return title + (f" ({', '.join(notes)})" if notes else "")


def _own_settings(variant: Variant, others: Iterable[str]) -> list[str]:
    own, settings = flat(json.loads(variant.settings)), [flat(json.loads(other)) for other in others]
    keys = sorted({key for values in (own, *settings) for key in values})
    differing = [k for k in keys if len({canonical_json(s.get(k)) for s in (own, *settings)}) > 1]
    return [f"{key} {own.get(key)}" for key in differing]
