"""From a request to a complete spec, strictly; and the keys that a spec gives.

Later layers win: the defaults of the settings classes, the dataset's values for preset `common`, the model's values of
the preset asked for, and what was set by name. No layer may hold an unknown name. `f = 1` under any scheme is the
scheme `complete`: one spec, one key, one run.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmbench.config import SECTIONS, RunSpec, as_dict, content_hash, parse_settings
from mmbench.datasets.base import DATASETS
from mmbench.datasets.loader import LoaderSettings
from mmbench.datasets.schemes import Scheme, complete_rows, scheme_of
from mmbench.errors import CannotBear, InvalidSetting, UnknownName
from mmbench.metrics.base import METRICS
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS
from mmbench.run.building import build_dataset, build_model
from mmbench.run.options import Request
from mmbench.run.outside import fit_origins
from mmbench.training.settings import TrainSettings

__all__ = ["ENGINE_VERSION", "fit_key", "metric_settings", "read_spec", "resolve", "spec_hash"]

ENGINE_VERSION = 2  # raised whenever training itself gives other weights for the same spec
LARGEST_SEED = 2**63 - 1
LENGTHS = ("steps", "epochs")


def resolve(request: Request, data_root: Path | None = None) -> RunSpec:
    """The complete spec of a request; needs no data files, but for datasets whose shapes only their files know.

    Args:
        data_root: where such files are looked for; None for `MMBENCH_DATA`. No part of the spec.

    Raises:
        UnknownName: a model, preset, dataset, scheme, metric or setting that does not exist.
        InvalidSetting: a value of the wrong type or outside its range, or two that exclude each other.
        CannotBear: the model cannot be trained in this way; says why and what instead.
        DataMissing, DataError: files that know the shapes.
    """
    _check_core(request)
    classes = {
        "model": MODELS[request.model].Settings,
        "arch": Architecture,
        "data": DATASETS[request.dataset].Settings,
        "loader": LoaderSettings,
        "train": TrainSettings,
    }
    sets, metric_sets = _sections(request, classes)
    layers = [DATASETS[request.dataset].common, _preset(request.model, request.preset), sets]
    _require_sections(layers)
    owners = {"data": f"dataset {request.dataset!r}"}
    settings = {
        name: as_dict(parse_settings(classes[name], _merged(name, layers), name, owner=owners.get(name)))
        for name in SECTIONS
    }
    spec = RunSpec(
        model=request.model,
        preset=request.preset,
        dataset=request.dataset,
        scheme=request.scheme,
        f=float(request.f),
        seed=request.seed,
        paired_only=request.paired_only,
        settings=settings,
        metrics=metric_settings(request.metrics, metric_sets, dataset=request.dataset),
    )
    return _bearable(spec, data_root)


def read_spec(values: Mapping[str, Any], data_root: Path | None = None) -> RunSpec:
    """A spec from plain values, as `RunSpec.to_dict` gives them, by the same strict path as any request.

    Raises:
        UnknownName, InvalidSetting, CannotBear: as `resolve`; also where the values are not a complete resolved spec.
    """
    given = RunSpec.from_dict(_nested(values))
    dotted = {f"{name}.{key}": v for name, keys in given.settings.items() for key, v in keys.items()}
    dotted |= {f"metrics.{name}.{key}": v for name, keys in given.metrics.items() for key, v in keys.items()}
    core = {name: values[name] for name in ("model", "preset", "dataset", "scheme", "f", "seed", "paired_only")}
    spec = resolve(Request(**core, metrics=tuple(given.metrics), sets=dotted), data_root)
    _require_equal(given.to_dict(), spec.to_dict(), "")
    return spec


def metric_settings(
    names: Sequence[str] | None, sets: Mapping[str, Mapping[str, Any]], *, dataset: str
) -> dict[str, dict[str, Any]]:
    """Metric -> its plain settings, sorted by name.

    Args:
        names: None for the metrics that are computed by default: those that the dataset names, or those of mmbench
            itself that are marked so. What is installed beside mmbench never changes a run that does not name it.
        sets: metric -> values that differ from the defaults.
        dataset: its name.
    """
    if names is None:
        names = DATASETS[dataset].default_metrics
    if names is None:
        names = [name for name, metric in METRICS.builtin().items() if metric.default]  # those from outside are named
    for name in sets:
        METRICS[name]  # an unknown metric is told as such first
        if name not in names:
            raise InvalidSetting(f"metrics.{name} is set, but metric {name!r} is not asked for; add it to --metrics.")
    return {
        name: as_dict(parse_settings(METRICS[name].Settings, sets.get(name, {}), f"metrics.{name}"))
        for name in sorted(set(names))
    }


def fit_key(spec: RunSpec, data_digest: str) -> str:
    """The hash of all that changes the weights; it names the checkpoint. Preset names, metrics and machines do not.

    Where a part comes from outside mmbench, it holds the content of its file, or the name of its distribution.

    Args:
        data_digest: digest of the dataset's content, from its provenance.
    """
    content = {
        "engine": ENGINE_VERSION,
        "model": [spec.model, MODELS[spec.model].version],
        "dataset": [spec.dataset, data_digest],
        "scheme": [spec.scheme, spec.f, spec.paired_only],
        "seed": spec.seed,
        "settings": spec.settings,
    }
    if outside := fit_origins(spec):
        content["code"] = {role: origin.code for role, origin in outside.items()}
    return content_hash(content)


def spec_hash(spec: RunSpec) -> str:
    """The hash of the spec without its metrics, which the weights do not depend on."""
    return content_hash({name: value for name, value in spec.to_dict().items() if name not in ("metrics", "preset")})


def _check_core(request: Request) -> None:
    for name in ("model", "preset", "dataset", "scheme"):
        if not isinstance(getattr(request, name), str):
            raise InvalidSetting(f"{name} must be a name, got {getattr(request, name)!r}.")
    if isinstance(request.f, bool) or not isinstance(request.f, int | float):
        raise InvalidSetting(f"f must be a number in (0, 1], got {request.f!r}.")
    complete_rows(request.f, 1)
    seed = request.seed
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise InvalidSetting(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}.")
    if not isinstance(request.paired_only, bool):
        raise InvalidSetting(f"paired_only must be true or false, got {request.paired_only!r}.")


def _preset(model: str, name: str) -> Mapping[str, Mapping[str, Any]]:
    presets = MODELS[model].presets
    if name not in presets:
        raise UnknownName(f"preset of model {model!r}", name, presets)
    return presets[name]


def _sections(
    request: Request, classes: Mapping[str, type]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """What was set by name, by section; and the settings of metrics, by metric."""
    sets: dict[str, dict[str, Any]] = {}
    metrics: dict[str, dict[str, Any]] = {}
    options = {"train.steps": request.steps, "train.epochs": request.epochs, "loader.schedule": request.schedule}
    for dotted, value in options.items():
        if value is not None and dotted in request.sets:
            raise InvalidSetting(f"{dotted} is set twice, as an option and by its dotted name; keep one.")
    for dotted, value in {**request.sets, **{d: v for d, v in options.items() if v is not None}}.items():
        section, _, key = dotted.partition(".")
        metric, _, metric_key = key.partition(".")
        if section == "metrics" and metric_key:
            metrics.setdefault(metric, {})[metric_key] = value
        elif section in SECTIONS and key:
            sets.setdefault(section, {})[key] = value
        elif not key or section == "metrics":
            homes = [f"{name}.{dotted}" for name, cls in classes.items() if dotted in _fields(cls)]
            raise InvalidSetting(
                f"settings are named section.key or metrics.<metric>.<key>, e.g. {' or '.join(homes) or 'train.lr'}; "
                f"got {dotted!r}."
            )
        else:
            raise UnknownName("section of settings", section, [*SECTIONS, "metrics"])
    return sets, metrics


def _fields(cls: type) -> set[str]:
    return {field.name for field in dataclasses.fields(cls)}


def _require_sections(layers: Sequence[Mapping[str, Any]]) -> None:
    for layer in layers:
        for section in layer:
            if section not in SECTIONS:
                raise UnknownName("section of a preset", section, SECTIONS)


def _merged(section: str, layers: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        values = dict(layer.get(section, {}))
        if section == "train":
            merged = _without_other_length(merged, values)
        merged |= values
    return merged


def _without_other_length(merged: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Where a layer sets one of steps and epochs, the other one of earlier layers no longer counts."""
    given = [name for name in LENGTHS if values.get(name) not in (None, "none")]
    if len(given) != 1:
        return merged
    (other,) = set(LENGTHS) - set(given)
    return {**merged, other: None}


