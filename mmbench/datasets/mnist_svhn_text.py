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

from mmbench.datasets.base import DATASETS, DatasetSettings
from mmbench.datasets.digit_words import WithDigitWords, places_setting
from mmbench.datasets.mnist_svhn import MnistSvhn

__all__ = ["MnistSvhnText", "MnistSvhnTextSettings"]


@dataclass(frozen=True)
class MnistSvhnTextSettings(DatasetSettings):
    """Settings of `mnist-svhn-text` (section `data`)."""

    places: str = places_setting()


@DATASETS.register("mnist-svhn-text")
class MnistSvhnText(WithDigitWords):
    """MNIST-SVHN, read from files below `root`, and digit words."""

    name = "mnist-svhn-text"
    description = "MNIST (1x28x28) paired by class with SVHN (3x32x32) and the digit's word in 8 characters"
    Images = MnistSvhn
    worded = "mnist"
    Settings = MnistSvhnTextSettings
    references: ClassVar[tuple[str, ...]] = (
        "Sutter et al., Multimodal Generative Learning Utilizing Jensen-Shannon-Divergence, NeurIPS 2020",
        "Sutter et al., Generalized Multimodal ELBO, ICLR 2021",
        *MnistSvhn.references,
    )
    terms: ClassVar[str] = MnistSvhn.terms
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "small", "latent_dim": 20, "likelihood": "laplace", "scale": 1.0, "rescale": "largest"},
        "train": {"batch_size": 128, "lr": 1e-3, "steps": 2000},
    }

    @classmethod
    def fetch(cls, root: Path | None) -> str:
        return f"{cls.name} is made of the files of {MnistSvhn.name}: {MnistSvhn.fetch(root)}"

    @classmethod
    def verify(cls, root: Path | None) -> str:
        return f"{cls.name} is made of the files of {MnistSvhn.name}: {MnistSvhn.verify(root)}"
