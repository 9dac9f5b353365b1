"""A training that was stopped, by whatever means, ends with the same bits as one that was not."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from mmbench.errors import CheckpointError, StorageFull
from mmbench.models.base import Stage
from mmbench.training.callbacks import Callback
from mmbench.training.checkpoint import Checkpoints
from mmbench.training.curves import Recorder
from mmbench.training.loop import Trained, fit


def train(trainee: ModuleType, folder: Path | None, *callbacks: Callback, **given: Any) -> tuple[Any, Trained]:
    model = trainee.model()
    checkpoints = None if folder is None else Checkpoints(folder, trainee.OWNER)
    settings = {"seed": 0, "test": trainee.held_out, "checkpoint_seconds": 0.0, **given}
    return model, fit(
        model, trainee.loader(), trainee.SETTINGS, checkpoints=checkpoints, callbacks=callbacks, **settings
    )


def assert_same(resumed: tuple[Any, Trained], whole: tuple[Any, Trained]) -> None:
    for (name, a), (_, b) in zip(resumed[0].state_dict().items(), whole[0].state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    for x, y in zip(resumed[1].curves, whole[1].curves, strict=True):
        assert (x.name, x.steps.tolist(), x.values.tolist()) == (y.name, y.steps.tolist(), y.values.tolist())
    assert (resumed[1].steps, resumed[1].rows) == (whole[1].steps, whole[1].rows)


class Raise(Callback):
    """Raises after a step, before the step is saved."""

    def __init__(self, step: int) -> None:
        self._step = step

    def stepped(self, step: int, rows: int) -> None:
        if step == self._step:
            raise RuntimeError("a power cut")


class Signals(Callback):
    """Sends signals to this process after a step."""

    def __init__(self, step: int, *numbers: int) -> None:
        self._step, self._numbers = step, numbers

    def stepped(self, step: int, rows: int) -> None:
        if step == self._step:
            for number in self._numbers:
                os.kill(os.getpid(), number)


@pytest.fixture(scope="module")
def whole(trainee: ModuleType) -> tuple[Any, Trained]:
    """The training that nothing stopped."""
    return train(trainee, None)


@pytest.mark.parametrize("step", [1, 10, 27, 44, 45])
def test_resumed_in_the_middle_of_an_epoch_or_at_its_end(
    trainee: ModuleType, whole: tuple[Any, Trained], tmp_path: Path, step: int
) -> None:
    with pytest.raises(RuntimeError, match="a power cut"):
        train(trainee, tmp_path, Raise(step))
    assert_same(train(trainee, tmp_path), whole)


def test_kill_9_in_the_middle_of_training(trainee: ModuleType, whole: tuple[Any, Trained], tmp_path: Path) -> None:
    script = Path(__file__).with_name("trainee.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "36"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = [path.name for path in Checkpoints(tmp_path, trainee.OWNER).paths()]
    assert left == ["step-000000035.ckpt", "step-000000034.ckpt"]
    assert_same(train(trainee, tmp_path), whole)


def test_resumed_from_the_older_checkpoint_where_the_newer_is_torn(
    trainee: ModuleType, whole: tuple[Any, Trained], tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError):
        train(trainee, tmp_path, Raise(33))
    newest = Checkpoints(tmp_path, trainee.OWNER).paths()[0]
    newest.write_bytes(newest.read_bytes()[:1000])
    assert_same(train(trainee, tmp_path), whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_saves_it(
    trainee: ModuleType, whole: tuple[Any, Trained], tmp_path: Path, number: int
) -> None:
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    recorder = Recorder(trainee.SETTINGS.log_every)
    with pytest.raises(KeyboardInterrupt):
        train(trainee, tmp_path, Signals(23, number), checkpoint_seconds=1e9, recorder=recorder)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert Checkpoints(tmp_path, trainee.OWNER).paths()[0].name == "step-000000023.ckpt"
    assert [curve.steps[-1] for curve in recorder.curves() if curve.name == "train/loss"] == [20]
    assert_same(train(trainee, tmp_path), whole)


def test_the_second_ctrl_c_does_not_wait(trainee: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(trainee, tmp_path, Signals(5, signal.SIGINT, signal.SIGINT), checkpoint_seconds=1e9)
    assert Checkpoints(tmp_path, trainee.OWNER).paths() == []


def test_outside_the_main_thread_training_works_without_signals(trainee: ModuleType) -> None:
    found: list[Trained] = []
    thread = threading.Thread(target=lambda: found.append(train(trainee, None)[1]))
    thread.start()
    thread.join()
    assert found[0].steps == 45


def test_resumed_across_the_border_of_two_stages(
    trainee: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = (Stage("encoders", 0.4, ("encoders",)), Stage("all", 0.6))
    monkeypatch.setattr(trainee.Tiny, "stages", stages)
    whole = train(trainee, None)
    for step in (10, 18, 19, 20, 30):  # the border is at step 18
        with pytest.raises(RuntimeError):
            train(trainee, tmp_path, Raise(step))
    assert_same(train(trainee, tmp_path), whole)


def test_a_finished_training_is_not_trained_again(
    trainee: ModuleType, whole: tuple[Any, Trained], tmp_path: Path
) -> None:
    train(trainee, tmp_path)
    again = train(trainee, tmp_path, Raise(1), Raise(45))
    assert_same(again, whole)


def test_the_checkpoint_of_another_spec_is_refused(trainee: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        train(trainee, tmp_path, Raise(20))
    other = Checkpoints(tmp_path, {**trainee.OWNER, "spec": "another"})
    with pytest.raises(CheckpointError, match="belongs to another run"):
        fit(trainee.model(), trainee.loader(), trainee.SETTINGS, seed=0, checkpoints=other)


def test_a_checkpoint_that_does_not_fit_the_model_is_refused(trainee: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        train(trainee, tmp_path, Raise(20))
    model = trainee.model()
    model.extra = torch.nn.Parameter(torch.zeros(2))
    checkpoints = Checkpoints(tmp_path, trainee.OWNER)
    with pytest.raises(CheckpointError, match=r"does not fit the model .*extra.*--force"):
        fit(model, trainee.loader(), trainee.SETTINGS, seed=0, checkpoints=checkpoints)


def test_a_disk_that_fills_up_keeps_the_last_checkpoint(
    trainee: ModuleType, whole: tuple[Any, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Checkpoints.save

    def full(self: Checkpoints, step: int, state: Mapping[str, Any]) -> Path:
        if step >= 25:
            raise StorageFull("the disk is full")
        return save(self, step, state)

    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(StorageFull):
        train(trainee, tmp_path)
    monkeypatch.undo()
    assert Checkpoints(tmp_path, trainee.OWNER).paths()[0].name == "step-000000024.ckpt"
    assert_same(train(trainee, tmp_path), whole)
