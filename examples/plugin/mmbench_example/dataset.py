"""waves: three sine waves of one frequency, seen by three sensors.

Row i has a frequency, one of five, which is its class, and a phase. Sensor m sees sin(2 pi (frequency t + phase + m/3))
at 16 times t in [0, 1), and normal noise of scale 0.1. All of it is drawn from one seed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from mmbench.datasets import DATASETS, Dataset, DatasetSettings, Pairing, Split
from mmbench.datasets.base import SplitName
from mmbench.datasets.cache import arrays_digest
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["Waves"]

SEED = 7
NAMES = ("first", "second", "third")
FREQUENCIES = (1, 2, 3, 4, 5)
TIMES, NOISE = 16, 0.1
ROWS: Mapping[SplitName, int] = {"train": 2000, "test": 500}


@final
@DATASETS.register("waves")
class Waves(Dataset):
    """Sine waves of one frequency, seen by three sensors."""

    name = "waves"
    description = "a sine wave seen by three sensors with noise (16 values each); its frequency is the class"
    terms: ClassVar[str] = "Drawn by its own code."
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "small", "latent_dim": 8, "likelihood": "normal", "scale": NOISE},
        "train": {"batch_size": 64, "lr": 1e-3, "steps": 1000},
    }

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._made: dict[SplitName, Split] = {}

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return tuple(ModalitySpec(name, "vector", (TIMES,)) for name in NAMES)

    @property
    def classes(self) -> int:
        return len(FREQUENCIES)

    def split(self, which: SplitName) -> Split:
        if which not in self._made:
            rng = generator(SEED, which)
            classes = np.arange(ROWS[which], dtype=np.int64) % len(FREQUENCIES)
            phases = rng.uniform(size=len(classes))
            arrays = {name: seen(classes, phases + m / len(NAMES), rng) for m, name in enumerate(NAMES)}
            self._made[which] = Split(arrays=arrays, targets=dict.fromkeys(NAMES, classes))
        return self._made[which]

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        """Row i of every sensor belongs to row i of the others: they see the same wave."""
        rows = np.arange(ROWS[which])
        return Pairing(NAMES, np.stack([rows] * len(NAMES), axis=1))

    def provenance(self) -> Mapping[str, Any]:
        content = {f"{which}-{name}": a for which in ROWS for name, a in self.split(which).arrays.items()}
        counts = {which: dict.fromkeys(NAMES, count) for which, count in ROWS.items()}
        return {"status": "embedded", "counts": counts, "digest": arrays_digest(content)[:16]}


def seen(classes: np.ndarray, phases: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a sensor sees of waves with these phases (in turns), `[N, TIMES]`, float32."""
    turns = np.array(FREQUENCIES)[classes][:, None] * np.arange(TIMES) / TIMES + phases[:, None]
    noisy = np.sin(2 * np.pi * turns) + rng.normal(0, NOISE, turns.shape)
    return np.asarray(noisy, np.float32)
