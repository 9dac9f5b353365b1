"""Where the code of a component from outside mmbench comes from: an installed distribution, or a file of its own.

A distribution says by entry points what it holds; they are read without importing any of it. The code of a
distribution is known by the distribution's name and the component's own `version`, as mmbench's own components are. A
file has no release, so its content stands for it.
"""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

__all__ = ["GROUPS", "Origin", "digest", "distribution_name", "executed", "origin_of", "points"]

GROUPS = ("mmbench.models", "mmbench.datasets", "mmbench.schemes", "mmbench.metrics", "mmbench.networks")
OWN = "mmbench"

_executed: dict[str, str] = {}  # module -> digest of its file, as it was when the module was first asked about


@dataclass(frozen=True)
class Origin:
    """Where a component from outside comes from.

    Attributes:
        module: dotted name of the module that defines it.
        path: its source file; empty where it has none, as in a notebook.
        digest: of the file's content; empty where there is no file.
        distribution, version: the installed distribution; empty for a file of its own.
    """

    module: str
    path: str
    digest: str
    distribution: str = ""
    version: str = ""

    @property
    def code(self) -> str:
        """What stands for the code where results are told apart: the distribution's name, or the file's digest."""
        return self.distribution or self.digest

    def __str__(self) -> str:
        if self.distribution:
            return f"{self.distribution} {self.version} ({self.module})"
        return self.path or self.module

    @property
    def label(self) -> str:
        """A short form for beside a score: name and version, or name and digest."""
        return f"{self.distribution} {self.version}" if self.distribution else f"{Path(str(self)).name} {self.digest}"

    def to_dict(self) -> dict[str, str]:
        """Plain values for a record, without what is empty."""
        named = {
            "distribution": self.distribution,
            "version": self.version,
            "module": self.module if self.distribution or not self.path else "",
            "file": self.path,
            "digest": self.digest,
        }
        return {key: value for key, value in named.items() if value}


def origin_of(component: object) -> Origin | None:
    """Where a component comes from, by the module that defines it; None for mmbench's own."""
    while isinstance(component, partial):
        component = component.func
    module = str(getattr(component, "__module__", ""))
    return None if module.partition(".")[0] == OWN else _origin(module, tuple(sys.path))


def executed(module: str, content: bytes | None) -> None:
    """Remember what was executed as a module, whatever its file may hold later; None forgets it."""
    _executed.pop(module, None)
    if content is not None:
        _executed[module] = digest(content)
    _origin.cache_clear()


def digest(content: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def points(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group, in the order of their names; nothing is imported."""
    return _points(group, tuple(sys.path))


def distribution_name(point: EntryPoint) -> str:
    """Name and version of the distribution that an entry point comes from."""
    return "an unnamed distribution" if point.dist is None else f"{point.dist.name} {point.dist.version}"


@cache
def _points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The path is the key alone: reading the metadata of a hundred distributions takes its time."""
    return tuple(sorted(entry_points(group=group), key=lambda point: (point.name, point.value)))


@cache
def _origin(module: str, path: tuple[str, ...]) -> Origin:
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    where = file and str(Path(file).absolute())
    found = _executed.setdefault(module, _digest_of(file))
    nearest = max(_near(module), key=lambda near: near[0], default=None)
    if nearest is None or (dist := nearest[1].dist) is None:
        return Origin(module, where, found)
    return Origin(module, where, found, dist.name, dist.version)


def _near(module: str) -> Iterator[tuple[int, EntryPoint]]:
    """Entry points into the same top-level package, with how many parts of the dotted names agree."""
    parts = module.split(".")
    for point in (point for group in GROUPS for point in points(group)):
        theirs = point.module.split(".")
        agreeing = next((i for i, (a, b) in enumerate(zip(parts, theirs, strict=False)) if a != b), None)
        shared = min(len(parts), len(theirs)) if agreeing is None else agreeing
        if shared:
            yield shared, point


def _digest_of(file: str) -> str:
    try:
        return digest(Path(file).read_bytes()) if file else ""
    except OSError:
        return ""
