"""A run from spec to record, and every way in which it can end.

One long file, because the endings are told apart by the same callbacks, records and folders as a run that goes well.
"""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from mmbench.datasets.base import DatasetSettings
from mmbench.errors import (
    CannotBear,
    CheckpointError,
    DataMissing,
    Diverged,
    InvalidSetting,
    StorageFull,
    UnknownName,
)
from mmbench.models.base import MODELS, Objective
from mmbench.results.records import RunRecord
from mmbench.results.store import Store
from mmbench.run import RunOptions, evaluate_run, fit_key, resolve, run
from mmbench.run import attempt as attempt_module
from mmbench.run.folder import RunFolder
from mmbench.training.callbacks import Callback
from mmbench.training.checkpoint import Checkpoints

SCRIPT = Path(__file__).with_name("tiny_world.py")


def options(**given: Any) -> RunOptions:
    return RunOptions(**{"device": "cpu", "quiet": True, **given})


def started(tiny: ModuleType, store: Store, **given: Any) -> RunRecord:
    return run(resolve(tiny.request(**given)), store, options())


def folder_of(store: Store, record: RunRecord) -> RunFolder:
    return RunFolder.of(store, record.fit_key)


def scores(record: RunRecord) -> list[tuple[Any, ...]]:
    return [(s.metric, s.given, s.target, s.estimator, s.value, s.stderr, s.n) for s in record.scores]


def watched_by(monkeypatch: pytest.MonkeyPatch, callback: Callback) -> None:
    monkeypatch.setattr(attempt_module, "progress", lambda label, *, quiet: callback)


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self._step, self._act = step, act
        self.first: int | None = None

    def started(self, step: int, total: int) -> None:
        self.first = step

    def stepped(self, step: int, rows: int) -> None:
        if step == self._step:
            self._act()


def interrupt() -> None:
    raise KeyboardInterrupt


def explode() -> None:
    raise RuntimeError("no such luck\nand more lines")


# A run that goes well -------------------------------------------------------------------------------------------------
def test_a_run_is_recorded_whole(tiny: ModuleType, store: Store) -> None:
    spec = resolve(tiny.request())
    record = run(spec, store, options(threads=1))
    assert record.status == "done"
    assert record.error == ""
    assert record.id == f"mvae-tiny-split-0.5-s0-{record.fit_key[:6]}"
    assert record.fit_key == fit_key(spec, "tiny-1")
    assert record.spec == spec.to_dict()
    assert record.facts["title"] == MODELS["mvae"].facts.title
    assert (record.facts["version"], record.facts["stages"]) == (MODELS["mvae"].version, ["main"])
    assert [score.metric for score in record.scores] == ["spread"]
    assert record.timings["steps"] == 20
    assert record.timings["parameters"] == sum(
        p.numel() for p in attempt_module.build_model(spec, tiny.TinyDataset(DatasetSettings()).modalities).parameters()
    )
    assert record.timings["pairs_per_s"] > 0
    assert record.timings["peak_memory_mb"] > 10
    names = {curve.name for curve in store.curves(record.id)}
    assert {"train/loss", "test/loss"} <= names
    assert store.get(record.id).scores == record.scores


def test_the_record_says_where_it_comes_from(tiny: ModuleType, store: Store) -> None:
    record = started(tiny, store)
    origin = record.provenance
    assert origin["data"] == {"status": "embedded", "counts": tiny.COUNTS, "digest": "tiny-1"}
    assert origin["rows"] == {"left+right": 60, "left": 30, "right": 30}
    assert origin["versions"]["torch"] == torch.__version__
    assert origin["threads"] == torch.get_num_threads()
    assert origin["device"].startswith("cpu")
    assert len(origin["pairing"]) == len(origin["scheme"]) == 16


def test_weights_and_spec_lie_beside_the_store_and_checkpoints_are_gone(tiny: ModuleType, store: Store) -> None:
    record = started(tiny, store)
    folder = folder_of(store, record)
    assert folder.path.parent.parent == store.folder
    held = torch.load(folder.weights, weights_only=True)
    assert held["key"] == record.fit_key
    assert json.loads((folder.path / "spec.json").read_text()) == record.spec
    assert not list(folder.path.glob("*.ckpt*"))


def test_the_same_seed_gives_the_same_scores_and_another_seed_others(tiny: ModuleType, tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(found))
        with Store.open(tmp_path / name / "results.db") as store:
            record = started(tiny, store, seed=seed)
            found.append((scores(record), folder_of(store, record).digest()))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    assert found[0][1] != found[2][1]


