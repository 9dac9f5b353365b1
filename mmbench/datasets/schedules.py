"""Schedules: in which steps the rows of each observation pattern are visited, as pure functions of a generator.

`mixed` cuts one shuffle of all rows into steps, so that every row weighs the same. `alternate` is the schedule of the
released MEME code, in which a step holds one pattern; there the paired batches come at every P-th step until none is
left, P = floor(steps / paired steps), and for f > 1/2 all of them come first. Here they are spread evenly for any f.
With the coin of the code's first version, what an incomplete batch keeps is chosen when its turn comes.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["Part", "Plan", "alternate", "alternate_steps", "interleaving", "mixed"]

Part = tuple[int, np.ndarray]
"""A pattern by its index, and rows of its table `[n]`."""

Plan = list[tuple[Part, ...]]
"""The steps of an epoch, each in one-pattern parts."""


def mixed(sizes: Sequence[int], batch_size: int, rng: np.random.Generator) -> Plan:
    """Shuffle the union of all patterns' rows and cut it into steps of `batch_size` rows, the last one shorter.

    Args:
        sizes: number of rows of each pattern.
    """
    starts = np.cumsum([0, *sizes])
    order = rng.permutation(starts[-1])
    return [_by_pattern(order[i : i + batch_size], starts) for i in range(0, len(order), batch_size)]


def _by_pattern(rows: np.ndarray, starts: np.ndarray) -> tuple[Part, ...]:
    """Group rows of the union by pattern; pattern p owns `starts[p] <= row < starts[p + 1]`."""
    pattern = np.searchsorted(starts, rows, side="right") - 1
    return tuple((int(p), rows[pattern == p] - starts[p]) for p in np.unique(pattern))


def alternate(sizes: Sequence[int], coin: Sequence[bool], batch_size: int, rng: np.random.Generator) -> Plan:
    """One pattern a step; the patterns' batches are evenly interleaved, beginning with the first pattern.

    Args:
        sizes: number of rows of each pattern.
        coin: which patterns are alternatives of the same rows: a fair coin picks one of them for each batch.
    """
    batches = [_batches(size, batch_size, rng) for size in sizes]
    groups = _groups(coin)
    counts = [len(batches[group[0]]) for group in groups]
    plan: Plan = []
    for g, turn in interleaving(counts):
        p = groups[g][int(rng.integers(len(groups[g])))] if len(groups[g]) > 1 else groups[g][0]
        plan.append(((p, batches[p][turn]),))
    return plan


def _batches(size: int, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    order = rng.permutation(size)
    return [order[i : i + batch_size] for i in range(0, size, batch_size)]


def _groups(coin: Sequence[bool]) -> list[list[int]]:
    """Each pattern is a group of its own, except that those under the coin form one."""
    alone = [[p] for p, tossed in enumerate(coin) if not tossed]
    together = [p for p, tossed in enumerate(coin) if tossed]
    return [*alone, together] if together else alone


def alternate_steps(sizes: Sequence[int], coin: Sequence[bool], batch_size: int) -> int:
    """Number of steps that `alternate` makes of an epoch."""
    return sum(-(-sizes[group[0]] // batch_size) for group in _groups(coin))


def interleaving(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Spread the items of several lists evenly: `(list, item)` in order of `item / count`, ties in order of lists.

    Of two lists with `a` and `b` items, the first k items hold k a / (a + b) of the first list, to less than one.
    """
    turns = [(item / count, which, item) for which, count in enumerate(counts) for item in range(count)]
    return [(which, item) for _, which, item in sorted(turns)]
