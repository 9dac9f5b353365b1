"""MNIST-SVHN-Text offline: the same texts beside the embedded `digits` (handwritten, street, text).

Images are those of `digits`; each split has a text for each of its handwritten digits (see `digit_words`). Nothing is
downloaded. Numbers are not comparable with those of MNIST-SVHN-Text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Reader, Split, SplitName
from mmbench.datasets.digit_words import TEXT, digit_reader, places_setting, provenance_with_text, with_text
from mmbench.datasets.digits import Digits, DigitsSettings
from mmbench.datasets.pairing import pair_by_class
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["DigitsText", "DigitsTextSettings"]

SPLITS: tuple[SplitName, ...] = ("train", "test")


@dataclass(frozen=True)
class DigitsTextSettings(DigitsSettings):
    """Settings of `digits-text` (section `data`)."""

    places: str = places_setting()


@DATASETS.register("digits-text")
class DigitsText(Dataset):
    """Handwritten digits, street numbers and digit words."""

    name = "digits-text"
    description = "MNIST-SVHN-Text offline: digits (handwritten, street) with the digit's word in 8 characters"
    Settings = DigitsTextSettings
    references: ClassVar[tuple[str, ...]] = (
        *Digits.references,
        "Sutter et al., Generalized Multimodal ELBO, ICLR 2021 (the text modality)",
    )
    terms: ClassVar[str] = Digits.terms
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = Digits.common
    settings: DigitsTextSettings

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._images = Digits(settings, root)
        self._made: dict[SplitName, Split] = {}

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return (*self._images.modalities, TEXT)

    @property
    def classes(self) -> int:
        return self._images.classes

    def split(self, which: SplitName) -> Split:
        if which not in self._made:
            images = self._images.split(which)
            self._made[which] = with_text(images, "handwritten", split=which, places=self.settings.places)
        return self._made[which]

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        targets = self.split(which).targets
        return pair_by_class(targets, names=tuple(targets), rng=generator(seed, "pairing", which))

    def provenance(self) -> Mapping[str, Any]:
        return provenance_with_text(self._images.provenance(), {which: self.split(which) for which in SPLITS})

    def reader(self, name: str) -> Reader | None:
        return digit_reader() if name == TEXT.name else None
