"""Digit words: each text is one word and blanks, at every place it fits, and the reader undoes it exactly."""

from collections import Counter

import numpy as np
import pytest

from mmbench.datasets.digit_words import LENGTH, TEXT, WORDS, digit_reader, texts

DIGITS = np.arange(5000) % 10


def strings(rows: np.ndarray) -> list[str]:
    assert TEXT.tokens is not None
    return [TEXT.tokens.text(row) for row in rows.tolist()]


def tokens(*wanted: str) -> np.ndarray:
    """Texts to tokens, from the modality's own list of characters."""
    assert TEXT.tokens is not None
    return np.array([[TEXT.tokens.words.index(c) for c in text.ljust(LENGTH)] for text in wanted])


def test_the_alphabet_is_the_blank_and_the_lower_case_letters_and_all_count() -> None:
    assert TEXT.kind == "tokens"
    assert TEXT.tokens is not None
    assert len(TEXT.tokens.words) == TEXT.tokens.vocabulary == 27
    assert (TEXT.tokens.end, TEXT.tokens.ignored, TEXT.tokens.hidden) == (None, None, frozenset())


def test_every_text_has_eight_characters_and_is_the_word_of_its_digit_between_blanks() -> None:
    rows = texts(DIGITS, split="train")
    assert rows.dtype == np.int16
    assert rows.shape == (5000, 8)
    found = strings(rows)
    assert {len(text) for text in found} == {8}
    assert [text.replace(" ", "") for text in found] == [WORDS[digit] for digit in DIGITS]
    assert all(WORDS[digit] in text for digit, text in zip(DIGITS, found, strict=True))


@pytest.mark.parametrize(("places", "last"), [("all", 8), ("released", 7)])
def test_a_word_stands_at_every_place_that_is_allowed_about_equally_often(places: str, last: int) -> None:
    found = strings(texts(DIGITS, split="train", places=places))
    for word in WORDS:
        seen = Counter(len(text) - len(text.lstrip()) for text in found if word in text)
        assert sorted(seen) == list(range(last - len(word) + 1))
        # 500 texts a word at up to 6 places; five standard deviations of a binomial share are below 0.12
        assert max(seen.values()) / 500 - min(seen.values()) / 500 < 0.12


def test_a_text_depends_on_its_split_and_index_and_not_on_how_many_there_are() -> None:
    rows = texts(DIGITS, split="train")
    assert np.array_equal(texts(DIGITS[:70], split="train"), rows[:70])
    assert not np.array_equal(texts(DIGITS, split="test"), rows)
    others = DIGITS.copy()
    others[3] = 7
    changed = (texts(others, split="train") != rows).any(axis=1)
    assert changed.nonzero()[0].tolist() == [3]


def test_the_reader_undoes_texts_and_refuses_everything_else() -> None:
    reader = digit_reader()
    assert reader.attributes == {"digit": WORDS}
    assert np.array_equal(reader.read(texts(DIGITS, split="test").astype(np.int64)), DIGITS[:, None])
    wrong = tokens("", "thre", "threee", "th ree", "one one", "xthree", "oneseven")
    assert reader.read(wrong).tolist() == [[-1]] * len(wrong)
    assert reader.read(tokens("   seven", "nine", " zero")).tolist() == [[7], [9], [0]]
    assert reader.read(tokens()).shape == (0, 1)
