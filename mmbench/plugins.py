"""Plug-in files: single Python files whose components are registered as if they stood in mmbench.

A file is read once, and what was read is what is executed, what its digest says, and what processes get that carry out
runs for this one: editing it during a sweep changes nothing of the sweep. A file that fails leaves nothing registered.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from mmbench import origins
from mmbench.errors import MMBenchError
from mmbench.registry import Registry, entered_from_outside, failure, forget

__all__ = ["VARIABLE", "PluginFile", "failed", "load", "loaded", "unload"]

VARIABLE = "MMBENCH_PLUGINS"

_loaded: dict[str, "PluginFile"] = {}
_failed: dict[str, str] = {}


@dataclass(frozen=True)
class PluginFile:
    """A file that was loaded.

    Attributes:
        path: absolute.
        content: as it was executed.
        entries: what it registered, by registry and name.
    """

    path: str
    content: bytes
    entries: tuple[tuple[Registry[Any], str], ...] = ()

    @property
    def module(self) -> str:
        """The name that the file has as a module: that of no other module, and the same in every process."""
        return f"mmbench_plugin_{Path(self.path).stem}_{origins.digest(self.path.encode())[:8]}"


def load(path: str | Path, *, content: bytes | None = None) -> PluginFile:
    """Execute a plug-in file and keep what it registers; a file that is loaded already is loaded anew if it changed.

    Args:
        content: what the file held when another process read it; None reads it.

    Raises:
        MMBenchError: there is no such file, it fails, it registers nothing, or it registers a name that is taken.
    """
    where = str(Path(path).absolute())
    try:
        file = PluginFile(where, _read(Path(path)) if content is None else content)
        if (held := _loaded.get(where)) is not None and held.content == file.content:
            return held
        unload(where)
        found = _executed(file)
    except MMBenchError as error:
        _failed[where] = str(error)
        raise
    _loaded[where] = found
    return found


def loaded() -> Sequence[PluginFile]:
    """The files that are loaded, in order."""
    return tuple(_loaded.values())


def failed() -> Mapping[str, str]:
    """The files that could not be loaded, with what was wrong."""
    return MappingProxyType(_failed)


def unload(path: str | Path) -> None:
    """Take out what a file has registered, if it is loaded, and forget how it failed, if it did."""
    where = str(Path(path).absolute())
    _failed.pop(where, None)
    if (file := _loaded.pop(where, None)) is not None:
        forget(file.entries)
        sys.modules.pop(file.module, None)
        origins.executed(file.module, None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MMBenchError(
            f"plug-in {path} cannot be read ({error.strerror}); name a Python file with --plugin, or by {VARIABLE}."
        ) from error


def _executed(file: PluginFile) -> PluginFile:
    module = ModuleType(file.module)
    module.__file__ = file.path
    begun = len(entered_from_outside())
    sys.modules[file.module] = module  # where dataclasses look for the types of their fields
    origins.executed(file.module, file.content)
    try:
        exec(compile(file.content, file.path, "exec"), module.__dict__)
        entries = tuple(entered_from_outside()[begun:])
        if not entries:
            raise MMBenchError("it registers nothing; a component needs its decorator, e.g. @MODELS.register(NAME).")
    except (Exception, SystemExit) as error:
        forget(entered_from_outside()[begun:])
        del sys.modules[file.module]
        origins.executed(file.module, None)
        raise MMBenchError(f"plug-in {file.path} fails to import{_line(error, file.path)}: {failure(error)}") from error
    return replace(file, entries=entries)


def _line(error: BaseException, path: str) -> str:
    """The last line of the file itself that was being executed."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f" at line {error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" at line {lines[-1]}" if lines else ""
