"""The text modality of MNIST-SVHN-Text: the English word of a digit at a random place in eight characters.

Source: Sutter et al., Multimodal Generative Learning Utilizing Jensen-Shannon-Divergence, NeurIPS 2020 (mmJSD), and
Sutter et al., Generalized Multimodal ELBO, ICLR 2021 (MoPoE), with their released code (thomassutter/MoPoE). Every
character around the word is a blank, which counts like a letter: no place is padding, and a model has to get all eight
right. The alphabet is the blank and the 26 lower-case letters; the released one has 71 characters, most of which stand
in no word.

The released code draws a place anew whenever a row is used. Here a text is an original like an image: its place is
fixed, drawn from a constant, the split and its index alone. The released code never lets a word reach the last
character (it draws from 0..L-1-n for a word of n letters, where 0..L-n fit); `all` draws from every place, as the
papers' "random" says, and `released` from the code's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmbench.config import setting
from mmbench.datasets.base import Dataset, DatasetSettings, Pairing, Reader, Split, SplitName
from mmbench.datasets.cache import arrays_digest
from mmbench.datasets.files import combined_digest
from mmbench.datasets.pairing import pair_by_class
from mmbench.modality import ModalitySpec, Tokens
from mmbench.seeding import generator

__all__ = ["LENGTH", "TEXT", "WORDS", "WithDigitWords", "digit_reader", "places_setting", "texts"]

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LENGTH = 8
ALPHABET = " abcdefghijklmnopqrstuvwxyz"
TOKENS = Tokens(len(ALPHABET), words=tuple(ALPHABET), joiner="")
TEXT = ModalitySpec("text", "tokens", (LENGTH,), TOKENS)
SEED = 20220425
SPLITS: tuple[SplitName, ...] = ("train", "test")


def places_setting() -> Any:
    """The setting `places`, for the settings of a dataset with this modality."""
    return setting(
        "all",
        choices=("all", "released"),
        help="Where a word may stand: at all places; released: never up to the last character, as in the MoPoE code.",
    )


def texts(digits: np.ndarray, *, split: SplitName, places: str = "all") -> np.ndarray:
    """One text for each digit.

    Args:
        digits: the classes `[N]`, in 0..9.
        split: names the random stream; text `i` depends on the split, `i` and its digit alone, not on N.
        places: `all` or `released`.

    Returns:
        `[N, 8]` int16 in 0..26.
    """
    letters = [[ALPHABET.index(letter) for letter in word] for word in WORDS]
    shares = generator(SEED, "text", split).random(len(digits))
    rows = np.full((len(digits), LENGTH), ALPHABET.index(" "), np.int16)
    for row, digit, share in zip(rows, digits.tolist(), shares.tolist(), strict=True):
        word = letters[digit]
        fitting = LENGTH - len(word) + (places == "all")
        start = int(share * fitting)
        row[start : start + len(word)] = word
    return rows


def digit_reader() -> Reader:
    """Which digit a text names: the whole text without the blanks around it must be one of the words."""
    return Reader(attributes={"digit": WORDS}, read=_read)


def _read(rows: np.ndarray) -> np.ndarray:
    """Texts `[B, 8]` to digits `[B, 1]`, -1 where a text is no digit word."""
    digits = {word: digit for digit, word in enumerate(WORDS)}
    found = [digits.get(TOKENS.text(row).strip(" "), -1) for row in rows.tolist()]
    return np.array(found, np.int64).reshape(-1, 1)


class WithDigitWords(Dataset):
    """A dataset of images of digits with a text for each original of one of its modalities.

    Class attributes:
        Images: the dataset of the images; its settings are taken from this one's, which add `places`.
        worded: the modality whose originals each have a text.
    """

    Images: ClassVar[type[Dataset]]
    worded: ClassVar[str]
    settings: Any

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._images = self.Images(settings, root)
        self._made: dict[SplitName, Split] = {}

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return (*self._images.modalities, TEXT)

    @property
    def classes(self) -> int | None:
        return self._images.classes

    def split(self, which: SplitName) -> Split:
        if which not in self._made:
            images = self._images.split(which)
            digits = images.targets[self.worded]
            words = texts(digits, split=which, places=self.settings.places)
            self._made[which] = Split({**images.arrays, TEXT.name: words}, {**images.targets, TEXT.name: digits})
        return self._made[which]

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        targets = self.split(which).targets
        return pair_by_class(targets, names=tuple(targets), rng=generator(seed, "pairing", which))

    def provenance(self) -> Mapping[str, Any]:
        """That of the images with the texts' counts and content; its `status` speaks of the images."""
        images = self._images.provenance()
        words = {str(which): self.split(which).arrays[TEXT.name] for which in SPLITS}
        return {
            **images,
            "counts": {which: {**images["counts"][which], TEXT.name: len(rows)} for which, rows in words.items()},
            "digest": combined_digest({"images": images["digest"], "text": arrays_digest(words)}),
        }

    def reader(self, name: str) -> Reader | None:
        return digit_reader() if name == TEXT.name else None
