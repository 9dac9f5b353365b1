"""The loader: arrays on the training device in their small dtype, and steps of one-pattern batches.

A batch is an `index_select` and a cast: images are stored as uint8 and become floats in [0, 1]. The order of an epoch
is a pure function of (seed, epoch number), so a resumed run continues in the middle of an epoch by skipping steps.
Entries that are not observed are never indexed.

A row costs its indices alone, four bytes for each modality and four for its place in the epoch; originals are held
once, however many rows they stand in, and on the CPU in the memory of the dataset itself.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmbench.config import setting
from mmbench.datasets.base import Pairing, Pattern, Split
from mmbench.datasets.observation import Observation, observe, row_classes
from mmbench.datasets.pairing import as_indices
from mmbench.datasets.schedules import Plan, alternate, alternate_steps, mixed
from mmbench.errors import InvalidSetting
from mmbench.modality import Batch, Step
from mmbench.seeding import generator

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Loader", "LoaderSettings", "Observation", "PairedRows", "observe", "paired_rows"]


@dataclass(frozen=True)
class LoaderSettings:
    """Settings of the loader (section `loader`)."""

    schedule: str = setting(
        "mixed",
        choices=("mixed", "alternate"),
        help="mixed: steps cut from one shuffle of all rows; alternate: one pattern a step, evenly interleaved.",
    )
    coin: bool = setting(
        False,
        help="Under scheme split with schedule alternate: a fair coin picks for each incomplete batch what it keeps.",
    )


class Loader:
    """Training steps from arrays of originals and the observed patterns.

    Args:
        arrays: modality -> `[N_m, *shape]`; uint8 (images, divided by 255), floats (cast) or integers (kept).
        patterns: disjoint rows by observation pattern.
        batch_size: rows of a step; the last step of an epoch (under `alternate`: of a pattern) may be shorter.
        device, dtype: where the arrays live, and the floating type of the batches.
        seed: the run's seed.

    Raises:
        InvalidSetting: a batch size below 1, or a coin without alternatives.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        patterns: Sequence[Pattern],
        *,
        batch_size: int,
        device: "torch.device | str" = "cpu",
        dtype: "torch.dtype | None" = None,
        seed: int,
        settings: LoaderSettings | None = None,
    ) -> None:
        import torch

        settings = LoaderSettings() if settings is None else settings
        _check(patterns, batch_size, settings)
        observed = {name for pattern in patterns for name in pattern.names}
        self._arrays = {name: _on_device(arrays[name], device) for name in arrays if name in observed}
        self._tables = [_on_device(as_indices(pattern.table), device) for pattern in patterns]
        self._names = [pattern.names for pattern in patterns]
        self._sizes = [len(pattern.table) for pattern in patterns]
        self._coin = [pattern.coin for pattern in patterns]
        self._batch_size, self._seed, self._schedule = batch_size, seed, settings.schedule
        self._device, self._dtype = device, dtype or torch.get_default_dtype()

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch; the same for every epoch."""
        if self._schedule == "mixed":
            return -(-sum(self._sizes) // self._batch_size)
        return alternate_steps(self._sizes, self._coin, self._batch_size)

    @property
    def rows_per_epoch(self) -> int:
        """Number of rows that an epoch visits."""
        fixed = sum(size for size, tossed in zip(self._sizes, self._coin, strict=True) if not tossed)
        return fixed + max((size for size, tossed in zip(self._sizes, self._coin, strict=True) if tossed), default=0)

    def epoch(self, number: int, start: int = 0) -> Iterator[Step]:
        """The steps of epoch `number` from step `start` on; their order depends on (seed, number) alone."""
        plan = self._plan(number)
        rows = [_on_device(visited, self._device) for visited in plan.rows]
        for step in range(start, len(plan)):
            yield Step(tuple(self._batch(p, rows[p][first:last]) for p, first, last in plan.slices(step)))

    def first_rows(self, n: int) -> "dict[str, Tensor]":
        """Modality -> its first `n` observed training rows `[min(n, rows), *shape]`, complete rows first."""
        return {name: self._values(name, self._column(name, n)) for name in self._arrays}

    def _plan(self, number: int) -> Plan:
        rng = generator(self._seed, "order", number)
        if self._schedule == "mixed":
            return mixed(self._sizes, self._batch_size, rng)
        return alternate(self._sizes, self._coin, self._batch_size, rng)

    def _batch(self, p: int, rows: "Tensor") -> Batch:
        originals = self._tables[p].index_select(0, rows)
        return Batch({name: self._values(name, originals[:, m]) for m, name in enumerate(self._names[p])})

    def _column(self, name: str, n: int) -> "Tensor":
        """Which originals of a modality are in its first `n` observed rows."""
        import torch

        pairs = zip(self._names, self._tables, strict=True)
        return torch.cat([table[:n, names.index(name)] for names, table in pairs if name in names])[:n]

    def _values(self, name: str, originals: "Tensor") -> "Tensor":
        return as_values(self._arrays[name].index_select(0, originals), self._dtype)


@dataclass(frozen=True)
class PairedRows:
    """Complete rows for evaluation: modality -> `[B, *shape]`, class of each row `[B]`, its index in the pairing."""

    values: "Mapping[str, Tensor]"
    targets: np.ndarray | None
    rows: np.ndarray


def paired_rows(
    split: Split,
    pairing: Pairing,
    *,
    batch_size: int,
    device: "torch.device | str" = "cpu",
    dtype: "torch.dtype | None" = None,
) -> Iterator[PairedRows]:
    """The rows of a pairing in its own order, in batches of `batch_size`, the last one shorter."""
    import torch

    if batch_size < 1:
        raise InvalidSetting(f"batch_size must be at least 1, got {batch_size}.")
    classes = row_classes(split, pairing)
    for first in range(0, len(pairing.table), batch_size):
        rows = np.arange(first, min(first + batch_size, len(pairing.table)))
        columns = zip(pairing.names, pairing.table[rows].T, strict=True)
        values = {
            name: as_values(_on_device(split.arrays[name][column], device), dtype or torch.get_default_dtype())
            for name, column in columns
        }
        yield PairedRows(values, None if classes is None else classes[rows], rows)


def as_values(stored: "Tensor", dtype: "torch.dtype") -> "Tensor":
    """What a model sees of stored rows: uint8 becomes floats in [0, 1], floats are cast, other integers stay."""
    import torch

    if stored.dtype == torch.uint8:
        return stored.to(dtype).div_(255)
    return stored.to(dtype) if stored.is_floating_point() else stored


def _on_device(array: np.ndarray, device: "torch.device | str") -> "Tensor":
    """A tensor of the array on `device`, on the CPU in the array's own memory (if C-contiguous), never written to."""
    import torch

    with warnings.catch_warnings():  # torch warns that a tensor of a read-only array could be written to
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _check(patterns: Sequence[Pattern], batch_size: int, settings: LoaderSettings) -> None:
    if batch_size < 1:
        raise InvalidSetting(f"train.batch_size must be at least 1, got {batch_size}.")
    if not patterns:
        raise InvalidSetting("a loader needs at least one observation pattern, got none.")
    if settings.coin and settings.schedule != "alternate":
        raise InvalidSetting("loader.coin chooses for a whole batch and needs loader.schedule=alternate.")
    tossed = [len(pattern.table) for pattern in patterns if pattern.coin]
    if (len(patterns) > 1 and settings.coin != bool(tossed)) or len(set(tossed)) > 1:
        raise InvalidSetting("loader.coin needs the patterns that `observe(..., coin=True)` makes, and they need it.")
