"""The loader: every row once, one pattern a batch, values as stored, and nothing that is hidden is ever read."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.datasets import Dataset, Pairing, Pattern, Split
from mmbench.datasets.loader import Loader, LoaderSettings, observe, paired_rows
from mmbench.errors import InvalidSetting
from mmbench.modality import Step

Toy = Callable[..., Dataset]
ALTERNATE = LoaderSettings(schedule="alternate")
COIN = LoaderSettings(schedule="alternate", coin=True)
Content = list[list[dict[str, list[float]]]]


def content(steps: list[Step]) -> Content:
    return [[{name: value[:, 0].tolist() for name, value in part.values.items()} for part in s.parts] for s in steps]


def make(dataset: Dataset, *, f: float = 0.5, batch_size: int = 8, settings: LoaderSettings | None = None) -> Loader:
    patterns = observe(dataset, "split", f, seed=0, coin=settings is COIN).patterns
    return Loader(dataset.split("train").arrays, patterns, batch_size=batch_size, seed=0, settings=settings)


@pytest.mark.parametrize("settings", [None, ALTERNATE])
def test_an_epoch_sees_each_observed_row_once(numbers: Toy, settings: LoaderSettings | None) -> None:
    dataset = numbers(rows=50)
    patterns = observe(dataset, "split", 0.5, seed=0).patterns
    steps = list(make(dataset, settings=settings).epoch(0))
    for pattern in patterns:
        parts = [part for step in content(steps) for part in step if tuple(part) == pattern.names]
        rows = [row for part in parts for row in zip(*part.values(), strict=True)]
        assert sorted(rows) == sorted(map(tuple, pattern.table.tolist()))


@pytest.mark.parametrize("settings", [None, ALTERNATE, COIN])
def test_steps_and_rows_are_counted_as_they_come(numbers: Toy, settings: LoaderSettings | None) -> None:
    loader = make(numbers(rows=53), settings=settings)
    for number in range(3):
        steps = list(loader.epoch(number))
        assert len(steps) == loader.steps_per_epoch
        assert sum(step.rows for step in steps) == loader.rows_per_epoch == 53
        assert max(step.rows for step in steps) == 8


@pytest.mark.parametrize("settings", [None, ALTERNATE, COIN])
def test_order_depends_on_seed_and_number_alone_and_start_skips(numbers: Toy, settings: LoaderSettings | None) -> None:
    dataset = numbers(rows=50)
    loader, again = make(dataset, settings=settings), make(dataset, settings=settings)
    whole = content(list(loader.epoch(3)))
    assert content(list(again.epoch(3))) == whole
    assert content(list(loader.epoch(4))) != whole
    for start in (0, 1, 5, loader.steps_per_epoch, loader.steps_per_epoch + 2):
        assert content(list(again.epoch(3, start=start))) == whole[start:]


def test_another_seed_gives_another_order(numbers: Toy) -> None:
    dataset = numbers(rows=50)
    patterns, arrays = observe(dataset, "split", 0.5, seed=0).patterns, dataset.split("train").arrays
    orders = [content(list(Loader(arrays, patterns, batch_size=8, seed=s).epoch(0))) for s in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_mixed_steps_hold_patterns_in_the_proportion_of_their_rows(numbers: Toy) -> None:
    steps = list(make(numbers(rows=2000), f=0.25, batch_size=200).epoch(0))
    shares = [sum(p.rows for p in step.parts if len(p.names) == 2) / step.rows for step in steps]
    assert len(steps) == 10
    # 25 % of 200 rows are 50, with a hypergeometric standard deviation of 5.8
    assert max(abs(200 * share - 50) for share in shares) < 4 * 5.8
    assert np.mean(shares) == pytest.approx(0.25, abs=1e-12)


def test_the_coin_never_shows_an_incomplete_row_twice_in_an_epoch(numbers: Toy) -> None:
    dataset = numbers(rows=50)
    paired = {name: set(value.tolist()) for name, value in _complete(dataset).items()}
    for number in range(5):
        for name in ("m0", "m1"):
            parts = [part for step in content(list(make(dataset, settings=COIN).epoch(number))) for part in step]
            alone = [value for part in parts if tuple(part) == (name,) for value in part[name]]
            assert len(set(alone)) == len(alone)
            assert not set(alone) & paired[name]


def _complete(dataset: Dataset) -> dict[str, np.ndarray]:
    table = observe(dataset, "split", 0.5, seed=0).patterns[0].table
    return {"m0": table[:, 0], "m1": table[:, 1]}


@pytest.mark.parametrize("settings", [None, ALTERNATE])
def test_poisoned_hidden_entries_change_nothing(numbers: Toy, settings: LoaderSettings | None) -> None:
    dataset = numbers(rows=40)
    patterns = observe(dataset, "split", 0.5, seed=0).patterns
    clean = dataset.split("train").arrays
    poisoned = {name: np.full_like(array, np.nan) for name, array in clean.items()}
    for pattern in patterns:
        for name, column in zip(pattern.names, pattern.table.T, strict=True):
            poisoned[name][column] = clean[name][column]
    assert all(np.isnan(array).sum() == 10 for array in poisoned.values())
    loaders = [Loader(a, patterns, batch_size=8, seed=0, settings=settings) for a in (clean, poisoned)]
    assert content(list(loaders[0].epoch(0))) == content(list(loaders[1].epoch(0)))
    first = [loader.first_rows(30) for loader in loaders]
    assert all(torch.equal(first[0][name], first[1][name]) for name in ("m0", "m1"))


def test_first_rows_are_observed_rows_complete_ones_first(numbers: Toy) -> None:
    dataset = numbers(rows=40)
    patterns = observe(dataset, "split", 0.5, seed=0).patterns
    first = make(dataset).first_rows(25)
    for m, name in enumerate(("m0", "m1")):
        expected = [*patterns[0].table[:, m].tolist(), *patterns[1 + m].table[:, 0].tolist()]
        assert first[name][:, 0].tolist() == expected[:25]
    assert make(dataset).first_rows(1000)["m0"].shape == (30, 1)


def test_images_become_floats_in_zero_to_one_vectors_are_cast_and_integers_stay() -> None:
    image = np.array([[0], [51], [255]], np.uint8)
    arrays = {"image": image, "vector": np.array([[0.1], [-2.0], [1e30]]), "tokens": np.array([[1], [2], [3]])}
    pattern = Pattern(("image", "vector", "tokens"), np.stack([np.arange(3)] * 3, axis=1))
    values = Loader(arrays, [pattern], batch_size=3, seed=0, dtype=torch.float64).first_rows(3)
    assert values["image"].dtype == torch.float64
    assert values["image"][:, 0].tolist() == [0.0, 0.2, 1.0]
    assert values["vector"].dtype == torch.float64
    assert values["vector"][:, 0].tolist() == [0.1, -2.0, 1e30]
    assert values["tokens"].dtype == torch.int64
    assert Loader(arrays, [pattern], batch_size=3, seed=0).first_rows(1)["image"].dtype == torch.float32


def test_read_only_and_transposed_arrays_are_loaded_and_left_alone() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    array.flags.writeable = False
    loader = Loader({"a": array}, [Pattern(("a",), np.array([[2], [0]]))], batch_size=2, seed=0)
    values = loader.first_rows(2)["a"]
    values += 1
    assert values.tolist() == [[3.0, 6.0], [1.0, 4.0]]
    assert array.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


def test_paired_rows_come_in_the_order_of_the_pairing_with_their_classes(numbers: Toy) -> None:
    dataset = numbers(rows=20)
    pairing = dataset.pairing("test", 0)
    batches = list(paired_rows(dataset.split("test"), pairing, batch_size=8))
    assert [len(b.rows) for b in batches] == [8, 8, 4]
    assert np.concatenate([b.rows for b in batches]).tolist() == list(range(20))
    values = {name: torch.cat([b.values[name] for b in batches])[:, 0].tolist() for name in pairing.names}
    assert list(zip(values["m0"], values["m1"], strict=True)) == list(map(tuple, pairing.table.tolist()))
    assert np.array_equal(np.concatenate([b.targets for b in batches]), pairing.table[:, 0] % 3)


def test_paired_rows_without_classes_have_no_targets(numbers: Toy) -> None:
    dataset = numbers(rows=5, with_classes=False)
    (batch,) = paired_rows(dataset.split("test"), dataset.pairing("test", 0), batch_size=9)
    assert batch.targets is None


def test_paired_rows_scale_images() -> None:
    split = Split({"a": np.full((2, 1, 2, 2), 255, np.uint8)}, {})
    (batch,) = paired_rows(split, Pairing(("a",), np.array([[0], [1]])), batch_size=2)
    assert torch.equal(batch.values["a"], torch.ones(2, 1, 2, 2))


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_without_rows_are_refused(numbers: Toy, batch_size: int) -> None:
    dataset = numbers(rows=9)
    with pytest.raises(InvalidSetting, match="batch_size must be at least 1"):
        make(dataset, batch_size=batch_size)
    with pytest.raises(InvalidSetting, match="batch_size must be at least 1"):
        next(paired_rows(dataset.split("test"), dataset.pairing("test", 0), batch_size=batch_size))


def test_a_coin_without_alternatives_or_with_mixed_steps_is_refused(numbers: Toy) -> None:
    dataset = numbers(rows=40)
    arrays = dataset.split("train").arrays
    fixed, tossed = (observe(dataset, "split", 0.5, seed=0, coin=c).patterns for c in (False, True))
    for patterns, settings, sentence in [
        (fixed, LoaderSettings(coin=True), "needs loader.schedule=alternate"),
        (fixed, COIN, "needs the patterns"),
        (tossed, ALTERNATE, "needs the patterns"),
        ((), None, "at least one observation pattern"),
    ]:
        with pytest.raises(InvalidSetting, match=sentence):
            Loader(arrays, patterns, batch_size=8, seed=0, settings=settings)


def test_patterns_of_absent_modalities_are_absent_from_batches(numbers: Toy) -> None:
    for step in make(numbers(rows=40)).epoch(0):
        for part in step.parts:
            values: dict[str, Tensor] = dict(part.values)
            assert tuple(values) in {("m0", "m1"), ("m0",), ("m1",)}
