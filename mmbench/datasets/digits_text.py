"""MNIST-SVHN-Text offline: the same texts beside the embedded `digits` (handwritten, street, text).

Images are those of `digits`; each split has a text for each of its handwritten digits (see `digit_words`). Nothing is
downloaded. Numbers are not comparable with those of MNIST-SVHN-Text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mmbench.datasets.base import DATASETS
from mmbench.datasets.digit_words import WithDigitWords, places_setting
from mmbench.datasets.digits import Digits, DigitsSettings

__all__ = ["DigitsText", "DigitsTextSettings"]


@dataclass(frozen=True)
class DigitsTextSettings(DigitsSettings):
    """Settings of `digits-text` (section `data`)."""

    places: str = places_setting()


@DATASETS.register("digits-text")
class DigitsText(WithDigitWords):
    """Handwritten digits, street numbers and digit words."""

    name = "digits-text"
    description = "MNIST-SVHN-Text offline: digits (handwritten, street) with the digit's word in 8 characters"
    Images = Digits
    worded = "handwritten"
    Settings = DigitsTextSettings
    references: ClassVar[tuple[str, ...]] = (
        *Digits.references,
        "Sutter et al., Generalized Multimodal ELBO, ICLR 2021 (the text modality)",
    )
    terms: ClassVar[str] = Digits.terms
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Digits.common,
        "arch": {**Digits.common["arch"], "rescale": "largest"},  # as the papers of MNIST-SVHN-Text do
    }
