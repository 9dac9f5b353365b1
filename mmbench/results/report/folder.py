"""Where a report goes: written beside its place and moved into it whole, so that an interrupted report leaves the old.

A report lists its files in `report-files.txt`. A folder that holds anything else is never replaced: what is not a
report's own cannot be lost.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmbench.errors import InvalidSetting, MMBenchError, StorageFull

__all__ = ["MANIFEST", "replaced"]

MANIFEST = "report-files.txt"


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """A fresh folder to write a report into; on leaving without an error it takes the place of `out`.

    Raises:
        InvalidSetting: `out` is a file, holds files that no report wrote, or cannot be written.
        StorageFull: the disk is full; what stood at `out` is intact.
    """
    out = out.resolve()
    _refuse_foreign(out)
    staging = out.with_name(f".{out.name}.writing-{os.getpid()}")
    try:
        staging.mkdir(parents=True)
        yield staging
        (staging / MANIFEST).write_text("\n".join([*_files(staging), MANIFEST]) + "\n", encoding="utf-8")
        _swap(staging, out)
    except MMBenchError:  # some of them are OSErrors too, and already say what happened
        raise
    except OSError as error:
        raise _explained(error, out) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _refuse_foreign(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InvalidSetting(f"the report needs a folder, {out} is a file; name another with --out.")
    manifest = out / MANIFEST
    known = manifest.read_text(encoding="utf-8").splitlines() if manifest.is_file() else []
    foreign = [name for name in _files(out) if name not in known]
    if foreign:
        raise InvalidSetting(
            f"{out} holds files that no report wrote (such as {foreign[0]}); name an empty or new folder with --out."
        )


def _swap(staging: Path, out: Path) -> None:
    """Two renames; where the second fails, the old report is put back."""
    old = out.with_name(f".{out.name}.old-{os.getpid()}")
    if out.exists():
        out.rename(old)
    try:
        staging.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _explained(error: OSError, out: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"the disk is full, no report was written to {out}; free some space and run it again.")
    return InvalidSetting(f"cannot write the report to {out}: {error.strerror or error}; name another folder.")
