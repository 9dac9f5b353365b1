"""torchvision, also where its wheel does not match torch.

A torchvision wheel built against another torch (typically the CUDA wheel beside a CPU torch) cannot load its compiled
operators, and its import then fails on `torchvision::nms`, which it describes without having it. mmbench needs none of
the operators, only the downloads and what the package multivae imports; so the two names are declared, without a
kernel, where and only where torchvision's own library does not load.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
from functools import cache
from types import ModuleType
from typing import Any

from mmbench.errors import MMBenchError

__all__ = ["load"]

MISSING = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def load() -> ModuleType:
    """Import torchvision. Raises `MMBenchError` where it is not installed."""
    if "torchvision" in sys.modules:
        return sys.modules["torchvision"]
    spec = importlib.util.find_spec("torchvision")
    if spec is None:
        raise MMBenchError("torchvision is not installed, and downloads need it: `pip install torchvision`.")
    if not _own_operators_load(tuple(spec.submodule_search_locations or ())):
        _declare()
    return importlib.import_module("torchvision")


def _own_operators_load(folders: tuple[str, ...]) -> bool:
    """Whether the compiled library in torchvision's folder loads into this torch (this loads it)."""
    import torch

    suffixes = (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES)
    for folder in folders:
        found = importlib.machinery.FileFinder(folder, suffixes).find_spec("_C")
        if found is not None and found.origin is not None:
            try:
                torch.ops.load_library(found.origin)  # type: ignore[no-untyped-call]  # torch: no types
            except (ImportError, OSError):
                return False
            return True
    return False


@cache
def _declare() -> Any:
    """Declare the operators that torchvision describes at import; the library lives as long as the cache holds it."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch: no types
    for name, schema in MISSING.items():
        if not _declared(name):
            library.define(name + schema)  # type: ignore[no-untyped-call]  # torch: no types
    return library


def _declared(name: str) -> bool:
    import torch

    try:
        getattr(torch.ops.torchvision, name)
    except AttributeError:
        return False
    return True
