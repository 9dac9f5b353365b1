"""What `mmbench list` and `mmbench data` show: the registered components with what each says about itself.

Components from outside the package are listed by name; their code runs only when they are asked for by name.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmbench.errors import MMBenchError
from mmbench.registry import Registry

__all__ = ["dataset_rows", "rows"]

Rows = tuple[Sequence[str], list[tuple[str, ...]]]


def rows(kind: str) -> Rows:
    """Header and rows of `models`, `datasets`, `schemes` or `metrics`."""
    return {"models": _models, "datasets": _datasets, "schemes": _schemes, "metrics": _metrics}[kind]()


def dataset_rows(root: Path | None) -> Rows:
    """Header and rows of the data sets with what `verify` says of the files below `root`."""
    from mmbench.datasets import DATASETS

    return ("dataset", "files"), _rows(DATASETS, 2, lambda name, dataset: (name, _state(dataset, root)))


def _models() -> Rows:
    from mmbench.models import MODELS

    header = ("model", "partial training", "presets", "title")
    return header, _rows(MODELS, len(header), lambda name, model: (
        name,
        "yes" if model.facts.partial_train_holds else "no (--paired-only)",
        ", ".join(sorted(model.presets)),
        model.facts.title,
    ))  # fmt: skip


def _datasets() -> Rows:
    from mmbench.datasets import DATASETS

    return ("dataset", "description"), _rows(DATASETS, 2, lambda name, dataset: (name, dataset.description))


def _schemes() -> Rows:
    from mmbench.datasets import SCHEMES

    return ("scheme", "description"), _rows(SCHEMES, 2, lambda name, scheme: (name, scheme.description))


def _metrics() -> Rows:
    from mmbench.metrics.base import METRICS

    header = ("metric", "default", "version", "description")
    return header, _rows(METRICS, len(header), lambda name, metric: (
        name, "yes" if metric.default else "no", str(metric.version), metric.description
    ))  # fmt: skip


def _rows(
    registry: Registry[Any], columns: int, describe: Callable[[str, Any], tuple[str, ...]]
) -> list[tuple[str, ...]]:
    known = registry.builtin()
    return [
        describe(name, known[name]) if name in known else (name, *[""] * (columns - 2), "from another distribution")
        for name in registry
    ]


def _state(dataset: Any, root: Path | None) -> str:
    try:
        return str(dataset.verify(root))
    except MMBenchError as error:
        return str(error)
