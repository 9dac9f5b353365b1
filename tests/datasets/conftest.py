"""A dataset of row numbers, in which every value says which original it is, and tiny files in the published formats."""

import gzip
import importlib.util
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from mmbench.datasets import Dataset, DatasetSettings, Pairing, Split
from mmbench.datasets.pairing import pair_by_class
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

Toy = Callable[..., Dataset]


class Numbers(Dataset):
    """`modalities` vectors of one value, the number of the original; classes cycle through 0, 1, 2."""

    name = "numbers"
    description = "row numbers"
    common: Mapping[str, Mapping[str, Any]] = {}

    def __init__(self, *, rows: int, modalities: int = 2, pairs: int = 1, with_classes: bool = True) -> None:
        super().__init__(DatasetSettings(pairs=pairs))
        self._rows, self._with_classes = rows, with_classes
        self._names = [f"m{i}" for i in range(modalities)]

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return tuple(ModalitySpec(name, "vector", (1,)) for name in self._names)

    @property
    def classes(self) -> int | None:
        return 3 if self._with_classes else None

    def split(self, which: str) -> Split:
        values = np.arange(self._rows, dtype=np.float64)[:, None]
        targets = {name: np.arange(self._rows) % 3 for name in self._names} if self._with_classes else {}
        return Split({name: values.copy() for name in self._names}, targets)

    def pairing(self, which: str, seed: int) -> Pairing:
        rng = generator(seed, "pairing", which)
        if self._with_classes:
            return pair_by_class(self.split(which).targets, names=self._names, rng=rng)
        table = np.stack([np.arange(self._rows)] * len(self._names), axis=1)
        return Pairing(tuple(self._names), rng.permutation(table))

    def provenance(self) -> Mapping[str, Any]:
        return {"status": "embedded", "counts": {}, "digest": "none"}


@pytest.fixture
def numbers() -> Toy:
    return Numbers


def idx_bytes(array: np.ndarray) -> bytes:
    """The idx form of an array of bytes, written from the format's description."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def to_idx() -> Callable[[np.ndarray], bytes]:
    return idx_bytes


@pytest.fixture
def tiny_root(tmp_path: Path) -> Path:
    """MNIST-SVHN in small: 30 + 20 MNIST images (training images gzipped), 24 + 12 SVHN images, classes in a cycle."""
    rng = np.random.default_rng(3)
    root = tmp_path / "data"
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (root / "SVHN").mkdir()
    for prefix, n in (("train", 30), ("t10k", 20)):
        images, labels = rng.integers(256, size=(n, 28, 28)), np.arange(n) % 10
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
        content = idx_bytes(images)
        if prefix == "train":
            (raw / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
        else:
            (raw / f"{prefix}-images-idx3-ubyte").write_bytes(content)
    for which, n in (("train", 24), ("test", 12)):
        images = rng.integers(256, size=(32, 32, 3, n)).astype(np.uint8)
        labels = (np.arange(n) % 10 + 1).astype(np.uint8)[:, None]
        savemat(root / "SVHN" / f"{which}_32x32.mat", {"X": images, "y": labels}, do_compression=True)
    return root


@pytest.fixture(scope="session")
def tiny_cub() -> ModuleType:
    """The module `tiny_cub.py` beside this file."""
    spec = importlib.util.spec_from_file_location("tiny_cub", Path(__file__).with_name("tiny_cub.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
