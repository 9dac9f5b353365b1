"""What the numbers were measured on, and the ceiling of what it can do."""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmbench.models.networks.base import channels_last

__all__ = ["ceilings", "described", "peak_mb", "resident_mb"]


def described() -> dict[str, Any]:
    """Processor, cores, threads, versions, huge pages, date and revision."""
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "multivae": _version("multivae"),
        "huge_pages": _huge_pages(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "date": datetime.now(UTC).date().isoformat(),
        "revision": revision or "unknown",
    }


def ceilings() -> dict[str, float]:
    """GFLOP/s of float32 that this machine reaches in three ways; its ceiling is the largest.

    A large product by torch's BLAS, the same product as a pointwise convolution by oneDNN (twice as fast on AMD
    processors, where MKL leaves half of the vector width unused), and a transposed convolution of the decoder's kind.
    """
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    pointwise = channels_last(nn.Conv2d(2048, 2048, 1))
    pixels = torch.randn(1, 2048, 1, 2048).to(memory_format=torch.channels_last)
    layer = channels_last(nn.ConvTranspose2d(128, 64, 4, 2, 1))
    x = torch.randn(512, 128, 4, 4).to(memory_format=torch.channels_last)
    with torch.no_grad():
        return {
            "product": 2 * 2048**3 / _best(lambda: a @ b) / 1e9,
            "pointwise convolution": 2 * 2048**3 / _best(lambda: pointwise(pixels)) / 1e9,
            "transposed convolution": 512 * 2 * 16 * 16 * 128 * 64 / _best(lambda: layer(x)) / 1e9,
        }


def resident_mb() -> float:
    """Memory of this process now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mb() -> float:
    """The largest memory of this process so far, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not tell the peak of memory")


def _best(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(12):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _huge_pages() -> str:
    path = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return path.read_text().partition("[")[2].partition("]")[0] if path.exists() else "unknown"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
