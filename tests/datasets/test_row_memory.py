"""What a training row costs: its indices and nothing else. Counted in bytes of numpy arrays, not in time."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from mmbench.datasets import Dataset, Pattern
from mmbench.datasets.loader import Loader, LoaderSettings
from mmbench.datasets.observation import observe
from mmbench.datasets.pairing import as_indices
from mmbench.datasets.schedules import alternate, mixed

Toy = Callable[..., Dataset]

ORIGINALS, TIMES = 2_000, 100
ROWS = ORIGINALS * TIMES
INDEX = 4  # bytes
ALTERNATE = LoaderSettings(schedule="alternate")


class Counted:
    """Bytes that were allocated while the block ran: the most at a time, and what is still held at its end."""

    def __enter__(self) -> "Counted":
        tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.held, self.peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()


def made(dataset: Dataset, scheme: str, settings: LoaderSettings | None = None) -> Loader:
    patterns = observe(dataset, scheme, 0.5 if scheme == "split" else 1.0, seed=0).patterns
    return Loader(dataset.split("train").arrays, patterns, batch_size=128, seed=0, settings=settings)


@pytest.mark.parametrize("settings", [None, ALTERNATE])
@pytest.mark.parametrize("scheme, columns", [("complete", 2), ("split", 1.5)])
def test_a_row_costs_four_bytes_a_modality_and_four_for_its_place(
    numbers: Toy, scheme: str, columns: float, settings: LoaderSettings | None
) -> None:
    dataset = numbers(rows=ORIGINALS, pairs=TIMES)
    next(made(numbers(rows=50), scheme, settings).epoch(0))  # what is imported on first use is no row's
    with Counted() as tables:
        loader = made(dataset, scheme, settings)
    assert loader.rows_per_epoch == ROWS
    assert columns * INDEX <= tables.held / ROWS < columns * INDEX + 1
    assert tables.peak / ROWS < columns * INDEX + 3  # what is made on the way grows with the originals, not the rows
    with Counted() as planned:
        steps = loader.epoch(0)
        next(steps)
    assert INDEX <= planned.held / ROWS < INDEX + 1
    assert planned.peak / ROWS < 20  # a shuffle in int64, the order in int32, and what sorts it by pattern
    with Counted() as taken:
        next(steps)
    assert taken.peak < 10_000


def test_originals_and_tables_are_shared_not_copied() -> None:
    shared, table = np.zeros((3, 2), np.uint8), np.array([[0], [2]], np.int32)
    locked = shared.view()
    locked.flags.writeable = False  # as images read from a file's bytes are
    for array in (shared, locked):
        loader = Loader({"a": array}, [Pattern(("a",), table)], batch_size=2, seed=0)
        shared[2] = 255
        assert loader.first_rows(2)["a"].tolist() == [[0.0, 0.0], [1.0, 1.0]]
        table[1] = 1
        assert loader.first_rows(2)["a"].tolist() == [[0.0, 0.0], [0.0, 0.0]]
        shared[2], table[1] = 0, 2


@pytest.mark.parametrize("schedule", ["mixed", "alternate"])
def test_plans_are_kept_in_four_byte_numbers(schedule: str) -> None:
    rng = np.random.default_rng(0)
    plan = mixed([70, 30], 8, rng) if schedule == "mixed" else alternate([70, 30], [False, False], 8, rng)
    assert {rows.dtype for rows in plan.rows} == {np.dtype(np.int32)}
    assert sum(rows.nbytes for rows in plan.rows) == 100 * INDEX


def test_numbers_that_do_not_fit_into_four_bytes_stay_as_they_are() -> None:
    largest = 2**31 - 1
    assert as_indices(np.array([0, largest])).tolist() == [0, largest]
    assert as_indices(np.array([0, largest])).dtype == np.int32
    assert as_indices(np.array([0, largest + 1])).tolist() == [0, largest + 1]
    small = np.arange(3, dtype=np.int32)
    assert as_indices(small) is small
    assert as_indices(np.empty((0, 2), np.int64)).shape == (0, 2)
