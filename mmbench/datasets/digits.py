"""The embedded default dataset: real handwritten digits paired by class with street numbers drawn by mmbench.

`handwritten` holds the 1,797 digits of scikit-learn's `load_digits` (8x8 pixels, 17 grey levels; E. Alpaydin and
C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998), `street` as many colour images (see `rendering`).
It needs no download and is made to be learned in about a minute. `size=full` shows the same originals at 28x28 and
32x32 pixels, for the networks of the papers.

A fifth of the handwritten originals of each class, fixed once for all, is the test split, and street images are drawn
for each split by itself: no original stands in two splits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmbench.config import content_hash, setting
from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Split, SplitName
from mmbench.datasets.cache import Arrays, arrays_digest, cached
from mmbench.datasets.pairing import pair_by_class
from mmbench.datasets.rendering import draw
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["Digits", "DigitsSettings", "handwritten"]

VERSION = 1  # raised whenever the content changes
SEED = 20220425
TEST_SHARE = 0.2
SIDES = {"small": (8, 16), "full": (28, 32)}
SPLITS: tuple[SplitName, ...] = ("train", "test")


@dataclass(frozen=True)
class DigitsSettings(DatasetSettings):
    """Settings of `digits` (section `data`)."""

    pairs: int = setting(
        10, low=1, help="How often each original of a class is paired anew (MMVAE: 30; the MEME code: 1)."
    )
    size: str = setting(
        "small", choices=("small", "full"), help="small: 1x8x8 and 3x16x16 pixels; full: 1x28x28 and 3x32x32."
    )


@DATASETS.register("digits")
class Digits(Dataset):
    """Handwritten digits paired with street numbers."""

    name = "digits"
    description = "handwritten digits (1x8x8) paired by class with drawn street numbers (3x16x16); no download"
    Settings = DigitsSettings
    references: ClassVar[tuple[str, ...]] = (
        "Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository 1998",
        "Pedregosa et al., Scikit-learn: Machine Learning in Python, JMLR 2011 (load_digits)",
    )
    terms: ClassVar[str] = "The handwritten digits come with scikit-learn; the street numbers are drawn by mmbench."
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "small", "latent_dim": 16, "likelihood": "laplace", "scale": 0.1},
        "train": {"batch_size": 128, "lr": 1e-3, "steps": 1400},
    }
    settings: DigitsSettings

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._made: Arrays | None = None

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        written, street = SIDES[self.settings.size]
        return (
            ModalitySpec("handwritten", "image", (1, written, written)),
            ModalitySpec("street", "image", (3, street, street)),
        )

    @property
    def classes(self) -> int:
        return 10

    def split(self, which: SplitName) -> Split:
        names = [spec.name for spec in self.modalities]
        arrays = self._arrays()
        targets = arrays[f"{which}-targets"]
        return Split(arrays={name: arrays[f"{which}-{name}"] for name in names}, targets=dict.fromkeys(names, targets))

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        targets = self.split(which).targets
        return pair_by_class(targets, names=tuple(targets), rng=generator(seed, "pairing", which))

    def provenance(self) -> Mapping[str, Any]:
        counts = {which: {name: len(array) for name, array in self.split(which).arrays.items()} for which in SPLITS}
        return {"status": "embedded", "counts": counts, "digest": arrays_digest(self._arrays())[:16]}

    def _arrays(self) -> Arrays:
        if self._made is None:
            size = self.settings.size
            self._made = cached(f"digits-{size}-{_content_key(size)}", lambda: make(size))
        return self._made


def make(size: str) -> Arrays:
    """All arrays of a size by name: `<split>-handwritten`, `<split>-street`, `<split>-targets`; without the cache."""
    side, street_side = SIDES[size]
    arrays = {}
    for which, (images, labels) in handwritten(side).items():
        arrays[f"{which}-targets"] = labels
        arrays[f"{which}-handwritten"] = images[:, None]
        arrays[f"{which}-street"] = draw(labels.tolist(), street_side, seed=SEED, split=which)
    return arrays


def handwritten(side: int) -> dict[SplitName, tuple[np.ndarray, np.ndarray]]:
    """The handwritten originals of each split at `side` pixels: `[N, side, side]` uint8, and their classes `[N]`."""
    images, labels = _originals()
    return {which: (_resized(images[rows], side), labels[rows]) for which, rows in _divided(labels).items()}


def _originals() -> tuple[np.ndarray, np.ndarray]:
    """Images `[1797, 8, 8]` uint8 (0..16 spread over 0..255) and labels `[1797]` int64."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    grey = np.rint(np.asarray(images).reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return grey, np.asarray(labels, np.int64)


def _divided(labels: np.ndarray) -> dict[SplitName, np.ndarray]:
    """Which originals belong to which split, stratified by class, in dataset order."""
    rng = generator(SEED, "originals")
    test = np.zeros(len(labels), bool)
    for c in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == c))
        test[rows[: round(TEST_SHARE * len(rows))]] = True
    return {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)}


def _resized(images: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    if images.shape[-1] == side:
        return images
    return np.stack([np.asarray(Image.fromarray(i).resize((side, side), Image.Resampling.BICUBIC)) for i in images])


def _content_key(size: str) -> str:
    """What the drawn pixels depend on: this version, and the libraries that rasterise."""
    import matplotlib
    import PIL
    from PIL import features

    libraries = [PIL.__version__, features.version("freetype2"), matplotlib.__version__, np.__version__]
    return content_hash([VERSION, SEED, size, *libraries])
