"""The machine a run computes on: its device, its threads, and the memory it took."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmbench.errors import InvalidSetting

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device", "peak_memory_mb", "threads_used"]

DEVICES = ("auto", "cpu", "cuda")
MEBIBYTE = 2**20


def choose_device(name: str) -> "torch.device":
    """The torch device that `auto`, `cpu` or `cuda` means here.

    Raises:
        InvalidSetting: another name, or CUDA where there is none.
    """
    import torch

    if name not in DEVICES:
        raise InvalidSetting(f"device must be one of {', '.join(DEVICES)}, got {name!r}.")
    if name == "cuda" and not torch.cuda.is_available():
        raise InvalidSetting("device cuda is not there: torch finds no CUDA device; use --device cpu or auto.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else torch.device("cpu")


@contextmanager
def threads_used(count: int | None) -> Iterator[None]:
    """Compute with `count` CPU threads while the block runs; None changes nothing.

    Raises:
        InvalidSetting: a count below 1.
    """
    import torch

    if count is not None and count < 1:
        raise InvalidSetting(f"threads must be at least 1, got {count}.")
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def peak_memory_mb(device: "torch.device") -> float:
    """The largest memory so far, in MiB: that of this process, or on CUDA that of torch on the device."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MEBIBYTE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEBIBYTE if sys.platform == "darwin" else peak / 1024
