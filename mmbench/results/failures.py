"""Database failures as one sentence: what happened to which store, and what to do instead.

SQLite is read by its error code and PostgreSQL by its SQLSTATE, never by the wording of a message. A message never
carries the password of a store's URL.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from mmbench.errors import StorageFull, StoreError

__all__ = ["failure", "store_failures"]

FULL = "there is no room for more: the disk or its quota is full; what was stored before is intact."
LOCKED = "is locked by another process for too long; try again when that process has finished."
READ_ONLY = "cannot be written: the file or its folder is read-only; choose another with --store or MMBENCH_STORE."

_GROWING = {
    sqlite3.SQLITE_IOERR_WRITE,  # a quota (EDQUOT, EFBIG) comes as this one, a full disk as SQLITE_FULL
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_TRUNCATE,
}
_SQLITE = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_PERM: READ_ONLY,
    sqlite3.SQLITE_NOTADB: "is not a database; name the file of a store, or a new file, with --store or MMBENCH_STORE.",
    sqlite3.SQLITE_CORRUPT: "is damaged: SQLite cannot make sense of it; go back to a copy of the file.",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that the file and its folder may be read and written.",
    sqlite3.SQLITE_TOOBIG: "cannot hold a value of more than 1 GB; store a smaller array.",
}
_POSTGRES = {
    "25006": "is read-only for this connection; use another database or role.",
    "42501": "does not let this role do that; ask for the right to create and write tables.",
    "55P03": LOCKED,
}


@contextmanager
def store_failures(name: str, password: str = "") -> Iterator[None]:
    """Turn what the database driver raises inside into `StoreError` or `StorageFull`.

    Args:
        name: what the store is called in messages, without its password.
        password: text that messages of the driver must not repeat.
    """
    try:
        yield
    except StoreError:
        raise
    except DBAPIError as error:
        raise failure(error.orig or error, name, password) from error
    except (sqlite3.Error, SQLAlchemyError, OSError) as error:
        raise failure(error, name, password) from error


def failure(error: BaseException, name: str, password: str = "") -> StoreError:
    """The sentence for one error of `sqlite3`, of another driver, or of the file system."""
    code = getattr(error, "sqlite_errorcode", 0) or 0  # absent on the errors of other drivers
    state = getattr(error, "sqlstate", None)
    if code & 0xFF == sqlite3.SQLITE_FULL or code in _GROWING or state == "53100" or _no_room(error):
        return StorageFull(f"store {name}: {FULL}")
    known = _SQLITE.get(code & 0xFF) or _POSTGRES.get(state or "")
    if known:
        return StoreError(f"store {name} {known}")
    return StoreError(f"store {name} failed: {_first_line(error, password)}.")


def _no_room(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _first_line(error: BaseException, password: str) -> str:
    line = (str(error).splitlines() or [""])[0].strip().rstrip(".") or type(error).__name__
    return line.replace(password, "***") if password else line
