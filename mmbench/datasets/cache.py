"""A cache of arrays that can be made again: a damaged file is made anew, an unwritable folder does no harm.

Files are `.npz` without pickles, written under a temporary name and renamed, and carry the SHA-256 of what they hold.
"""

import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

__all__ = ["CACHE_VARIABLE", "arrays_digest", "cache_folder", "cached"]

CACHE_VARIABLE = "MMBENCH_CACHE"
DIGEST = "sha256"

log = logging.getLogger(__name__)

Arrays = Mapping[str, np.ndarray]


def cache_folder() -> Path:
    """`MMBENCH_CACHE`, else the user's cache folder of this platform."""
    import platformdirs

    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_path("mmbench"))


def cached(name: str, make: Callable[[], Arrays], *, folder: Path | None = None) -> Arrays:
    """The arrays kept under `name`, or those that `make` returns, which are then kept.

    Args:
        name: the file's name without suffix; it must hold everything that the content depends on.
        folder: instead of `cache_folder()`.
    """
    path = (folder or cache_folder()) / f"{name}.npz"
    arrays = _load(path)
    if arrays is None:
        arrays = make()
        _keep(path, arrays)
    return arrays


def arrays_digest(arrays: Arrays) -> str:
    """SHA-256 over names, types, shapes and contents."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _load(path: Path) -> Arrays | None:
    """The arrays in the file, or None where there is no whole file."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged (%s) and is made again", path, error)
        return None
    if str(arrays.pop(DIGEST, "")) != arrays_digest(arrays):
        log.warning("%s does not match its checksum and is made again", path)
        return None
    return arrays


def _keep(path: Path, arrays: Arrays) -> None:
    """Write the file whole or not at all; where it cannot be written, say so in the log and go on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            try:
                np.savez_compressed(file, allow_pickle=False, **{DIGEST: np.array(arrays_digest(arrays)), **arrays})
            except BaseException:
                temporary.unlink()
                raise
        temporary.replace(path)
    except OSError as error:
        log.warning("%s cannot be written (%s); the arrays are made again next time", path, error)
