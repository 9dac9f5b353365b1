"""Where a result comes from: code, versions, machine, data and sources, as plain values for the record."""

import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbench.datasets.base import DATASETS
from mmbench.metrics.base import METRICS
from mmbench.models.base import MODELS
from mmbench.run.outside import plain_origins
from mmbench.run.specs import ENGINE_VERSION

if TYPE_CHECKING:
    import torch

    from mmbench.config import RunSpec
    from mmbench.datasets.observation import Observation

__all__ = ["checkout", "provenance", "references"]

PACKAGES = ("mmbench", "torch", "numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "gpytorch", "multivae")
SOURCE = Path(__file__).parents[1]


def provenance(
    spec: "RunSpec", *, device: "torch.device", data: Mapping[str, Any], observation: "Observation"
) -> dict[str, Any]:
    """All of it for one run; digests of classifiers are added when they were used."""
    import torch

    outside = plain_origins(spec)
    return {
        "code": checkout(SOURCE),
        "engine": ENGINE_VERSION,
        "model_version": MODELS[spec.model].version,
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": platform.platform(),
        "device": _device_name(device),
        "threads": torch.get_num_threads(),
        "data": dict(data),
        "pairing": observation.pairing_checksum,
        "scheme": observation.scheme_checksum,
        "rows": dict(observation.counts),
        "references": references(spec.dataset, spec.metrics),
        **({"plugins": outside} if outside else {}),
    }


def references(dataset: str, metrics: Iterable[str]) -> dict[str, Any]:
    """What the data and the metrics are taken from, and the data's terms; those of the model are among its facts."""
    kind = DATASETS[dataset]
    return {
        "dataset": list(kind.references),
        "terms": kind.terms,
        "metrics": {name: list(METRICS[name].references) for name in metrics},
    }


def checkout(folder: Path) -> dict[str, Any]:
    """Git revision of the checkout that mmbench runs from, and whether files differ from it; empty without one."""
    revision = _git(folder, "rev-parse", "HEAD")
    tracked = _git(folder, "ls-files", "--", "__init__.py")
    if not revision or not tracked:
        return {}
    return {"revision": revision, "dirty": bool(_git(folder, "status", "--porcelain", "--", "."))}


def _git(folder: Path, *arguments: str) -> str:
    """What git prints, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _device_name(device: "torch.device") -> str:
    import torch

    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({platform.processor() or platform.machine()})"