def test_poisoned_hidden_entries_change_nothing(
    tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """White noise in the entries that the scheme hides, under the same digest: weights and curves are the same bits."""
    found = []
    for name in ("clean", "poisoned"):
        if name == "poisoned":
            poison_hidden(tiny, monkeypatch)
        with Store.open(tmp_path / name / "results.db") as store:
            record = started(tiny, store)
            curves = {c.name: c.values.tolist() for c in store.curves(record.id)}
            found.append((folder_of(store, record).digest(), curves))
    assert found[0] == found[1]


def poison_hidden(tiny: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    split = tiny.TinyDataset.split
    spec = resolve(tiny.request())
    observed = attempt_module.observe(tiny.TinyDataset(DatasetSettings()), "split", 0.5, seed=spec.seed)
    seen: dict[str, set[int]] = {"left": set(), "right": set()}
    for pattern in observed.patterns:
        for column, name in enumerate(pattern.names):
            seen[name] |= set(pattern.table[:, column].tolist())
    assert all(len(rows) == 90 for rows in seen.values())

    def poisoned(self: Any, which: str) -> Any:
        clean = split(self, which)
        if which == "train":
            for name, rows in seen.items():
                hidden = sorted(set(range(120)) - rows)
                clean.arrays[name][hidden] = 255 - clean.arrays[name][hidden]
        return clean

    monkeypatch.setattr(tiny.TinyDataset, "split", poisoned)


# A run that is there --------------------------------------------------------------------------------------------------
def test_the_same_command_twice_does_not_train_twice(
    tiny: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started(tiny, store)
    said: list[str] = []
    monkeypatch.setattr(attempt_module, "fit", lambda *args, **given: pytest.fail("trained twice"))
    again = run(resolve(tiny.request()), store, options(say=said.append))
    assert (again.id, again.created, again.scores) == (first.id, first.created, first.scores)
    assert said == [f"run {first.id} is there already; --force trains it anew."]


def test_force_trains_anew_and_supersedes(tiny: ModuleType, store: Store) -> None:
    first = started(tiny, store)
    second = run(resolve(tiny.request()), store, options(force=True))
    assert second.id == f"{first.id}-2"
    assert scores(second) == scores(first)
    assert [record.id for record in store.runs()] == [second.id]
    assert store.get(first.id).superseded


def test_metrics_asked_for_later_are_added_without_training(
    tiny: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = started(tiny, store, seed=5)
    bare = started(tiny, store, metrics=())
    monkeypatch.setattr(attempt_module, "fit", lambda *args, **given: pytest.fail("trained twice"))
    said: list[str] = []
    again = run(resolve(tiny.request()), store, options(say=said.append))
    assert again.id == bare.id
    assert [score.metric for score in again.scores] == ["spread"]
    assert said == [f"run {bare.id} is there already; adding spread."]
    run(resolve(tiny.request()), store, options(say=said.append))
    assert said[1:] == [f"run {bare.id} is there already; --force trains it anew."]
    assert scores(whole) != scores(again)


def test_evaluate_adds_the_scores_that_the_run_would_have_had(tiny: ModuleType, store: Store, tmp_path: Path) -> None:
    bare = started(tiny, store, metrics=())
    with Store.open(tmp_path / "other" / "results.db") as other:
        whole = started(tiny, other)
    found = evaluate_run(bare.id, store, ["spread"], options=options())
    assert scores(found) == scores(whole)
    assert evaluate_run(bare.id, store, ["spread"], options=options()).scores == found.scores


def test_evaluate_takes_settings_of_metrics(tiny: ModuleType, store: Store) -> None:
    record = started(tiny, store)
    found = evaluate_run(record.id[:12], store, ["spread"], sets={"metrics.spread.scale": "2"}, options=options())
    assert found.scores[0].value == pytest.approx(2 * (record.scores[0].value or 0.0))


@pytest.mark.parametrize(
    ("run_id", "metrics", "sets", "error", "sentence"),
    [
        ("mvae-tiny", ["spred"], {}, UnknownName, "unknown metric 'spred'; did you mean 'spread'"),
        ("mvae-tiny", ["spread"], {"train.lr": "1"}, InvalidSetting, r"only metrics\.<metric>\.<key> can be set"),
        ("mvae-tiny", ["spread"], {"metrics.spread.scale": "0"}, InvalidSetting, "must be greater than 0"),
        ("meme-x", ["spread"], {}, UnknownName, "meme-x"),
    ],
)
def test_evaluate_refuses_bad_input(
    tiny: ModuleType,
    store: Store,
    run_id: str,
    metrics: list[str],
    sets: dict[str, str],
    error: type[Exception],
    sentence: str,
) -> None:
    before = started(tiny, store)
    with pytest.raises(error, match=sentence):
        evaluate_run(run_id, store, metrics, sets=sets, options=options())
    assert store.get(before.id).scores == before.scores


def test_missing_torn_and_foreign_weights_are_told_apart(tiny: ModuleType, store: Store) -> None:
    record, other = started(tiny, store), started(tiny, store, seed=1)
    path = folder_of(store, record).weights
    content = path.read_bytes()
    cases = {
        "torn or no file of weights": content[:-50],
        "does not match its digest": flipped(content),
        "belongs to another run": folder_of(store, other).weights.read_bytes(),
    }
    for sentence, damaged in cases.items():
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=sentence):
            evaluate_run(record.id, store, ["spread"], options=options())
    path.unlink()
    with pytest.raises(CheckpointError, match=r"the weights of this run are not at .*model\.pt"):
        evaluate_run(record.id, store, ["spread"], options=options())


def flipped(content: bytes) -> bytes:
    """One bit of the largest stored tensor changed."""
    weights = torch.load(io.BytesIO(content), weights_only=True)["weights"]
    largest = max(weights.values(), key=torch.numel).numpy().tobytes()
    changed = bytearray(content)
    changed[content.index(largest) + 1] ^= 1
    return bytes(changed)


# Runs that do not go well ---------------------------------------------------------------------------------------------
def test_ctrl_c_is_recorded_and_the_same_command_goes_on_with_the_same_bits(
    tiny: ModuleType, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(tmp_path / "whole" / "results.db") as other:
        whole = started(tiny, other)
        digest = folder_of(other, whole).digest()
    watched_by(monkeypatch, At(13, lambda: os.kill(os.getpid(), signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        started(tiny, store)
    (record,) = store.runs()
    assert (record.status, record.error) == ("interrupted", "interrupted; the same command goes on.")
    assert {curve.name for curve in store.curves(record.id)} >= {"train/loss"}
    with pytest.raises(CannotBear, match=r"has no final weights, it is interrupted; `mmbench run` finishes it"):
        evaluate_run(record.id, store, ["spread"], options=options())

    resumed, said = At(0, interrupt), list[str]()
    watched_by(monkeypatch, resumed)
    done = run(resolve(tiny.request()), store, options(say=said.append))
    assert resumed.first == 13
    assert "going on from checkpoint" in said[0]
    assert done.status == "done"
    assert folder_of(store, done).digest() == digest
    assert scores(done) == scores(whole)
    for mine, theirs in zip(done.curves, whole.curves, strict=True):
        assert mine.name == theirs.name
        np.testing.assert_array_equal(mine.values, theirs.values)
    assert [found.status for found in store.runs()] == ["done"]


def test_ctrl_c_while_scoring_keeps_the_training(
    tiny: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny.Spread, "compute", lambda self: interrupt())
    with pytest.raises(KeyboardInterrupt):
        started(tiny, store)
    monkeypatch.undo()
    tiny.register(monkeypatch)
    resumed = At(20, interrupt)
    watched_by(monkeypatch, resumed)
    assert started(tiny, store).status == "done"
    assert resumed.first == 20


def test_a_diverged_run_is_a_record_that_names_step_and_term(
    tiny: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = MODELS["mvae"].objective

    def poisoned(self: Any, values: Any, **given: Any) -> Objective:
        found = objective(self, values, **given)
        bad = given["progress"] >= 0.5
        return Objective(found.loss, {**found.terms, "kl/left": torch.tensor(float("inf") if bad else 1.0)})

    monkeypatch.setattr(MODELS["mvae"], "objective", poisoned)
    record = started(tiny, store)
    assert record.status == "diverged"
    assert record.error == str(Diverged(11, "kl/left", float("inf")))
    assert record.scores == ()
    (loss,) = (curve for curve in store.curves(record.id) if curve.name == "train/loss")
    assert loss.steps.tolist() == [2, 4, 6, 8, 10]
    monkeypatch.undo()
    tiny.register(monkeypatch)

    said: list[str] = []
    again = run(resolve(tiny.request()), store, options(say=said.append))
    assert again.id == record.id
    assert said == [f"run {record.id} diverged before ({record.error}); --retry trains it again."]
    assert run(resolve(tiny.request()), store, options(retry=True)).status == "done"


@pytest.mark.parametrize("where", ["training", "scoring"])
def test_a_failed_run_is_recorded_with_its_sentence_and_raised(
    tiny: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "training":
        watched_by(monkeypatch, At(12, explode))
    else:
        monkeypatch.setattr(tiny.Spread, "compute", lambda self: explode())
    with pytest.raises(RuntimeError, match="no such luck"):
        started(tiny, store)
    (record,) = store.runs()
    assert (record.status, record.error) == ("failed", "RuntimeError: no such luck")
    monkeypatch.undo()
    tiny.register(monkeypatch)
    assert started(tiny, store).status == "failed"  # skipped until --retry
    assert run(resolve(tiny.request()), store, options(retry=True)).status == "done"


def test_a_full_disk_leaves_no_record_and_the_run_goes_on_afterwards(
    tiny: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise StorageFull("the disk is full while writing x.")

    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", lambda self, step, state: full() if step > 8 else save(self, step, state))
    with pytest.raises(StorageFull):
        run(resolve(tiny.request()), store, options(checkpoint_seconds=0.0))
    assert store.runs() == []
    monkeypatch.undo()
    tiny.register(monkeypatch)
    resumed = At(0, interrupt)
    watched_by(monkeypatch, resumed)
    assert started(tiny, store).status == "done"
    assert resumed.first == 8


def test_a_store_without_room_keeps_the_run_resumable(
    tiny: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, record: RunRecord) -> None:
        raise StorageFull(f"store {self.name}: there is no room for more.")

    monkeypatch.setattr(Store, "add", full)
    with pytest.raises(StorageFull):
        started(tiny, store)
    monkeypatch.undo()
    tiny.register(monkeypatch)
    assert store.runs() == []
    resumed = At(0, interrupt)
    watched_by(monkeypatch, resumed)
    assert started(tiny, store).status == "done"
    assert resumed.first == 20


def test_the_checkpoint_of_another_spec_is_refused_without_a_record(
    tiny: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = resolve(tiny.request())
    folder = RunFolder.of(store, fit_key(spec, "tiny-1"))
    Checkpoints(folder.path, {"fit key": "another", "spec": "another"}).save(3, {})
    with pytest.raises(CheckpointError, match=r"belongs to another run \(fit key another.*--force"):
        run(spec, store, options())
    assert store.runs() == []
    assert run(spec, store, options(force=True)).status == "done"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, got 'tpu'"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
    ],
)
def test_bad_options_leave_store_and_files_as_they_were(
    tiny: ModuleType, store: Store, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidSetting, match=sentence):
        run(resolve(tiny.request()), store, options(**given))
    assert store.runs() == []
    assert not (store.folder or Path()).joinpath("runs").exists()


def test_a_device_that_is_not_there(tiny: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidSetting, match=r"device cuda is not there: .* use --device cpu or auto"):
        run(resolve(tiny.request()), store, options(device="cuda"))


def test_missing_data_leaves_store_and_files_as_they_were(
    tiny: ModuleType, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    spec = resolve(tiny.request(dataset="mnist-svhn"))
    with pytest.raises(DataMissing, match="mmbench data fetch mnist-svhn"):
        run(spec, store, options())
    with pytest.raises(DataMissing, match=str(tmp_path)):
        run(spec, store, options(data_root=tmp_path))
    assert store.runs() == []
    assert not (store.folder or Path()).joinpath("runs").exists()


def test_threads_are_used_and_given_back(tiny: ModuleType, store: Store) -> None:
    before = torch.get_num_threads()
    record = run(resolve(tiny.request(steps=2, metrics=())), store, options(threads=2))
    assert record.provenance["threads"] == 2
    assert torch.get_num_threads() == before


# Processes ------------------------------------------------------------------------------------------------------------
def process(tmp_path: Path, *more: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(tmp_path / "results.db"), str(tmp_path / "trace"), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_with_the_same_spec_train_once(tiny: ModuleType, tmp_path: Path) -> None:
    both = [process(tmp_path) for _ in range(2)]
    outputs = [each.communicate(timeout=240) for each in both]
    assert [each.returncode for each in both] == [0, 0], outputs
    assert len((tmp_path / "trace").read_text().splitlines()) == 1
    with Store.open_readonly(tmp_path / "results.db") as store:
        (record,) = store.runs()
    assert record.status == "done"
    last = {out.splitlines()[-1] for out, _ in outputs}
    assert last == {f"{record.id} done"}
    assert sum("is there already" in out for out, _ in outputs) == 1


def test_kill_9_then_the_same_command_ends_with_the_same_bits(
    tiny: ModuleType, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = process(tmp_path, "14")
    _, errors = killed.communicate(timeout=240)
    assert killed.returncode == -9, errors
    assert store.runs() == []
    resumed = At(0, interrupt)
    watched_by(monkeypatch, resumed)
    record = started(tiny, store)
    assert resumed.first == 13
    with Store.open(tmp_path / "whole" / "results.db") as other:
        whole = started(tiny, other)
        assert folder_of(store, record).digest() == folder_of(other, whole).digest()
        assert scores(record) == scores(whole)
        for mine, theirs in zip(store.curves(record.id), other.curves(whole.id), strict=True):
            np.testing.assert_array_equal(mine.values, theirs.values)
