"""Captions: the words of each level, and reading by place, to the letter of the grammar."""

from itertools import product

import numpy as np
import pytest

from mmbench.datasets.sprites_captions import LENGTH, TOKENS, captions, read_captions
from mmbench.datasets.sprites_drawing import ATTRIBUTES

ALL = np.array(list(product(*[range(len(values)) for values in ATTRIBUTES.values()])))


def tokens(text: str) -> np.ndarray:
    """A row of these words, padded."""
    row = [TOKENS.words.index(word) for word in text.split()]
    return np.array([row + [0] * (LENGTH - len(row))])


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (1, "heart"),
        (2, "small heart"),
        (3, "small blue heart"),
        (4, "small blue heart at bottom left"),
        (5, "small blue heart at bottom left on light"),
    ],
)
def test_the_text_of_each_level(level: int, text: str) -> None:
    (row,) = captions(np.array([[1, 0, 2, 2, 1]]), level)
    assert TOKENS.text(row) == text
    assert row.tolist() == tokens(f"{text} <eos>")[0].tolist()


@pytest.mark.parametrize("level", range(1, 6))
def test_every_caption_is_read_as_it_was_written_and_no_two_are_the_same(level: int) -> None:
    rows = captions(ALL, level)
    assert rows.dtype == np.int32
    assert rows.min() >= 0
    assert rows.max() < TOKENS.vocabulary == len(TOKENS.words)
    assert np.array_equal(read_captions(rows, level), ALL[:, :level])
    different = np.unique(ALL[:, :level], axis=0)
    assert len(np.unique(rows, axis=0)) == len(different)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("small red heart at top left on dark <eos>", [1, 0, 0, 0, 0]),
        ("red small heart at top left on dark <eos>", [1, -1, -1, 0, 0]),  # two words in each other's places
        ("small heart <eos>", [-1, 0, -1, -1, -1]),  # the grammar of another level
        ("small <pad> heart at top left on dark <eos>", [1, 0, -1, 0, 0]),
        ("small red heart at top <eos> on dark <eos>", [1, 0, 0, -1, -1]),  # nothing is text behind the end
        ("small red heart at left top on dark <eos>", [1, 0, 0, -1, 0]),
        ("small red heart on top left on dark <eos>", [1, 0, 0, -1, 0]),
        ("small red heart at top left on dark dark", [1, 0, 0, 0, -1]),  # goes on where it should end
        ("small red heart at top left on dark", [1, 0, 0, 0, -1]),  # never ends
        ("<eos> small red heart at top left on dark", [-1, -1, -1, -1, -1]),
        ("", [-1, -1, -1, -1, -1]),
    ],
)
def test_what_is_not_of_the_grammar_is_not_recognised(text: str, read: list[int]) -> None:
    assert read_captions(tokens(text), 5).tolist() == [read]


def test_words_behind_the_end_are_not_looked_at() -> None:
    assert read_captions(tokens("small heart <eos> heart on <eos> red"), 2).tolist() == [[1, 0]]
    assert read_captions(tokens("small heart heart <eos>"), 2).tolist() == [[-1, 0]]


def test_random_words_are_hardly_ever_a_caption() -> None:
    rows = np.random.default_rng(0).integers(TOKENS.vocabulary, size=(20000, LENGTH))
    read = read_captions(rows, 3) >= 0
    # places 1 to 3 of 20 words each: 2 sizes, 5 colours, 3 shapes followed by the end, none behind an earlier end
    expected = np.array([3 / 20 * 1 / 20 * (19 / 20) ** 2, 2 / 20, 5 / 20 * 19 / 20])
    assert read.mean(0) == pytest.approx(expected, abs=4 * np.sqrt(0.25 * 0.75 / 20000))
