"""MNIST-SVHN: handwritten digits paired by class with street-view house numbers.

MNIST (LeCun et al., http://yann.lecun.com/exdb/mnist/) is read from the idx files under `<root>/MNIST/raw`, SVHN
(Netzer et al., http://ufldl.stanford.edu/housenumbers/; for non-commercial use) from the cropped `.mat` files under
`<root>/SVHN`. Files with the published MD5 are the published dataset; other well-formed files are used and marked
`unverified`, with their counts. Rows are paired 1-1 by class as in the MEME code (56,068 training and 10,000 test
pairs on the published files); `pairs=30` gives the repeated pairing of MMVAE.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Split, SplitName
from mmbench.datasets.downloads import download_missing
from mmbench.datasets.files import combined_digest, first_existing, folder_to_fill, require_root
from mmbench.datasets.idx import read_idx
from mmbench.datasets.pairing import pair_by_class
from mmbench.datasets.svhn_mat import read_svhn
from mmbench.errors import DataError
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["MnistSvhn", "Originals", "read_mnist"]

PUBLISHED_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}
MNIST_PREFIX = {"train": "train", "test": "t10k"}
SPLITS: tuple[SplitName, ...] = ("train", "test")


@dataclass(frozen=True)
class Originals:
    """One modality of one split: images `[N, *shape]`, their classes `[N]`, and the MD5 of each file read."""

    images: np.ndarray
    labels: np.ndarray
    digests: Mapping[str, str]


@DATASETS.register("mnist-svhn")
class MnistSvhn(Dataset):
    """MNIST-SVHN, read from files below `root`."""

    name = "mnist-svhn"
    description = "MNIST digits (1x28x28) paired by class with SVHN house numbers (3x32x32)"
    references: ClassVar[tuple[str, ...]] = (
        "LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 1998; "
        "http://yann.lecun.com/exdb/mnist/",
        "Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, "
        "NIPS Workshop on Deep Learning and Unsupervised Feature Learning 2011; "
        "http://ufldl.stanford.edu/housenumbers/",
    )
    terms: ClassVar[str] = "SVHN is for non-commercial use only."
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {
            "networks": "released",
            "latent_dim": 64,
            "likelihood": "laplace",
            "scale": 1.0,
            "rescale": "none",
            "norm": "none",
        },
        "train": {"batch_size": 128, "lr": 1e-3, "steps": 2000},
    }

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._read: dict[SplitName, dict[str, Originals]] = {}

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return (ModalitySpec("mnist", "image", (1, 28, 28)), ModalitySpec("svhn", "image", (3, 32, 32)))

    @property
    def classes(self) -> int:
        return 10

    def split(self, which: SplitName) -> Split:
        originals = self._originals(which)
        return Split(
            arrays={name: o.images for name, o in originals.items()},
            targets={name: o.labels for name, o in originals.items()},
        )

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        targets = self.split(which).targets
        return pair_by_class(targets, names=tuple(targets), rng=generator(seed, "pairing", which))

    def provenance(self) -> Mapping[str, Any]:
        originals = {which: self._originals(which) for which in SPLITS}
        digests = {file: md5 for parts in originals.values() for o in parts.values() for file, md5 in o.digests.items()}
        return {
            "status": "published" if digests == PUBLISHED_MD5 else "unverified",
            "counts": {which: {name: len(o.labels) for name, o in parts.items()} for which, parts in originals.items()},
            "files": {
                file: {"md5": md5, "published": PUBLISHED_MD5[file] == md5} for file, md5 in sorted(digests.items())
            },
            "digest": combined_digest(digests),
        }

    @classmethod
    def fetch(cls, root: Path | None) -> str:
        root = folder_to_fill(root)
        mnist = [f"MNIST/raw/{file}" for file in PUBLISHED_MD5 if file.endswith("ubyte")]
        svhn = [f"SVHN/{file}" for file in PUBLISHED_MD5 if file.endswith(".mat")]
        added = [
            *download_missing(root, _absent(root, mnist), _download_mnist, dataset="MNIST"),
            *download_missing(root, _absent(root, svhn), _download_svhn, dataset="SVHN"),
        ]
        done = f"added {len(added)} files" if added else "all files were there already"
        return f"{done}; {cls.verify(root)}"

    @classmethod
    def verify(cls, root: Path | None) -> str:
        facts = cls(DatasetSettings(), root).provenance()
        train, test = facts["counts"]["train"], facts["counts"]["test"]
        sizes = ", ".join(f"{name} {train[name]} + {test[name]}" for name in train)
        other = [file for file, fact in facts["files"].items() if not fact["published"]]
        note = f"; not the published content: {', '.join(other)}" if other else ""
        return f"{cls.name} in {root} is {facts['status']} ({sizes} training and test images){note}."

    def _originals(self, which: SplitName) -> dict[str, Originals]:
        if which not in self._read:
            root = require_root(self.root, dataset=self.name)
            self._read[which] = {"mnist": read_mnist(root, which), "svhn": _svhn(root, which)}
        return self._read[which]


def read_mnist(root: Path, which: SplitName) -> Originals:
    """MNIST from the idx files below `root`. Raises `DataMissing` or `DataError`."""
    prefix = MNIST_PREFIX[which]
    image_path, label_path = (_idx_path(root, f"{prefix}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    images, image_md5 = read_idx(image_path, axes=3)
    labels, label_md5 = read_idx(label_path, axes=1)
    if len(images) != len(labels) or len(labels) == 0:
        raise DataError(f"{label_path} holds {len(labels)} labels for the {len(images)} images of {image_path}.")
    if images.shape[1:] != (28, 28):
        raise DataError(f"{image_path}: images must be 28x28, got {images.shape[1]}x{images.shape[2]}.")
    if labels.max() > 9:
        raise DataError(f"{label_path}: labels must lie in 0..9, got {labels.max()}.")
    digests = {f"{prefix}-images-idx3-ubyte": image_md5, f"{prefix}-labels-idx1-ubyte": label_md5}
    return Originals(images[:, None], labels.astype(np.int64), digests)


def _svhn(root: Path, which: SplitName) -> Originals:
    path = first_existing(_candidates(root, f"SVHN/{which}_32x32.mat"), dataset=MnistSvhn.name)
    images, digits, md5 = read_svhn(path)
    return Originals(images, digits, {f"{which}_32x32.mat": md5})


def _idx_path(root: Path, file: str) -> Path:
    return first_existing(_candidates(root, f"MNIST/raw/{file}"), dataset=MnistSvhn.name)


def _candidates(root: Path, path: str) -> list[Path]:
    """Where a file may lie: in its place, gzipped there, and an SVHN file directly below the root."""
    if path.startswith("SVHN/"):
        return [root / path, root / Path(path).name]
    return [root / path, root / f"{path}.gz"]


def _absent(root: Path, paths: list[str]) -> list[str]:
    return [path for path in paths if not any(candidate.is_file() for candidate in _candidates(root, path))]


def _download_mnist(datasets: Any, folder: Path) -> None:
    datasets.MNIST(folder, train=True, download=True)


def _download_svhn(datasets: Any, folder: Path) -> None:
    for which in SPLITS:
        datasets.SVHN(folder / "SVHN", split=which, download=True)
