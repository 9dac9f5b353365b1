"""What a caller asks for: `Request` decides the result and becomes a spec, `RunOptions` never changes a result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Request", "RunOptions", "silent"]


def silent(sentence: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Request:
    """A run as asked for, unchecked; `resolve` fills in the defaults and checks all of it.

    Attributes:
        preset: of the model: `common`, `source`, or one of its own.
        steps, epochs: at most one of them; None leaves it to the preset.
        schedule: of the loader, `mixed` or `alternate`; None leaves it to the preset.
        metrics: names; None for every metric that is computed by default.
        sets: dotted name -> value, as typed or of its own type: `model.k`, `train.lr`, `metrics.<metric>.<setting>`.
    """

    model: str = "meme"
    preset: str = "common"
    dataset: str = "digits"
    scheme: str = "complete"
    f: float = 1.0
    seed: int = 0
    paired_only: bool = False
    steps: int | None = None
    epochs: int | None = None
    schedule: str | None = None
    metrics: tuple[str, ...] | None = None
    sets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOptions:
    """Where and how to compute.

    Attributes:
        device: `auto` (CUDA where there is one), `cpu` or `cuda`.
        threads: CPU threads; None as torch chooses. Bits are the same for the same number of threads.
        data_root: folder of data files; None for `MMBENCH_DATA`.
        force: train anew although the run is there, and supersede it.
        retry: train again what failed or diverged.
        quiet: no progress on standard error.
        checkpoint_seconds: the longest time between two checkpoints.
        cuda_graphs: on CUDA, record steps of fixed shapes and replay them (see `training.graphs`); no effect elsewhere.
        say: is told, in one sentence, what the user should know (the run is there, another process is at it, ...).
    """

    device: str = "auto"
    threads: int | None = None
    data_root: Path | None = None
    force: bool = False
    retry: bool = False
    quiet: bool = False
    checkpoint_seconds: float = 300.0
    cuda_graphs: bool = False
    say: Callable[[str], None] = silent
