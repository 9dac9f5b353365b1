"""Where a store is: a path or a SQLAlchemy URL, with a name for messages that never shows a password."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from mmbench.errors import StoreError

__all__ = ["DEFAULT_STORE", "STORE_VARIABLE", "Location", "check_present", "check_writable", "default_store", "locate"]

DEFAULT_STORE = "mmbench-results/results.db"
STORE_VARIABLE = "MMBENCH_STORE"


@dataclass(frozen=True)
class Location:
    """A place of a store.

    Attributes:
        name: what messages call it: the path of a SQLite file, otherwise the URL without password and options.
        url: for SQLAlchemy; never printed.
        path: the SQLite file, or None for a database in memory or on a server.
    """

    name: str
    url: URL = field(repr=False)
    path: Path | None

    @property
    def is_sqlite(self) -> bool:
        """Whether SQLite keeps it, in a file or in memory."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def password(self) -> str:
        """The URL's password, for hiding it; empty where there is none."""
        return str(self.url.password or "")

    def file_url(self, **options: str) -> URL:
        """The URL of a SQLite file as a URI with `options`, e.g. `mode="ro"`, beside its own ones."""
        if self.path is None:
            raise ValueError(f"{self.name} is not a SQLite file")
        database = f"file:{quote(str(self.path.absolute()))}"
        return self.url.set(database=database, query={**_plain_query(self.url), **options, "uri": "true"})


def default_store() -> str:
    """The store that is used when none is named: `MMBENCH_STORE`, else `./mmbench-results/results.db`."""
    return os.environ.get(STORE_VARIABLE) or DEFAULT_STORE


def locate(where: str | Path) -> Location:
    """Read a path, `:memory:`, or a SQLAlchemy URL (text with `://`).

    Raises:
        StoreError: a URL that cannot be read; the sentence does not repeat it, it may hold a password.
    """
    text = str(where)
    if not text.strip():
        raise StoreError("the store needs a name, got an empty one; give a path or a database URL.")
    if isinstance(where, Path) or "://" not in text:
        return _in_memory(URL.create("sqlite")) if text == ":memory:" else _file(_from_home(Path(text)))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        scheme = text.split("://", 1)[0]
        raise StoreError(f"the store's URL {scheme}://... cannot be read; write it as SQLAlchemy does.") from error
    return _sqlite(url) if url.get_backend_name() == "sqlite" else _server(url)


def check_present(path: Path) -> None:
    """Raises `StoreError` unless `path` is a file that can be read."""
    _refuse_folder(path)
    if not path.exists():
        raise StoreError(f"store {path} does not exist; `mmbench run --store {path}` makes it, or name another.")
    if not os.access(path, os.R_OK):
        raise StoreError(f"store {path} may not be read by this user; ask for the right, or name another.")


def check_writable(path: Path, *, create: bool) -> None:
    """Raises `StoreError` unless `path` is, or with `create` can become, a file that can be written.

    With `create` its folder is made.
    """
    _refuse_folder(path)
    if not create:
        check_present(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder of store {path} cannot be made ({error.strerror}); name another.") from error
    for part in (path.parent, path):
        if part.exists() and not os.access(part, os.W_OK):
            raise StoreError(f"store {path} cannot be written: {part} is read-only; name another store.")


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise StoreError(f"store {path} is a folder; name the file in it, e.g. {path / 'results.db'}.")


def _file(path: Path) -> Location:
    return Location(str(path), URL.create("sqlite", database=str(path)), path)


def _from_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # a user who does not exist: the tilde is part of the name
        return path


def _in_memory(url: URL) -> Location:
    return Location(":memory:", url, None)


def _sqlite(url: URL) -> Location:
    database = url.database or ""
    if database in ("", ":memory:", "file::memory:") or url.query.get("mode") == "memory":
        return _in_memory(url)
    if database.startswith("file:"):
        path = Path(unquote(urlsplit(database).path))
        return Location(str(path), url, path)
    return Location(database, url, Path(database))


def _server(url: URL) -> Location:
    return Location(url.set(query={}).render_as_string(hide_password=True), url, None)


def _plain_query(url: URL) -> Mapping[str, str]:
    return {key: value if isinstance(value, str) else value[-1] for key, value in url.query.items()}
