"""Where data files are, their digests, and how to tell a missing file from a broken one."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mmbench.errors import DataError, DataMissing, InvalidSetting

__all__ = [
    "DATA_VARIABLE",
    "combined_digest",
    "data_root",
    "file_md5",
    "first_existing",
    "folder_to_fill",
    "how_to_get",
    "read_exactly",
    "require_root",
]

DATA_VARIABLE = "MMBENCH_DATA"


def data_root(option: str | Path | None = None) -> Path | None:
    """The folder of data files: the option `--data-root`, else `MMBENCH_DATA`, else None."""
    chosen = option or os.environ.get(DATA_VARIABLE) or None
    return None if chosen is None else Path(chosen).expanduser()


def first_existing(candidates: Iterable[Path], *, dataset: str) -> Path:
    """The first of these files that exists. Raises `DataMissing`, which says how to get it."""
    paths = list(candidates)
    for path in paths:
        if path.is_file():
            return path
    raise DataMissing(f"{dataset} needs {paths[0]}, which is not there; {how_to_get(dataset)}")


def require_root(root: Path | None, *, dataset: str) -> Path:
    """The folder itself. Raises `DataMissing` where none was named."""
    if root is None:
        raise DataMissing(f"{dataset} needs files, and no folder was named; {how_to_get(dataset)}")
    return root


def folder_to_fill(root: Path | None) -> Path:
    """Where files are to be downloaded to. Raises `InvalidSetting` where no folder was named."""
    if root is None:
        raise InvalidSetting(f"where to put the files is not said: give --data-root FOLDER or set {DATA_VARIABLE}.")
    return root


def how_to_get(dataset: str) -> str:
    """The remedy for missing files, the end of a sentence."""
    return (
        f"run `mmbench data fetch {dataset} --data-root DIR` on a machine with internet, "
        f"then name DIR by --data-root or {DATA_VARIABLE}."
    )


def read_exactly(path: Path, *, header: int, total: Callable[[bytes], int]) -> bytes:
    """Read a file, gzipped or not, whose header says how long it is; never more than that is held in memory.

    Args:
        header: number of bytes of the header.
        total: from the header's bytes to the length of the whole content in bytes; raises `DataError` itself.

    Raises:
        DataError: the content is shorter or longer than its header says, or the compression is broken.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            head = file.read(header)
            if len(head) < header:
                raise DataError(f"{path} is truncated: it ends within its header; fetch it again.")
            expected = total(head)
            content = head + file.read(expected - header)
            surplus = file.read(1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is not a whole gzip file ({error}); fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(content) < expected:
        raise DataError(f"{path} is truncated: {len(content)} of {expected} bytes; fetch it again.")
    if surplus:
        raise DataError(f"{path} contradicts its header: it goes on after the {expected} bytes it announces.")
    return content


def combined_digest(digests: Mapping[str, str]) -> str:
    """One digest of a set of files: 16 hexadecimal digits of the SHA-256 over their names and digests."""
    lines = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def file_md5(path: Path) -> str:
    """MD5 of a file's bytes. Raises `DataError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
