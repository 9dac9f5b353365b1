"""`run`: data -> scheme -> model -> fit -> evaluate -> record; and `evaluate_run`, which adds scores to a record.

A spec that was run is not run again: its record is shown, with the metrics added that it has not yet.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmbench.config import RunSpec, as_dict
from mmbench.datasets.base import Dataset
from mmbench.datasets.files import data_root
from mmbench.errors import CannotBear, InvalidSetting
from mmbench.metrics.base import METRICS
from mmbench.results.records import RunRecord
from mmbench.results.store import Store
from mmbench.run.attempt import Attempt, observed
from mmbench.run.building import build_dataset, build_model
from mmbench.run.folder import RunFolder
from mmbench.run.machine import choose_device, threads_used
from mmbench.run.options import RunOptions
from mmbench.run.outside import outdated, require_same_code
from mmbench.run.scoring import score
from mmbench.run.specs import fit_key, metric_settings
from mmbench.training.progress import StatusLine

__all__ = ["evaluate_run", "run"]


def run(spec: RunSpec, store: Store | Callable[[], Store], options: RunOptions | None = None) -> RunRecord:
    """Train and score the model of a spec, unless the store holds the run; returns its current record.

    A run that was interrupted goes on from its last checkpoint and ends with the same bits as if it had never stopped
    (CPU, same number of threads). A diverged run is returned as a record like any other.

    Args:
        store: open, or what opens it once device and data are found to be there: bad input then makes no new store.

    Raises:
        KeyboardInterrupt: after the run was recorded as interrupted.
        MMBenchError: bad input, before anything was stored.
        Exception: what went wrong in training or evaluation, after the run was recorded as failed.
    """
    options = options or RunOptions()
    device = choose_device(options.device)
    dataset = build_dataset(spec, data_root(options.data_root))
    data = dataset.provenance()
    observation = observed(spec, dataset)
    key = fit_key(spec, str(data["digest"]))
    with threads_used(options.threads):
        store = store() if callable(store) else store
        if (held := _settled(store, key, options)) is not None:
            return _shown(held, spec, dataset, store, options)
        folder = RunFolder.of(store, key)
        with folder.locked(options.say):
            if (held := _settled(store, key, options)) is not None:
                return _shown(held, spec, dataset, store, options)
            attempt = Attempt.prepared(spec, store, folder, dataset, data, observation, device, options)
            return attempt.carried_out()


def evaluate_run(
    run_id: str,
    store: Store,
    metrics: Sequence[str] | None = None,
    *,
    sets: Mapping[str, Any] | None = None,
    options: RunOptions | None = None,
) -> RunRecord:
    """Add scores to a finished run without training; returns its record with the scores.

    Args:
        run_id: the run's id or a prefix that only it has.
        metrics: names; None for every metric that is computed by default on the run's dataset.
        sets: `metrics.<metric>.<setting>` -> value.

    Raises:
        UnknownName, InvalidSetting: a run, metric or setting that does not exist or is out of range.
        CannotBear: the run has no final weights, for it was interrupted, diverged or failed; or its model or dataset is
            of a plug-in file that has changed since, or is not loaded.
        CheckpointError: its weights are missing, torn, or another run's.
    """
    options = options or RunOptions()
    record = store.get(run_id)
    require_same_code(record)
    spec = RunSpec.from_dict(record.spec)
    wanted = metric_settings(metrics, _by_metric(sets or {}), dataset=spec.dataset)
    dataset = build_dataset(spec, data_root(options.data_root))
    with threads_used(options.threads):
        return _with_scores(record, spec, wanted, dataset, store, options)


# A run that is there --------------------------------------------------------------------------------------------------
def _settled(store: Store, key: str, options: RunOptions) -> RunRecord | None:
    """The record that makes training unnecessary, if there is one."""
    held = store.find(key)
    if held is None or options.force or held.status in ("interrupted", "refused"):
        return None
    if held.status == "done":
        return held
    return None if options.retry else held


def _shown(held: RunRecord, spec: RunSpec, dataset: Dataset, store: Store, options: RunOptions) -> RunRecord:
    if held.status != "done":
        options.say(f"run {held.id} {held.status} before ({held.error}); --retry trains it again.")
        return held
    missing = _missing_metrics(held, spec)
    if not missing:
        options.say(f"run {held.id} is there already; --force trains it anew.")
        return held
    options.say(f"run {held.id} is there already; adding {', '.join(missing)}.")
    return _with_scores(held, spec, missing, dataset, store, options)


def _missing_metrics(held: RunRecord, spec: RunSpec) -> dict[str, Mapping[str, Any]]:
    """Metrics of the spec that the record has not: other settings, another plug-in file, or never computed.

    Scores that were added later carry no settings; they are taken for those of the defaults.
    """
    recorded: Mapping[str, Any] = held.spec["metrics"]
    present = {score.metric for score in held.scores} | {array.metric for array in held.arrays}
    missing = {}
    for name, settings in spec.metrics.items():
        defaults = as_dict(METRICS[name].Settings())
        known = recorded.get(name, defaults if name in present else None)
        if known != dict(settings) or outdated(name, held):
            missing[name] = settings
    return missing


def _with_scores(
    record: RunRecord,
    spec: RunSpec,
    metrics: Mapping[str, Mapping[str, Any]],
    dataset: Dataset,
    store: Store,
    options: RunOptions,
) -> RunRecord:
    if record.status != "done":
        raise CannotBear(f"run {record.id} has no final weights, it is {record.status}; `mmbench run` finishes it.")
    device = choose_device(options.device)
    model = build_model(spec, dataset.modalities)
    RunFolder.of(store, record.fit_key).load_into(model)
    with StatusLine(record.id, quiet=options.quiet) as told:
        found = score(model.to(device).eval(), dataset, seed=spec.seed, metrics=metrics, progress=told)
    store.add_results(record.id, found.evaluation.scores, found.evaluation.arrays)
    return store.get(record.id)


def _by_metric(sets: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for dotted, value in sets.items():
        section, _, rest = dotted.partition(".")
        metric, _, key = rest.partition(".")
        if section != "metrics" or not key:
            raise InvalidSetting(f"only metrics.<metric>.<key> can be set for a trained run, got {dotted!r}.")
        found.setdefault(metric, {})[key] = value
    return found
