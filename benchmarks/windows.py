"""Interleaved windows: contenders take turns in one process, so that what slows the machine slows them all."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Times", "interleaved"]

Step = Callable[[], None]


@dataclass(frozen=True)
class Times:
    """Seconds a step, one value a window."""

    windows: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the windows."""
        return statistics.median(self.windows)

    @property
    def spread(self) -> tuple[float, float]:
        """Lower and upper quartile."""
        if len(self.windows) == 1:
            return self.windows[0], self.windows[0]
        low, _, high = statistics.quantiles(self.windows, n=4, method="inclusive")
        return low, high


def interleaved(contenders: Mapping[str, Step], *, windows: int, steps: int) -> dict[str, Times]:
    """Time windows of `steps` steps of each contender in turn; each round starts with another one.

    Each contender takes two steps beforehand that are not timed.
    """
    names, found = list(contenders), {name: list[float]() for name in contenders}
    for step in contenders.values():
        step()
        step()
    for number in range(windows):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            began = time.perf_counter()
            for _ in range(steps):
                contenders[name]()
            found[name].append((time.perf_counter() - began) / steps)
    return {name: Times(tuple(values)) for name, values in found.items()}
