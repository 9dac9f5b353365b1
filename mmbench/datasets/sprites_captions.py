"""Captions of sprites: "small red heart at top left on dark", one token a word, and reading them back by their grammar.

A caption has a phrase for each attribute that its level names, always in the same order, so that a phrase has its
places. Reading is by place: an attribute is -1 where its places hold no phrase of its own, be it that a word is wrong,
missing or in another place, or that the text has ended before. The end mark belongs to the last phrase, so that a
caption that goes on after it is no caption either; what stands behind the end mark is not looked at. Captions of all
levels have the same nine places and the same vocabulary.
"""

from collections.abc import Iterator

import numpy as np

from mmbench.datasets.sprites_drawing import ATTRIBUTES
from mmbench.modality import Tokens

__all__ = ["LENGTH", "TOKENS", "captions", "read_captions"]

PAD, END = 0, 1
LENGTH = 9  # eight words of level 5, and the end mark
ORDER = ("size", "colour", "shape", "position", "background")
BEFORE = {"position": "at ", "background": "on "}
WORDS = (
    "<pad>",
    "<eos>",
    *(word for name in ("size", "colour", "shape") for word in ATTRIBUTES[name]),
    *("at", "top", "bottom", "left", "right"),
    *("on", "dark", "light"),
)
TOKENS = Tokens(len(WORDS), end=END, ignored=PAD, words=WORDS, hidden=frozenset({PAD, END}))


def captions(values: np.ndarray, level: int) -> np.ndarray:
    """Tokens `[N, 9]` int32 of captions that name the first `level` attributes.

    Args:
        values: index of each attribute's value `[N, 5]`, in the order of `ATTRIBUTES`.
    """
    rows = np.full((len(values), LENGTH), PAD, np.int32)
    for attribute, at, phrases in _phrases(level):
        rows[:, at : at + phrases.shape[1]] = phrases[values[:, attribute]]
    return rows


def read_captions(rows: np.ndarray, level: int) -> np.ndarray:
    """Index of the value of each of the first `level` attributes; -1 where the caption names none.

    Args:
        rows: tokens `[B, 9]`, any integers.

    Returns:
        `[B, level]` int64.
    """
    ends = rows == END
    text = np.where(ends.cumsum(axis=1) - ends > 0, PAD, rows)
    read = np.full((len(rows), level), -1)
    for attribute, at, phrases in _phrases(level):
        same = (text[:, None, at : at + phrases.shape[1]] == phrases).all(axis=2)
        read[:, attribute] = np.where(same.any(axis=1), same.argmax(axis=1), -1)
    return read


def _phrases(level: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Each attribute of a caption: its index, its first place, and the tokens of its phrases `[values, places]`."""
    named = list(ATTRIBUTES)[:level]
    ordered = [name for name in ORDER if name in named]
    at = 0
    for name in ordered:
        after = " <eos>" if name == ordered[-1] else ""
        texts = [f"{BEFORE.get(name, '')}{value}{after}" for value in ATTRIBUTES[name]]
        phrases = np.array([[WORDS.index(word) for word in text.split()] for text in texts], np.int32)
        yield named.index(name), at, phrases
        at += phrases.shape[1]
