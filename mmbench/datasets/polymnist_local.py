"""The construction of PolyMNIST over photographs that packages ship: five modalities of digits, without a download.

Every modality shows digits on random patches of a background of its own (see `patches`). The backgrounds are five
separate regions of three photographs: `china` and `flower` of scikit-learn, and the portrait of Grace Hopper that
matplotlib ships. Regions are chosen for their textures: roofs, trees, petals, blurred leaves, cloth with a face. Digits
are the 1,797 handwritten ones of scikit-learn in the splits of `digits`, made larger to 28x28 pixels, or those of MNIST
below the data root (`digits=mnist`). As in the published code (Sutter et al., Generalized Multimodal ELBO, ICLR 2021)
each modality shows all of them in an order of its own within each class, so that a row joins different originals.

Other photographs and other digits than those of PolyMNIST: numbers are not comparable with published ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmbench.config import content_hash, setting
from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Split, SplitName
from mmbench.datasets.cache import Arrays, arrays_digest, cached
from mmbench.datasets.digits import Digits, handwritten
from mmbench.datasets.files import require_root
from mmbench.datasets.mnist_svhn import PUBLISHED_MD5, read_mnist
from mmbench.datasets.pairing import pair_by_class
from mmbench.datasets.patches import corners, on_patches
from mmbench.datasets.polymnist_files import DEFAULT_METRICS
from mmbench.errors import DataMissing
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["BACKGROUNDS", "Background", "PolyMnistLocal", "PolyMnistLocalSettings"]

VERSION = 1  # raised whenever the content changes
SEED = 20210504
SIDE = 28
SPLITS: tuple[SplitName, ...] = ("train", "test")
NOTE = "made by mmbench over other photographs than PolyMNIST's: not comparable with published numbers"


@dataclass(frozen=True)
class Background:
    """A region of a photograph.

    Attributes:
        package, file: where it is, as `importlib.resources` names it.
        box: left, top, right and bottom in pixels; right and bottom are the first outside.
    """

    package: str
    file: str
    box: tuple[int, int, int, int]


BACKGROUNDS = (
    Background("sklearn", "datasets/images/china.jpg", (70, 20, 370, 400)),
    Background("sklearn", "datasets/images/china.jpg", (380, 270, 640, 427)),
    Background("sklearn", "datasets/images/flower.jpg", (180, 95, 430, 350)),
    Background("sklearn", "datasets/images/flower.jpg", (0, 0, 170, 427)),
    Background("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (0, 0, 512, 600)),
)
NAMES = tuple(f"m{m}" for m in range(len(BACKGROUNDS)))


@dataclass(frozen=True)
class PolyMnistLocalSettings(DatasetSettings):
    """Settings of `polymnist-local` (section `data`)."""

    pairs: int = setting(
        10, low=1, help="How often each original of a class is paired anew (MMVAE: 30; the MEME code: 1)."
    )
    digits: str = setting(
        "handwritten",
        choices=("handwritten", "mnist"),
        help="handwritten: those of scikit-learn; mnist: those of the MNIST files below the data root.",
    )


@DATASETS.register("polymnist-local")
class PolyMnistLocal(Dataset):
    """Digits on patches of five backgrounds."""

    name = "polymnist-local"
    description = (
        "five modalities m0..m4 (3x28x28): handwritten digits on patches of photographs that packages ship; "
        "no download; not comparable with polymnist"
    )
    Settings = PolyMnistLocalSettings
    references: ClassVar[tuple[str, ...]] = (
        "Sutter et al., Generalized Multimodal ELBO, ICLR 2021 (the construction)",
        *Digits.references,
    )
    terms: ClassVar[str] = (
        "The digits come with scikit-learn, or are MNIST's; photographs: china by danielbuechele and flower by "
        "vultilion (scikit-learn; CC BY 2.0), and the portrait of Grace Hopper in matplotlib's sample data."
    )
    default_metrics: ClassVar[tuple[str, ...] | None] = DEFAULT_METRICS
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "small", "latent_dim": 32, "likelihood": "laplace", "scale": 0.1},
        "train": {"batch_size": 128, "lr": 1e-3, "steps": 1400},
    }
    settings: PolyMnistLocalSettings

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._made: Arrays | None = None
        self._read: dict[str, str] = {}

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return tuple(ModalitySpec(name, "image", (3, SIDE, SIDE)) for name in NAMES)

    @property
    def classes(self) -> int:
        return 10

    def split(self, which: SplitName) -> Split:
        arrays = self._arrays()
        targets = arrays[f"{which}-targets"]
        return Split({name: arrays[f"{which}-{name}"] for name in NAMES}, dict.fromkeys(NAMES, targets))

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        targets = self.split(which).targets
        return pair_by_class(targets, names=NAMES, rng=generator(seed, "pairing", which))

    def provenance(self) -> Mapping[str, Any]:
        arrays = self._arrays()
        facts = {
            "status": "embedded",
            "counts": {which: dict.fromkeys(NAMES, len(arrays[f"{which}-targets"])) for which in SPLITS},
            "digest": arrays_digest(arrays)[:16],
            "note": NOTE,
        }
        if not self._read:
            return facts
        files = {file: {"md5": md5, "published": PUBLISHED_MD5[file] == md5} for file, md5 in self._read.items()}
        published = all(file["published"] for file in files.values())
        return {**facts, "status": "embedded" if published else "unverified", "files": files}

    def _arrays(self) -> Arrays:
        if self._made is None:
            if self.settings.digits == "mnist":  # made in seconds, and larger than a cache is good for
                self._made = make(self._mnist())
            else:
                self._made = cached(f"polymnist-local-{_content_key()}", lambda: make(handwritten(SIDE)))
        return self._made

    def _mnist(self) -> dict[SplitName, tuple[np.ndarray, np.ndarray]]:
        root = require_root(self.root, dataset="mnist-svhn")
        read = {which: read_mnist(root, which) for which in SPLITS}
        self._read = {file: md5 for originals in read.values() for file, md5 in originals.digests.items()}
        return {which: (originals.images[:, 0], originals.labels) for which, originals in read.items()}


def make(digits: Mapping[SplitName, tuple[np.ndarray, np.ndarray]]) -> Arrays:
    """All arrays by name: `<split>-<modality>` `[N, 3, 28, 28]` and `<split>-targets`; without the cache.

    Args:
        digits: split -> images `[N, 28, 28]` uint8 and classes `[N]`.
    """
    arrays = {f"{which}-targets": labels for which, (_, labels) in digits.items()}
    for name, background in zip(NAMES, BACKGROUNDS, strict=True):
        photograph = _photograph(background)
        for which, (images, labels) in digits.items():
            order = shuffled_within_class(labels, generator(SEED, "order", name, which))
            places = corners(len(labels), photograph, SIDE, rng=generator(SEED, "patches", name, which))
            arrays[f"{which}-{name}"] = on_patches(images[order], photograph, places)
    return arrays


def shuffled_within_class(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A permutation `[N]` that puts at every place an original of the same class."""
    order = np.empty(len(labels), np.int64)
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        order[rows] = rng.permutation(rows)
    return order


def _photograph(background: Background) -> np.ndarray:
    """The region `[H, W, 3]` uint8. Raises `DataMissing` where the installed package lacks the photograph."""
    from PIL import Image

    file = resources.files(background.package) / background.file
    try:
        with file.open("rb") as stream, Image.open(stream) as image:
            return np.asarray(image.convert("RGB").crop(background.box))
    except FileNotFoundError as error:
        raise DataMissing(
            f"polymnist-local needs the photograph {file}, which the installed {background.package} does not hold; "
            "install the package from PyPI."
        ) from error


def _content_key() -> str:
    """What the pixels depend on: this version, and the libraries that hold and decode the photographs."""
    import matplotlib
    import PIL
    import sklearn
    from PIL import features

    libraries = [PIL.__version__, features.version("jpg"), sklearn.__version__, matplotlib.__version__, np.__version__]
    return content_hash([VERSION, SEED, [[b.package, b.file, b.box] for b in BACKGROUNDS], *libraries])
