"""MNIST-SVHN-Text: MNIST-SVHN with a third modality, the digit's word at a random place in eight characters.

Source: Sutter et al., Multimodal Generative Learning Utilizing Jensen-Shannon-Divergence, NeurIPS 2020 (mmJSD), and
Sutter et al., Generalized Multimodal ELBO, ICLR 2021 (MoPoE). Images are those of `mnist-svhn`, from the same files;
texts are made by mmbench (see `digit_words`, also for what the released code does otherwise), one for each MNIST image.
Rows are paired 1-1-1 by class; `pairs=20` gives the repeated pairing of both papers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Reader, Split, SplitName
from mmbench.datasets.digit_words import TEXT, digit_reader, places_setting, provenance_with_text, with_text
from mmbench.datasets.mnist_svhn import MnistSvhn
from mmbench.datasets.pairing import pair_by_class
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["MnistSvhnText", "MnistSvhnTextSettings"]

SPLITS: tuple[SplitName, ...] = ("train", "test")


@dataclass(frozen=True)
class MnistSvhnTextSettings(DatasetSettings):
    """Settings of `mnist-svhn-text` (section `data`)."""

    places: str = places_setting()


@DATASETS.register("mnist-svhn-text")
class MnistSvhnText(Dataset):
    """MNIST-SVHN, read from files below `root`, and digit words."""

    name = "mnist-svhn-text"
    description = "MNIST (1x28x28) paired by class with SVHN (3x32x32) and the digit's word in 8 characters"
    Settings = MnistSvhnTextSettings
    references: ClassVar[tuple[str, ...]] = (
        "Sutter et al., Multimodal Generative Learning Utilizing Jensen-Shannon-Divergence, NeurIPS 2020",
        "Sutter et al., Generalized Multimodal ELBO, ICLR 2021",
        *MnistSvhn.references,
    )
    terms: ClassVar[str] = MnistSvhn.terms
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "small", "latent_dim": 20, "likelihood": "laplace", "scale": 1.0, "rescale": "none"},
        "train": {"batch_size": 128, "lr": 1e-3, "steps": 2000},
    }
    settings: MnistSvhnTextSettings

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._images = MnistSvhn(settings, root)
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
            self._made[which] = with_text(images, "mnist", split=which, places=self.settings.places)
        return self._made[which]

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        targets = self.split(which).targets
        return pair_by_class(targets, names=tuple(targets), rng=generator(seed, "pairing", which))

    def provenance(self) -> Mapping[str, Any]:
        """That of the files, with the texts' counts; `published` speaks of the images."""
        return provenance_with_text(self._images.provenance(), {which: self.split(which) for which in SPLITS})

    def reader(self, name: str) -> Reader | None:
        return digit_reader() if name == TEXT.name else None

    @classmethod
    def fetch(cls, root: Path) -> str:
        return f"{cls.name} is made of the files of {MnistSvhn.name}: {MnistSvhn.fetch(root)}"

    @classmethod
    def verify(cls, root: Path | None) -> str:
        return f"{cls.name} is made of the files of {MnistSvhn.name}: {MnistSvhn.verify(root)}"
