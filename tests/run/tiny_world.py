"""A tiny dataset and a metric of no cost, to run whole runs in a fraction of a second; as a script, one such run.

    python tiny_world.py STORE TRACE [KILL_AFTER_STEP]

appends to TRACE a line for every training that it begins.
"""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from mmbench.config import setting
from mmbench.datasets.base import DATASETS, Dataset, Pairing, Split, SplitName
from mmbench.datasets.pairing import pair_by_class
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, View
from mmbench.modality import ModalitySpec
from mmbench.results.records import Score
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, resolve, run
from mmbench.run import attempt as attempt_module
from mmbench.seeding import generator
from mmbench.training.callbacks import Callback

COUNTS = {"train": 120, "test": 40}


class TinyDataset(Dataset):
    """Two 1x3x3 images of one of three classes."""

    name = "tiny"
    description = "for tests"
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"latent_dim": 3, "scale": 0.5},
        "train": {"batch_size": 16, "steps": 20, "log_every": 2, "test_rows": 20},
    }

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return (ModalitySpec("left", "image", (1, 3, 3)), ModalitySpec("right", "image", (1, 3, 3)))

    @property
    def classes(self) -> int:
        return 3

    def split(self, which: SplitName) -> Split:
        rng = generator(0, "tiny", which)
        targets = np.arange(COUNTS[which]) % 3
        names = [m.name for m in self.modalities]
        grey = 80 * targets[:, None, None, None]
        images = {name: (rng.integers(0, 80, (len(targets), 1, 3, 3)) + grey).astype(np.uint8) for name in names}
        return Split(images, dict.fromkeys(names, targets))

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        targets = self.split(which).targets
        return pair_by_class(targets, names=tuple(targets), rng=generator(seed, "pairing", which))

    def provenance(self) -> Mapping[str, Any]:
        return {"status": "embedded", "counts": COUNTS, "digest": os.environ.get("TINY_DIGEST", "tiny-1")}


@dataclass(frozen=True)
class SpreadSettings:
    scale: float = setting(1.0, above=0.0, help="Factor.")


class Spread(Metric):
    """Mean absolute value of a sample of q(z|left) over the test rows."""

    name = "spread"
    description = "for tests"
    Settings = SpreadSettings
    default = False

    def prepare(self, context: Context) -> None:
        self._values: list[torch.Tensor] = []

    def update(self, view: View) -> None:
        self._values.append(view.sample(["left"]).abs().mean(-1)[0])

    def compute(self) -> Outcome:
        values = torch.cat(self._values)
        return Outcome((Score("spread", 1, "left", "", values.mean().item() * self.settings.scale, n=len(values)),))


def register(monkey: Any = None) -> None:
    """Enter both; with a monkeypatch, until the end of the test."""
    for registry, name, component in ((DATASETS, "tiny", TinyDataset), (METRICS, "spread", Spread)):
        registry.builtin()  # load the others first
        held = registry._components
        if monkey is None:
            held[name] = component
        else:
            monkey.setitem(held, name, component)


def request(**given: Any) -> Request:
    return Request(**{"model": "mvae", "dataset": "tiny", "scheme": "split", "f": 0.5, "metrics": ("spread",), **given})


class Traced(Callback):
    def __init__(self, trace: Path, kill: int) -> None:
        self._trace, self._kill = trace, kill

    def started(self, step: int, total: int) -> None:
        with self._trace.open("a") as file:
            file.write(f"{os.getpid()} from {step}\n")

    def stepped(self, step: int, rows: int) -> None:
        if step == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)


def say(sentence: str) -> None:
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()


def main(store: str, trace: Path, kill: int = 0) -> None:
    torch.set_num_threads(1)
    register()
    attempt_module.progress = lambda label, *, quiet: Traced(trace, kill)
    options = RunOptions(device="cpu", checkpoint_seconds=0.0, say=say)
    record = run(resolve(request()), Store.open(store), options)
    say(f"{record.id} {record.status}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
