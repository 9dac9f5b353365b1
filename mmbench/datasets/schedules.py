"""Schedules: in which steps the rows of each observation pattern are visited, as pure functions of a generator.

`mixed` cuts one shuffle of all rows into steps, so that every row weighs the same. `alternate` is the schedule of the
released MEME code, in which a step holds one pattern; there the paired batches come at every P-th step until none is
left, P = floor(steps / paired steps), and for f > 1/2 all of them come first. Here they are spread evenly for any f.
With the coin of the code's first version, what an incomplete batch keeps is chosen when its turn comes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmbench.datasets.pairing import as_indices

__all__ = ["Part", "Plan", "alternate", "alternate_steps", "interleaving", "mixed"]

Part = tuple[int, np.ndarray]
"""A pattern by its index, and rows of its table `[n]`."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The steps of an epoch, each in one-pattern parts; four bytes a row, and nothing that is made for each step.

    Attributes:
        rows: of each pattern the rows of its table in the order in which they are visited `[n_p]`.
        first, last: `[steps, patterns]`; step `s` takes `rows[p][first[s, p]:last[s, p]]` of pattern `p`.
    """

    rows: tuple[np.ndarray, ...]
    first: np.ndarray
    last: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def __iter__(self) -> Iterator[tuple[Part, ...]]:
        for step in range(len(self)):
            yield tuple((p, self.rows[p][first:last]) for p, first, last in self.slices(step))

    def slices(self, step: int) -> list[tuple[int, int, int]]:
        """The parts of a step as `(pattern, first, last)`, in the order of the patterns, none empty."""
        bounds = zip(self.first[step].tolist(), self.last[step].tolist(), strict=True)
        return [(p, first, last) for p, (first, last) in enumerate(bounds) if last > first]


def mixed(sizes: Sequence[int], batch_size: int, rng: np.random.Generator) -> Plan:
    """Shuffle the union of all patterns' rows and cut it into steps of `batch_size` rows, the last one shorter.

    Args:
        sizes: number of rows of each pattern; pattern p owns the rows of the union from the sum of those before it on.
    """
    total = sum(sizes)
    order = as_indices(rng.permutation(total))
    ends = np.minimum(np.arange(batch_size, total + batch_size, batch_size), total)
    if len(sizes) == 1:
        return _cut((order,), ends[:, None])
    rows, lasts, start = [], [], 0
    for size in sizes:
        own = (order >= start) & (order < start + size)
        rows.append(order[own] - start)
        lasts.append(np.cumsum(own, dtype=order.dtype)[ends - 1])
        start += size
    return _cut(tuple(rows), np.stack(lasts, axis=1))


def _cut(rows: tuple[np.ndarray, ...], last: np.ndarray) -> Plan:
    """Each step takes up where the one before it ended."""
    return Plan(rows, np.concatenate([np.zeros_like(last[:1]), last[:-1]]), last)


def alternate(sizes: Sequence[int], coin: Sequence[bool], batch_size: int, rng: np.random.Generator) -> Plan:
    """One pattern a step; the patterns' batches are evenly interleaved, beginning with the first pattern.

    Args:
        sizes: number of rows of each pattern.
        coin: which patterns are alternatives of the same rows: a fair coin picks one of them for each batch.
    """
    rows = tuple(as_indices(rng.permutation(size)) for size in sizes)
    groups = _groups(coin)
    turns = interleaving([-(-sizes[group[0]] // batch_size) for group in groups])
    first, last = (np.zeros((len(turns), len(sizes)), np.int64) for _ in range(2))
    for step, (g, turn) in enumerate(turns):
        p = groups[g][int(rng.integers(len(groups[g])))] if len(groups[g]) > 1 else groups[g][0]
        first[step, p], last[step, p] = turn * batch_size, min((turn + 1) * batch_size, sizes[p])
    return Plan(rows, first, last)


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
