"""Image and caption that mmbench makes itself, in five levels of difficulty, with an exact reading of both.

After CdSprites+, whose levels name shape; + size; + colour; + position; + background. Captions are words in a fixed
order (see `sprites_captions`), images are drawn anew (see `sprites_drawing`, which says where they differ from those of
CdSprites+), and rules read every attribute from either (see `sprites_reading`): a generation is scored without a
trained judge. Numbers are not comparable with those published for CdSprites+: its images are textured, its captions are
read letter by letter, and its judges of images are trained.

A row is an image with the caption that was written for it. Pairing anew within a class would join an image with the
caption of another, so that `data.pairs` is 1. The class of a row is its shape. Images of `size=small` are learned in
about a minute on a CPU; `full` has the 64x64 pixels of CdSprites+.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmbench.config import content_hash, setting
from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Reader, Split, SplitName
from mmbench.datasets.cache import Arrays, arrays_digest, cached
from mmbench.datasets.sprites_captions import LENGTH, TOKENS, captions, read_captions
from mmbench.datasets.sprites_drawing import ATTRIBUTES, LEVELS, draw, scenes
from mmbench.datasets.sprites_reading import read_sprites
from mmbench.errors import InvalidSetting
from mmbench.modality import ModalitySpec

__all__ = ["CdSprites", "CdSpritesSettings"]

VERSION = 1  # raised whenever the content changes
SEED = 20230617
COUNTS: Mapping[SplitName, int] = {"train": 6000, "test": 1000}
SIDES = {"small": 32, "full": 64}
NAMES = ("image", "caption")


@dataclass(frozen=True)
class CdSpritesSettings(DatasetSettings):
    """Settings of `cdsprites` (section `data`)."""

    pairs: int = setting(1, low=1, high=1, help="Only 1: an image belongs to its own caption, not to its class.")
    level: int = setting(
        3, low=1, high=LEVELS, help="What captions name: 1 shape, 2 + size, 3 + colour, 4 + position, 5 + background."
    )
    size: str = setting("small", choices=("small", "full"), help="small: 3x32x32 pixels; full: 3x64x64.")


@DATASETS.register("cdsprites")
class CdSprites(Dataset):
    """Drawn sprites with their captions."""

    name = "cdsprites"
    description = "drawn sprites (3x32x32) with captions of five levels, attributes read exactly; no download"
    Settings = CdSpritesSettings
    references: ClassVar[tuple[str, ...]] = (
        "Sejnova, Vavrecka & Stepanova, Benchmarking Multimodal Variational Autoencoders: CdSprites+ Dataset and "
        "Toolkit, 2022, arXiv:2209.03048",
        "Matthey, Higgins, Hassabis & Lerchner, dSprites: Disentanglement testing Sprites dataset, 2017",
    )
    terms: ClassVar[str] = "Made by mmbench after the description of CdSprites+; nothing of it is contained."
    # Normal, since a Laplace location is the median over what is not known yet, where rare corners of shapes vanish.
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "small", "latent_dim": 16, "likelihood": "normal", "scale": 0.1, "rescale": "largest"},
        "train": {"batch_size": 128, "lr": 2e-3, "steps": 1400},
    }
    default_metrics: ClassVar[tuple[str, ...] | None] = (
        "attribute_coherence",
        "caption_quality",
        "classifier_accuracy",
        "cross_coherence",
        "joint_coherence",
        "latent_accuracy",
        "log_likelihood",
        "relatedness",
        "samples",
    )
    settings: CdSpritesSettings

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        if settings.pairs != 1:
            raise InvalidSetting(
                f"dataset {self.name!r} pairs each image with its own caption; use data.pairs=1, not {settings.pairs}."
            )
        super().__init__(settings, root)
        self._made: Arrays | None = None

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        side = SIDES[self.settings.size]
        image, caption = NAMES
        return (
            ModalitySpec(image, "image", (3, side, side)),
            ModalitySpec(caption, "tokens", (LENGTH,), TOKENS),
        )

    @property
    def classes(self) -> int:
        return len(ATTRIBUTES["shape"])

    def split(self, which: SplitName) -> Split:
        arrays = self._arrays()
        return Split(
            arrays={name: arrays[f"{which}-{name}"] for name in NAMES},
            targets=dict.fromkeys(NAMES, arrays[f"{which}-shape"]),
        )

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        """Image i with caption i, whatever the seed."""
        return Pairing(NAMES, np.stack([np.arange(COUNTS[which])] * len(NAMES), axis=1))

    def provenance(self) -> Mapping[str, Any]:
        counts = {which: dict.fromkeys(NAMES, count) for which, count in COUNTS.items()}
        return {"status": "embedded", "counts": counts, "digest": arrays_digest(self._arrays())[:16]}

    def reader(self, name: str) -> Reader | None:
        """What the level names, read from images by the likest drawn sprite and from captions by their grammar."""
        level = self.settings.level
        named = dict(list(ATTRIBUTES.items())[:level])
        if name == "image":
            return Reader(named, lambda images: read_sprites(images)[:, :level])
        if name == "caption":
            return Reader(named, lambda rows: read_captions(rows, level))
        return None

    def _arrays(self) -> Arrays:
        if self._made is None:
            level, size = self.settings.level, self.settings.size
            key = content_hash([VERSION, SEED, level, size, np.__version__])
            self._made = cached(f"cdsprites-{level}-{size}-{key}", lambda: make(level, size))
        return self._made


def make(level: int, size: str) -> Arrays:
    """All arrays of a level and size by name: `<split>-image`, `-caption` and `-shape`; without the cache."""
    arrays = {}
    for which, count in COUNTS.items():
        described = scenes(count, level=level, seed=SEED, split=which)
        arrays[f"{which}-image"] = draw(described, SIDES[size])
        arrays[f"{which}-caption"] = captions(described.values, level)
        arrays[f"{which}-shape"] = described.values[:, 0]
    return arrays
