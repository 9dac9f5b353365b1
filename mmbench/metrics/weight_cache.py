"""Weights that depend on data and a protocol alone: made once, kept in a file, and the same for every process.

Networks are kept as torch keeps them (`weights_only`), what other libraries fit as `.npz` without pickles.

A file holds the weights and their digest. One that cannot be read, or does not hold the weights its digest names, is
replaced; a folder that cannot be written costs time on the next run and nothing else.
"""

import hashlib
import io
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

__all__ = ["UNREADABLE", "alone_at", "digest_of", "kept", "kept_arrays", "write_entry"]

log = logging.getLogger(__name__)

UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, EOFError, UnpicklingError)
"""What reading a damaged file may raise."""

DIGEST = "digest"


def kept(
    path: Path | None, make: Callable[[], Mapping[str, Tensor]], *, device: torch.device | str
) -> Mapping[str, Tensor]:
    """The weights at `path`, or those that `make` makes, kept there from now on.

    Args:
        path: a name that holds all that the weights depend on; None keeps nothing.
        device: where the weights that are read shall lie.
    """
    if path is None:
        return make()
    with alone_at(path):  # of several processes one makes them, so that all have the same
        held = _read(path, device) if path.exists() else None
        if held is None:
            held = make()
            write_entry(path, {"weights": dict(held), "digest": digest_of(held)})
    return held


def kept_arrays(path: Path | None, make: Callable[[], Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """The arrays in the `.npz` file at `path`, or those that `make` makes, kept there from now on.

    Args:
        path: a name that holds all that the arrays depend on; None keeps nothing.
    """
    if path is None:
        return make()
    with alone_at(path):
        held = _read_arrays(path) if path.exists() else None
        if held is None:
            held = make()
            buffer = io.BytesIO()
            np.savez(buffer, allow_pickle=False, **{DIGEST: np.array(_array_digest(held)), **held})
            _write(path, buffer.getvalue())
    return held


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of names and values."""
    sha = hashlib.sha256()
    for key, value in sorted(weights.items()):
        sha.update(key.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()[:16]


@contextmanager
def alone_at(path: Path) -> Iterator[None]:
    """Wait for other processes at this file; where no lock can be made, nothing can be cached either."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        log.warning("%s cannot be locked (%s).", path, error)
    try:
        yield
    finally:
        lock.release()


def write_entry(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all; a cache that cannot be written costs time on the next run and nothing else."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    _write(path, buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        log.warning("%s cannot be cached (%s).", path, error)
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _read(path: Path, device: torch.device | str) -> Mapping[str, Tensor] | None:
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        held: dict[str, Tensor] = content["weights"]
        sound = content["digest"] == digest_of(held)
    except UNREADABLE as error:
        log.warning("%s cannot be read (%s): it is made again.", path, type(error).__name__)
        return None
    if not sound:
        log.warning("%s does not match its digest: it is made again.", path)
        return None
    return held


def _read_arrays(path: Path) -> Mapping[str, np.ndarray] | None:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        sound = str(held.pop(DIGEST)) == _array_digest(held)
    except (*UNREADABLE, BadZipFile) as error:
        log.warning("%s cannot be read (%s): it is made again.", path, type(error).__name__)
        return None
    if not sound:
        log.warning("%s does not match its digest: it is made again.", path)
        return None
    return held


def _array_digest(arrays: Mapping[str, np.ndarray]) -> str:
    return digest_of({name: torch.from_numpy(array) for name, array in arrays.items()})
