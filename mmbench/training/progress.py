"""Progress on the screen: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import Never, Self, TextIO

from tqdm import tqdm

from mmbench.training.callbacks import Callback
from mmbench.training.curves import TrainTerms

__all__ = ["Bar", "Lines", "StatusLine", "progress"]

TERMS_SHOWN = 4


def progress(label: str, *, quiet: bool = False, out: TextIO | None = None) -> Callback:
    """What suits `out` (standard error): nothing when quiet, a bar on a terminal, lines elsewhere."""
    stream = out or sys.stderr
    if quiet:
        return Callback()
    return Bar(label, stream) if stream.isatty() else Lines(label, stream)


class Bar(Callback):
    """A bar with steps, time left, pairs/s and the latest loss terms."""

    def __init__(self, label: str, out: TextIO) -> None:
        self._label, self._out = label, out
        self._bar: tqdm[Never] | None = None
        self._rate = Rate()

    def started(self, step: int, total: int) -> None:
        self._bar = tqdm(
            desc=self._label, total=total, initial=step, unit="step", file=self._out, dynamic_ncols=True, leave=True
        )

    def stepped(self, step: int, rows: int) -> None:
        self._rate.add(rows)
        if self._bar is not None:
            self._bar.update()

    def trained(self, terms: TrainTerms) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(f"{shown(terms)}, {self._rate.value():,.0f} pairs/s", refresh=False)

    def ended(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Lines(Callback):
    """A line every `seconds` seconds and at the end: for logs and pipes."""

    def __init__(
        self, label: str, out: TextIO, *, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._out, self._seconds, self._clock = label, out, seconds, clock
        self._rate = Rate(clock)
        self._total, self._first, self._step = 0, 0, 0
        self._begun = self._told = clock()

    def started(self, step: int, total: int) -> None:
        self._total, self._first, self._step = total, step, step
        self._begun = self._told = self._clock()

    def stepped(self, step: int, rows: int) -> None:
        self._rate.add(rows)
        self._step = step

    def trained(self, terms: TrainTerms) -> None:
        now = self._clock()
        if now - self._told < self._seconds and terms.step < self._total:
            return
        self._told = now
        left = (now - self._begun) / max(1, self._step - self._first) * (self._total - self._step)
        print(
            f"{self._label}: step {terms.step}/{self._total}, {shown(terms)}, "
            f"{self._rate.value():,.0f} pairs/s, {tqdm.format_interval(left)} left",
            file=self._out,
            flush=True,
        )


class StatusLine:
    """What is being worked on after the training: one line that is written over on a terminal, nothing elsewhere.

    Used as a context manager and called with each new text.
    """

    def __init__(self, label: str, *, quiet: bool = False, out: TextIO | None = None) -> None:
        self._label, self._out = label, out or sys.stderr
        self._shown = not quiet and self._out.isatty()

    def __enter__(self) -> Self:
        return self

    def __call__(self, text: str) -> None:
        """Show this text instead of the one before."""
        if self._shown:
            print(f"\r\x1b[K{self._label}: {text}", end="", file=self._out, flush=True)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=self._out, flush=True)


class Rate:
    """Rows a second since the first step."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._rows = clock, 0
        self._begun = clock()

    def add(self, rows: int) -> None:
        """Count the rows of a step."""
        self._rows += rows

    def value(self) -> float:
        """Rows a second so far."""
        return self._rows / max(1e-9, self._clock() - self._begun)


def shown(terms: TrainTerms) -> str:
    """The loss and the first few other terms as text."""
    names = ["loss", *sorted(name for name in terms.values if name != "loss")][: 1 + TERMS_SHOWN]
    return ", ".join(f"{name} {terms.values[name]:.4g}" for name in names if name in terms.values)
