"""The package `multivae` itself: whether it is installed, and its modules, imported when they are asked for.

Its models import torchvision for data sets of its own (hence `_torchvision`), and every module of it that is imported
sets itself up to log to standard error; from here it only warns.
"""

import importlib
import logging
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from mmbench import _torchvision
from mmbench.errors import MMBenchError

__all__ = ["READ", "load", "modules", "state"]

READ = "1.0.3"
"""The version whose source the facts of `kinds` and the posteriors of `posteriors` were read in."""

HOW = f"pip install 'mmbench[multivae]', or without its pins: pip install --no-deps multivae=={READ} pythae"


def state() -> str:
    """Which version is installed, or how to install one; imports nothing."""
    found = installed()
    if found is None:
        return f"not installed ({HOW})"
    return f"{found} is installed" + ("" if found == READ else f"; what is said of its models was read in {READ}")


def installed() -> str | None:
    """The version that is installed."""
    try:
        return version("multivae")
    except PackageNotFoundError:
        return None


@cache
def load() -> ModuleType:
    """`multivae.models`.

    Raises:
        MMBenchError: it is not installed, or fails to import.
    """
    if installed() is None:
        raise MMBenchError(f"models 'multivae:...' are those of the package multivae, which is not installed: {HOW}.")
    try:
        _torchvision.load()
        models = importlib.import_module("multivae.models")
    except ImportError as error:
        raise MMBenchError(f"the package multivae is installed and fails to import: {error}; {HOW}.") from error
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("multivae", "pythae"):
            logging.getLogger(name).setLevel(logging.WARNING)
    return models


def modules(name: str) -> ModuleType:
    """A module of multivae or pythae by its dotted name."""
    load()
    return importlib.import_module(name)