def _bearable(spec: RunSpec, root: Path | None) -> RunSpec:
    """The spec with its scheme brought to one form, or the reason why it cannot be run."""
    dataset = build_dataset(spec, root if DATASETS[spec.dataset].shapes_in_files else None)
    names = [modality.name for modality in dataset.modalities]
    scheme = scheme_of(spec.scheme, names)
    _check_coin(spec, scheme)
    model = build_model(spec, dataset.modalities)
    if spec.f == 1 or scheme.name == "complete":
        return _replaced(spec, scheme="complete", paired_only=False)
    if reason := scheme.cannot_bear(dataset.classes):
        raise CannotBear(f"{reason}, or --f 1.")
    for observed in () if spec.paired_only else scheme.patterns(names):
        if reason := model.cannot_bear(observed):
            raise CannotBear(f"{reason}; use --paired-only to train it on the complete rows alone, or --f 1.")
    return spec


def _check_coin(spec: RunSpec, scheme: Scheme) -> None:
    loader = spec.settings["loader"]
    if loader["coin"] and loader["schedule"] != "alternate":
        raise InvalidSetting("loader.coin chooses for a whole batch and needs loader.schedule=alternate.")
    if loader["coin"] and spec.f < 1 and not scheme.by_coin:
        raise CannotBear(f"loader.coin has nothing to choose under scheme {scheme.name!r}; use it with 'split'.")


def _replaced(spec: RunSpec, **changes: Any) -> RunSpec:
    return RunSpec.from_dict({**spec.to_dict(), **changes})


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, once `settings` and `metrics` are known to be maps of maps."""
    for name in ("settings", "metrics"):
        outer = values.get(name, {})
        if not isinstance(outer, Mapping) or not all(isinstance(inner, Mapping) for inner in outer.values()):
            raise InvalidSetting(f"{name!r} of a run spec must map names to settings, got {outer!r}.")
    return dict(values)


def _require_equal(given: Mapping[str, Any], resolved: Mapping[str, Any], where: str) -> None:
    for name, value in resolved.items():
        if name not in given:
            raise InvalidSetting(f"the spec lacks {where}{name}; `mmbench run --dry-run` prints a whole one.")
        if isinstance(value, Mapping):
            _require_equal(given[name], value, f"{where}{name}.")
        elif value != given[name]:
            raise InvalidSetting(f"the spec's {where}{name} is {given[name]!r}, a resolved spec has {value!r} there.")
