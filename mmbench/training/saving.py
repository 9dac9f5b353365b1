"""When a training is saved: at ends of epochs, every few minutes, when it is interrupted, and at its end."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmbench.training.checkpoint import Checkpoints

__all__ = ["Saver"]

SHARE = 0.05


class Saver:
    """Decides when to save, and saves.

    An epoch's end is passed over while saving there would take more than a twentieth of the time: epochs of the
    embedded data last a fraction of a second.

    Args:
        checkpoints: where to; None saves nothing.
        seconds: the longest time between two checkpoints, to the end of a step.
        clock: seconds, for tests.
    """

    def __init__(
        self, checkpoints: Checkpoints | None, seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._checkpoints, self._seconds, self._clock = checkpoints, seconds, clock
        self._last, self._cost = clock(), 0.0
        self._step: int | None = None

    def restored(self) -> dict[str, Any] | None:
        """The state of the newest whole checkpoint, None where there is none."""
        held = self._checkpoints.latest() if self._checkpoints is not None else None
        if held is None:
            return None
        self._step = held[0]
        return held[1]

    def due(self, *, epoch_ends: bool) -> bool:
        """Whether to save after this step."""
        since = self._clock() - self._last
        return since >= self._seconds or (epoch_ends and since * SHARE >= self._cost)

    def save(self, step: int, state: Callable[[], Mapping[str, Any]]) -> Path | None:
        """Save the state after `step` steps, unless that stands on the disk already."""
        if self._checkpoints is None or self._step == step:
            return None
        began = self._clock()
        path = self._checkpoints.save(step, state())
        self._last = self._clock()
        self._cost = self._last - began
        self._step = step
        return path
