"""When a training is saved, by a clock that the test moves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbench.training.checkpoint import Checkpoints
from mmbench.training.saving import Saver


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(Checkpoints):
    """Saving takes one second of the test's clock and writes nothing."""

    clock: Clock

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        self.clock.now += 1.0
        return self.folder / str(step)


def saver(clock: Clock, seconds: float = 300.0) -> Saver:
    checkpoints = Slow(Path("nowhere"), {})
    object.__setattr__(checkpoints, "clock", clock)
    return Saver(checkpoints, seconds, clock=clock)


def test_the_first_epoch_is_saved_and_the_middle_of_it_is_not() -> None:
    clock = Clock()
    watched = saver(clock)
    clock.now = 1.0
    assert not watched.due(epoch_ends=False)
    assert watched.due(epoch_ends=True)


def test_time_is_up_in_the_middle_of_an_epoch_too() -> None:
    clock = Clock()
    watched = saver(clock, seconds=300)
    clock.now = 299.0
    assert not watched.due(epoch_ends=False)
    clock.now = 300.0
    assert watched.due(epoch_ends=False)


def test_epochs_are_passed_over_while_saving_would_take_more_than_a_twentieth() -> None:
    clock = Clock()
    watched = saver(clock)
    watched.save(1, dict)  # takes a second
    clock.now += 19.0
    assert not watched.due(epoch_ends=True)
    clock.now += 1.0
    assert watched.due(epoch_ends=True)


def test_the_same_step_is_not_saved_twice() -> None:
    clock = Clock()
    watched = saver(clock)
    assert watched.save(5, dict) == Path("nowhere/5")
    assert watched.save(5, dict) is None
    assert watched.save(6, dict) == Path("nowhere/6")


def test_without_a_folder_nothing_is_saved() -> None:
    watched = Saver(None, 0.0, clock=Clock())
    assert watched.restored() is None
    assert watched.save(1, dict) is None
