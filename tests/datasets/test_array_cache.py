"""The cache of arrays: kept whole, made anew when damaged, and never in the way of a run."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmbench.datasets.cache import Arrays, arrays_digest, cache_folder, cached

CONTENT = {"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "b": np.array([0.5, -1.0])}


class Maker:
    """Counts how often the content is made."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return CONTENT


def same(arrays: Arrays) -> bool:
    return arrays.keys() == CONTENT.keys() and all(np.array_equal(arrays[n], CONTENT[n]) for n in CONTENT)


def test_content_is_made_once_and_then_read(tmp_path: Path) -> None:
    make = Maker()
    assert same(cached("x", make, folder=tmp_path / "new"))
    assert same(cached("x", make, folder=tmp_path / "new"))
    assert make.calls == 1
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["x.npz"]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    path.write_bytes(b"not an archive")


def altered(path: Path) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    arrays["a"] = arrays["a"] + 1
    np.savez(path, **arrays)


def unsigned(path: Path) -> None:
    np.savez(path, a=CONTENT["a"], b=CONTENT["b"])


def pickled(path: Path) -> None:
    np.savez(path, a=np.array([{"code": 1}], dtype=object))


@pytest.mark.parametrize("damage", [truncated, emptied, overwritten, altered, unsigned, pickled])
def test_a_damaged_file_is_made_anew(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    make = Maker()
    cached("x", make, folder=tmp_path)
    damage(tmp_path / "x.npz")
    with caplog.at_level(logging.WARNING):
        assert same(cached("x", make, folder=tmp_path))
    assert make.calls == 2
    assert "is made again" in caplog.text
    assert same(cached("x", make, folder=tmp_path))
    assert make.calls == 2


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    make = Maker()
    for _ in range(2):
        assert same(cached("x", make, folder=tmp_path / "file" / "below"))
    assert make.calls == 2
    assert "cannot be written" in caplog.text


def test_a_full_disk_leaves_no_torn_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(file: object, **arrays: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fails)
    assert same(cached("x", Maker(), folder=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_variables_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMBENCH_CACHE", os.path.join("somewhere", "else"))  # noqa: PTH118 - as typed by a user
    assert cache_folder() == Path("somewhere/else")
    monkeypatch.delenv("MMBENCH_CACHE")
    assert cache_folder().name == "mmbench"


def test_the_digest_depends_on_name_type_shape_and_content() -> None:
    a = np.arange(4, dtype=np.int32)
    variants = [{"a": a}, {"b": a}, {"a": a.astype(np.int64)}, {"a": a.reshape(2, 2)}, {"a": a[::-1]}]
    assert len({arrays_digest(v) for v in variants}) == len(variants)
    assert arrays_digest({"a": a[::-1]}) == arrays_digest({"a": a[::-1].copy()})
