"""Checkpoints that survive a kill at any moment, and that are never taken for another run's.

A checkpoint is written under a temporary name, synced, and renamed; the last two are kept, and the older serves where
the newer is torn. Its file is a magic word, the SHA-256 of the rest, and what `torch.save` wrote; it is read with
`weights_only=True`, so that no code in it runs.
"""

import contextlib
import errno
import hashlib
import io
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmbench.errors import CheckpointError, StorageFull, StoreError

__all__ = ["Checkpoints", "read_state", "unwritable", "write_state", "write_whole"]

MAGIC = b"mmbench checkpoint 1\n"
KEPT = 2
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run.

    Attributes:
        folder: where they lie; made on the first save.
        owner: what identifies the run (its fit key and the hash of its spec); a checkpoint of another owner is refused.
    """

    folder: Path
    owner: Mapping[str, str]

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write the state after `step` steps and drop all but the last two.

        Raises:
            StorageFull: the disk or a quota is full; earlier checkpoints are intact.
        """
        path = self.folder / f"step-{step:09d}.ckpt"
        write_state(path, {"owner": dict(self.owner), "step": step, "state": dict(state)})
        for old in self.paths()[KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def latest(self) -> tuple[int, dict[str, Any]] | None:
        """Step and state of the newest checkpoint that is whole; None where there is none at all.

        Raises:
            CheckpointError: every checkpoint is torn, or one belongs to another run.
        """
        torn: CheckpointError | None = None
        for path in self.paths():
            try:
                held = read_state(path)
            except CheckpointError as error:
                torn = torn or error
                continue
            self._require_own(path, held)
            return int(held["step"]), held["state"]
        if torn is not None:
            raise torn
        return None

    def paths(self) -> list[Path]:
        """The checkpoint files, newest first."""
        return sorted(self.folder.glob("step-*.ckpt"), reverse=True)

    def clear(self) -> None:
        """Remove all checkpoints of this run, and what a killed process left half written."""
        for path in [*self.paths(), *self.folder.glob("step-*.ckpt.part")]:
            path.unlink(missing_ok=True)

    def _require_own(self, path: Path, held: Mapping[str, Any]) -> None:
        if held["owner"] != dict(self.owner):
            raise CheckpointError(
                f"checkpoint {path} belongs to another run ({_listed(held['owner'])}, "
                f"expected {_listed(self.owner)}); move it away, or train anew with --force."
            )


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values to `path`, whole or not at all.

    Raises:
        StorageFull, StoreError: see `write_whole`.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    payload = buffer.getbuffer()
    write_whole(path, MAGIC, hashlib.sha256(payload).digest(), payload)


def write_whole(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file whole or not at all: temporary name, sync, rename.

    Raises:
        StorageFull: the disk or a quota is full; a file that stood at `path` is intact.
        StoreError: the folder cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StoreError:
    """The sentence for a file that could not be written."""
    if error.errno in FULL:
        return StorageFull(
            f"the disk is full while writing {path}; what was saved before is intact: "
            "free some space and run the same command again."
        )
    return StoreError(f"{path} cannot be written ({error.strerror or error}); choose another store with --store.")


def read_state(path: Path, *, device: str = "cpu") -> dict[str, Any]:
    """Read what `write_state` wrote.

    Raises:
        CheckpointError: the file is torn or is no checkpoint of mmbench.
    """
    content = path.read_bytes()
    head = len(MAGIC)
    payload = memoryview(content)[head + 32 :]
    refusal = f"{path} is torn or no checkpoint of mmbench; move it away, or train anew with --force."
    if content[:head] != MAGIC or hashlib.sha256(payload).digest() != content[head : head + 32]:
        raise CheckpointError(refusal)
    try:
        held: dict[str, Any] = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(refusal) from error
    return held


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _listed(owner: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in owner.items())
