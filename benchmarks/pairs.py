"""Time and memory of the data path against the number of training pairs, from 1,000 to 1,500,000.

    python benchmarks/pairs.py [--sizes 1000,1500000] [--out benchmarks/results/pairs.json]

The originals are synthetic uint8 images in the shapes of MNIST-SVHN, 50,000 of each modality whatever the number of
pairs: more pairs than originals are the same originals paired anew, as MMVAE does. Each row of the table is measured in
a process of its own. Memory is what the process's peak grew by after the originals were there, through pairing,
observation, loader, the plan of an epoch and the first steps of it; batches are of 128 rows (2 MB of floats), planned
as `mixed`. Times are single measurements: numbers of a machine that does something else as well do not compare.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from mmbench.datasets.base import Dataset, DatasetSettings, Pairing, Split, SplitName
from mmbench.datasets.loader import Loader
from mmbench.datasets.observation import observe
from mmbench.datasets.pairing import pair_by_class
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

ORIGINALS, CLASSES, BATCH_SIZE, STEPS = 50_000, 10, 128, 200
SIZES = (1_000, 10_000, 50_000, 200_000, 500_000, 1_000_000, 1_500_000)
SCHEMES = (("complete", 1.0), ("split", 0.5))
HEADER = ("pairs", "scheme", "pairing s", "observation s", "loader s", "plan s", "step ms", "originals MB", "more MB")
MEBIBYTE = 2**20
OUT = Path(__file__).parent / "results" / "pairs.json"

T = TypeVar("T")


class Synthetic(Dataset):
    """Random images in the shapes of MNIST-SVHN, `originals` of each, of which `rows` stand in the base table."""

    name = "synthetic"
    description = "random images"
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, *, originals: int, rows: int, pairs: int) -> None:
        super().__init__(DatasetSettings(pairs=pairs))
        self._rows = rows
        rng = np.random.default_rng(0)
        names = [spec.name for spec in self.modalities]
        self._split = Split(
            {s.name: rng.integers(0, 256, size=(originals, *s.shape), dtype=np.uint8) for s in self.modalities},
            {name: rng.permutation(np.arange(originals) % CLASSES) for name in names},
        )

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return (ModalitySpec("mnist", "image", (1, 28, 28)), ModalitySpec("svhn", "image", (3, 32, 32)))

    @property
    def classes(self) -> int:
        return CLASSES

    def split(self, which: SplitName) -> Split:
        return self._split

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        targets = self._split.targets
        whole = pair_by_class(targets, names=tuple(targets), rng=generator(seed, "pairing", which))
        return Pairing(whole.names, whole.table[: self._rows])

    def provenance(self) -> Mapping[str, Any]:
        return {"status": "embedded", "counts": {}, "digest": "none"}


def measured(pairs: int, scheme: str, f: float) -> dict[str, Any]:
    """One row of the table, of this process."""
    _steps(Synthetic(originals=500, rows=500, pairs=1), "split", 0.5)  # torch's first steps bring in its own memory
    dataset = Synthetic(originals=ORIGINALS, rows=min(pairs, ORIGINALS), pairs=max(1, pairs // ORIGINALS))
    before = _peak_mb()
    row: dict[str, Any] = {"pairs": pairs, "scheme": f"{scheme} f={f:g}"}
    _, row["pairing s"] = _timed(lambda: dataset.pairing("train", 0))
    row |= _steps(dataset, scheme, f)
    row["originals MB"] = sum(array.nbytes for array in dataset.split("train").arrays.values()) / MEBIBYTE
    row["more MB"] = _peak_mb() - before
    return row


def _steps(dataset: Dataset, scheme: str, f: float) -> dict[str, float]:
    observation, observing = _timed(lambda: observe(dataset, scheme, f, seed=0))
    arrays = dataset.split("train").arrays
    loader, loading = _timed(lambda: Loader(arrays, observation.patterns, batch_size=BATCH_SIZE, seed=0))
    steps = loader.epoch(0)
    _, planning = _timed(lambda: next(steps))
    taken, stepping = _timed(lambda: sum(1 for _ in islice(steps, STEPS)))
    return {
        "observation s": observing,
        "loader s": loading,
        "plan s": planning,
        "step ms": 1000 * stepping / max(taken, 1),
    }


def _timed(make: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return make(), time.perf_counter() - began


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEBIBYTE if sys.platform == "darwin" else peak / 1024


def _in_a_process_of_its_own(pairs: int, scheme: str, f: float) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", json.dumps([pairs, scheme, f])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def _line(row: Mapping[str, Any]) -> str:
    digits = {"step ms": 2, "originals MB": 0, "more MB": 0}
    cells = [f"{row[name]:.{digits.get(name, 3)}f}" if isinstance(row[name], float) else row[name] for name in HEADER]
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |"


def main() -> None:
    """Measure, print a markdown table, and write the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(*json.loads(options.one))))
        return
    print("| " + " | ".join(HEADER) + " |\n" + "|" + " --- |" * len(HEADER))
    rows = []
    for scheme, f in SCHEMES:
        for size in map(int, options.sizes.split(",")):
            rows.append(_in_a_process_of_its_own(size, scheme, f))
            print(_line(rows[-1]), flush=True)
    machine = {
        "machine": platform.node(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), "numpy": version("numpy"), "torch": version("torch")},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({**machine, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
