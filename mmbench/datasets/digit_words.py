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
from typing import Any

import numpy as np

from mmbench.config import setting
from mmbench.datasets.base import Reader, Split, SplitName
from mmbench.datasets.cache import arrays_digest
from mmbench.datasets.files import combined_digest
from mmbench.modality import ModalitySpec, Tokens
from mmbench.seeding import generator

__all__ = [
    "LENGTH",
    "TEXT",
    "WORDS",
    "digit_reader",
    "places_setting",
    "provenance_with_text",
    "texts",
    "with_text",
]

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LENGTH = 8
ALPHABET = " abcdefghijklmnopqrstuvwxyz"
TOKENS = Tokens(len(ALPHABET), words=tuple(ALPHABET), joiner="")
TEXT = ModalitySpec("text", "tokens", (LENGTH,), TOKENS)
SEED = 20220425


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


def with_text(images: Split, of: str, *, split: SplitName, places: str) -> Split:
    """A split of images with one text more for each original of modality `of`, of the same class."""
    digits = images.targets[of]
    words = texts(digits, split=split, places=places)
    return Split({**images.arrays, TEXT.name: words}, {**images.targets, TEXT.name: digits})


def provenance_with_text(images: Mapping[str, Any], splits: Mapping[SplitName, Split]) -> dict[str, Any]:
    """The provenance of images with the texts' counts and content; its `status` is still that of the images."""
    words = {str(which): split.arrays[TEXT.name] for which, split in splits.items()}
    return {
        **images,
        "counts": {which: {**images["counts"][which], TEXT.name: len(rows)} for which, rows in words.items()},
        "digest": combined_digest({"images": images["digest"], "text": arrays_digest(words)}),
    }


def digit_reader() -> Reader:
    """Which digit a text names: the whole text without the blanks around it must be one of the words."""
    return Reader(attributes={"digit": WORDS}, read=_read)


def _read(rows: np.ndarray) -> np.ndarray:
    """Texts `[B, 8]` to digits `[B, 1]`, -1 where a text is no digit word."""
    digits = {word: digit for digit, word in enumerate(WORDS)}
    found = [digits.get(TOKENS.text(row).strip(" "), -1) for row in rows.tolist()]
    return np.array(found, np.int64).reshape(-1, 1)
