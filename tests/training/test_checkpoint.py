"""Checkpoints: whole or not at all, two kept, the older where the newer is torn, never another run's."""

import errno
import hashlib
import io
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mmbench.errors import CheckpointError, StorageFull, StoreError
from mmbench.training import checkpoint
from mmbench.training.checkpoint import MAGIC, Checkpoints, read_state, write_state

OWNER = {"fit key": "one", "spec": "two"}


def state(step: int) -> dict[str, object]:
    return {"step": step, "weights": torch.full((3,), float(step)), "curves": {"loss": [[1, 2], [0.5, 0.25]]}}


@pytest.fixture
def three_saved(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "run", OWNER)
    for step in (10, 20, 30):
        checkpoints.save(step, state(step))
    return checkpoints


def test_the_newest_comes_back_as_it_was_and_two_are_kept(three_saved: Checkpoints) -> None:
    held = three_saved.latest()
    assert held is not None
    step, found = held
    assert step == 30
    assert torch.equal(found.pop("weights"), torch.full((3,), 30.0))
    assert found == {"step": 30, "curves": {"loss": [[1, 2], [0.5, 0.25]]}}
    assert [path.name for path in three_saved.paths()] == ["step-000000030.ckpt", "step-000000020.ckpt"]
    assert not list(three_saved.folder.glob("*.part"))


def test_no_checkpoint_at_all_is_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "absent", OWNER).latest() is None


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("tear", [truncate, flip_a_bit, empty])
def test_the_older_serves_where_the_newer_is_torn(three_saved: Checkpoints, tear) -> None:
    tear(three_saved.paths()[0])
    held = three_saved.latest()
    assert held is not None
    assert held[0] == 20


def test_two_torn_ones_are_an_error_with_a_remedy(three_saved: Checkpoints) -> None:
    for path in three_saved.paths():
        truncate(path)
    with pytest.raises(CheckpointError, match=r"step-000000030\.ckpt is torn .* train anew with --force"):
        three_saved.latest()


def test_another_runs_checkpoint_is_refused(three_saved: Checkpoints) -> None:
    other = Checkpoints(three_saved.folder, {**OWNER, "spec": "three"})
    with pytest.raises(CheckpointError, match=r"belongs to another run \(fit key one, spec two, expected fit key one"):
        other.latest()


def test_clear_removes_whole_and_half_written_files_alone(three_saved: Checkpoints) -> None:
    (three_saved.folder / "step-000000040.ckpt.part").write_bytes(b"half")
    kept = three_saved.folder / "model.pt"
    kept.write_bytes(b"weights")
    three_saved.clear()
    assert list(three_saved.folder.iterdir()) == [kept]


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("/tmp/mmbench-a-checkpoint-ran-code",)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"owner": OWNER, "step": 1, "state": Malicious()}, buffer)
    path = tmp_path / "step-000000001.ckpt"
    path.write_bytes(MAGIC + hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    with pytest.raises(CheckpointError, match="no checkpoint of mmbench"):
        read_state(path)
    assert not Path("/tmp/mmbench-a-checkpoint-ran-code").exists()


@contextmanager
def file_size_limit(count: int) -> Iterator[None]:
    """A quota: no file may grow beyond `count` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_quota_that_is_reached_leaves_what_was_saved(three_saved: Checkpoints) -> None:
    with file_size_limit(10_000), pytest.raises(StorageFull, match=r"disk is full while writing .*step-000000040"):
        three_saved.save(40, {"weights": torch.zeros(10_000)})
    assert not list(three_saved.folder.glob("*.part"))
    held = three_saved.latest()
    assert held is not None
    assert held[0] == 30


def test_a_disk_that_is_full_at_the_sync_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.ckpt"
    write_state(path, {"value": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(StorageFull, match="free some space and run the same command again"):
        write_state(path, {"value": 2})
    monkeypatch.undo()
    assert read_state(path) == {"value": 1}
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["state.ckpt"]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be written .*; choose another store with --store"):
        Checkpoints(tmp_path / "file", OWNER).save(1, {})
