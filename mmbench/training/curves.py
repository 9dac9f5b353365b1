"""What training writes down: terms of training steps and terms on held-out test rows, two kinds that never mix.

Training terms are averaged over windows of `log_every` steps and become curves `train/<term>`; test terms come from
rows of the test split in eval mode and become curves `test/<term>`. What is measured of the gradients themselves
becomes curves `snr/<estimator>/<encoder or decoder>/<modality>`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmbench.results.records import Curve

__all__ = ["Recorder", "TestTerms", "TrainTerms"]


@dataclass(frozen=True)
class TrainTerms:
    """Means of the training terms over the steps of a window that ends with `step`."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class TestTerms:
    """Means of the terms over `rows` held-out test rows, after `step` steps."""

    __test__ = False  # the name begins like a test's; it is none

    step: int
    values: Mapping[str, float]
    rows: int


class Recorder:
    """Collects terms into curves; its whole state travels in checkpoints, half-filled window included."""

    def __init__(self, log_every: int) -> None:
        self._log_every = log_every
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._points: dict[str, tuple[list[int], list[float]]] = {}

    def train(self, step: int, values: Mapping[str, float], *, last: bool = False) -> TrainTerms | None:
        """Take in the terms of one step (counted from 1); returns the window's means when `step` closes it."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        if step % self._log_every and not last:
            return None
        means = {name: self._sums[name] / self._counts[name] for name in self._sums}
        self._sums, self._counts = {}, {}
        self._add("train", step, means)
        return TrainTerms(step, means)

    def test(self, terms: TestTerms) -> None:
        """Take in terms of held-out rows."""
        self._add("test", terms.step, terms.values)

    def signal_to_noise(self, step: int, values: Mapping[str, float]) -> None:
        """Take in signal-to-noise ratios of gradients after `step` steps (see `training.signal_to_noise`)."""
        self._add("snr", step, values)

    def last_test(self) -> int:
        """The step of the latest test terms, 0 before any."""
        return max((steps[-1] for name, (steps, _) in self._points.items() if name.startswith("test/")), default=0)

    def curves(self) -> tuple[Curve, ...]:
        """All curves so far, by name."""
        return tuple(
            Curve(name, np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))
            for name, (steps, values) in sorted(self._points.items())
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain values only, for a checkpoint; later terms leave them as they are."""
        points = {name: [list(steps), list(values)] for name, (steps, values) in self._points.items()}
        return {"sums": dict(self._sums), "counts": dict(self._counts), "points": points}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._sums, self._counts = dict(state["sums"]), dict(state["counts"])
        self._points = {name: (list(steps), list(values)) for name, (steps, values) in state["points"].items()}

    def _add(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            steps, points = self._points.setdefault(f"{kind}/{name}", ([], []))
            steps.append(step)
            points.append(value)
