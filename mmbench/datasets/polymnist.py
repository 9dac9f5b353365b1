"""PolyMNIST: five modalities that show MNIST digits of one class on patches of five photographs.

Source: Sutter et al., Generalized Multimodal ELBO, ICLR 2021; archive https://zenodo.org/record/4899160. It is read
from `<root>/MMNIST`, `<root>/PolyMNIST` or `<root>/PolyMNIST.zip` (see `polymnist_files`) and kept decoded in mmbench's
cache. Images of one name form a row, as in the released code; `pairs` above 1 pairs them anew within their class.

mmbench has no digest of the published images to compare with, so that the data count as `unverified` even where the
counts are the published 60,000 training and 10,000 test images of each modality.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Split, SplitName
from mmbench.datasets.cache import Arrays, arrays_digest, cached
from mmbench.datasets.files import combined_digest
from mmbench.datasets.pairing import pair_by_class
from mmbench.datasets.polymnist_files import DEFAULT_METRICS, NAMES, SIDE, Archive, ImageFile, decoded, find
from mmbench.errors import DataError, DataMissing
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["PolyMnist"]

SPLITS: tuple[SplitName, ...] = ("train", "test")
PUBLISHED_COUNTS = {"train": 60_000, "test": 10_000}  # of each modality


@DATASETS.register("polymnist")
class PolyMnist(Dataset):
    """PolyMNIST, read from the published archive below `root`."""

    name = "polymnist"
    description = "five modalities m0..m4 (3x28x28): MNIST digits on patches of five photographs; published archive"
    references: ClassVar[tuple[str, ...]] = (
        "Sutter et al., Generalized Multimodal ELBO, ICLR 2021; https://zenodo.org/record/4899160",
        "LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE 1998",
    )
    default_metrics: ClassVar[tuple[str, ...] | None] = DEFAULT_METRICS
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "small", "latent_dim": 64, "likelihood": "laplace", "scale": 0.75},
        "train": {"batch_size": 128, "lr": 1e-3, "steps": 2000},
    }

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._read: dict[SplitName, Arrays] = {}

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return tuple(ModalitySpec(name, "image", (3, SIDE, SIDE)) for name in NAMES)

    @property
    def classes(self) -> int:
        return 10

    def split(self, which: SplitName) -> Split:
        arrays = self._arrays(which)
        return Split({name: arrays[name] for name in NAMES}, dict.fromkeys(NAMES, arrays["targets"]))

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        targets = self.split(which).targets
        return pair_by_class(targets, names=NAMES, rng=generator(seed, "pairing", which))

    def provenance(self) -> Mapping[str, Any]:
        counts = {which: len(self._arrays(which)["targets"]) for which in SPLITS}
        known = "the published counts" if counts == PUBLISHED_COUNTS else "not the published counts, 60000 + 10000"
        return {
            "status": "unverified",
            "counts": {which: dict.fromkeys(NAMES, count) for which, count in counts.items()},
            "digest": combined_digest({which: arrays_digest(self._arrays(which)) for which in SPLITS}),
            "note": f"{known}; mmbench knows no digest of the published images to compare with",
        }

    @classmethod
    def fetch(cls, root: Path | None) -> str:
        """What `verify` says; the archive is not downloaded. Raises `DataMissing`, which says where it is."""
        return cls.verify(root)

    @classmethod
    def verify(cls, root: Path | None) -> str:
        facts = cls(DatasetSettings(), root).provenance()
        train, test = (facts["counts"][which][NAMES[0]] for which in SPLITS)
        return (
            f"{cls.name} in {root} is {facts['status']} ({train} + {test} training and test images of each of "
            f"{', '.join(NAMES)}): {facts['note']}."
        )

    def _arrays(self, which: SplitName) -> Arrays:
        if which not in self._read:
            if self.root is None:
                raise DataMissing(
                    "polymnist needs PolyMNIST.zip of https://zenodo.org/record/4899160, and no folder was named; "
                    "name one by --data-root or MMBENCH_DATA."
                )
            archive = find(self.root)
            images = rows(archive, which)
            self._read[which] = cached(f"polymnist-{which}-{_key(images)}", lambda: read(archive, which, images))
        return self._read[which]


def rows(archive: Archive, which: SplitName) -> dict[str, list[ImageFile]]:
    """The images of each modality, row by row: those of one name.

    Raises:
        DataMissing, DataError: a modality lacks images, or has others than the first one.
    """
    images = {name: archive.images(which, name) for name in NAMES}
    first = {image.name for image in images[NAMES[0]]}
    for name in NAMES[1:]:
        others = {image.name for image in images[name]}
        for lacking, has, names in ((name, NAMES[0], first - others), (NAMES[0], name, others - first)):
            if names:
                raise DataError(
                    f"{archive.place(which, lacking)} has no {min(names)}, which is in {has}: images of one name form "
                    "a row, so that every modality needs the same numbers and digits."
                )
    return images


def read(archive: Archive, which: SplitName, images: Mapping[str, list[ImageFile]]) -> Arrays:
    """Decode the images of a split: modality -> `[N, 3, 28, 28]` uint8, and `targets` `[N]`.

    Raises:
        DataError: an image that is no whole PNG image of the right size; it is named.
    """
    arrays: dict[str, np.ndarray] = {"targets": np.array([image.digit for image in images[NAMES[0]]], np.int64)}
    for name in NAMES:
        files = [image.name for image in images[name]]
        pixels = np.empty((len(files), 3, SIDE, SIDE), np.uint8)
        for i, content in enumerate(archive.contents(which, name, files)):
            pixels[i] = decoded(content, f"{archive.place(which, name)}/{files[i]}")
        arrays[name] = pixels
    return arrays


def _key(images: Mapping[str, list[ImageFile]]) -> str:
    """A digest of all names and stamps: a file that was replaced is read again."""
    digest = hashlib.sha256()
    for name, files in images.items():
        digest.update("".join(f"{name} {file.name} {file.stamp}\n" for file in files).encode())
    return digest.hexdigest()[:16]
