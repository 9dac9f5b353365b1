"""Words, vocabulary and tokens: NLTK's own tokenizer, counts by hand, and what is put back together."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer

from mmbench.datasets.vocabulary import END, MARKS, PADDING, UNKNOWN, encoded, vocabulary, words_of
from mmbench.modality import Tokens


@pytest.mark.parametrize(
    "text, words",
    [
        ("a red bird.", ["a", "red", "bird", "."]),
        ("a red bird", ["a", "red", "bird"]),
        ("red, with it's beak", ["red", ",", "with", "it", "'s", "beak"]),
        ("it is red. it isn't big!  is it?", ["it", "is", "red", ".", "it", "is", "n't", "big", "!", "is", "it", "?"]),
        ("a white-fronted bird/duck", ["a", "white-fronted", "bird/duck"]),
        ("4.5 inches long.", ["4.5", "inches", "long", "."]),
    ],
)
def test_words_stand_apart_from_marks_and_sentences_from_one_another(text: str, words: list[str]) -> None:
    assert words_of([text]) == [words]


def test_a_text_of_one_sentence_is_cut_as_nltk_cuts_it() -> None:
    texts = [
        "this bird's bill (long, black) isn't red; it's 'grey'.",
        'a "big" bird with 20% white',
        "can't cannot ...",
    ]
    assert words_of(texts) == [NLTKWordTokenizer().tokenize(text) for text in texts]


def test_the_vocabulary_holds_what_occurs_often_enough_in_order_of_appearance() -> None:
    words = [chr(ord("a") + i) for i in range(8)]
    drawn = [word for i, word in enumerate(words) for _ in range(i + 1)]
    random.shuffle(drawn)
    found = vocabulary([drawn[:10], drawn[10:]], more_than=3)
    assert found[:3] == MARKS
    assert set(found[3:]) == {word for word, count in Counter(drawn).items() if count > 3}
    assert list(found[3:]) == sorted(found[3:], key=drawn.index)


def test_a_mark_that_is_written_in_a_text_is_no_second_token() -> None:
    assert vocabulary([["<pad>"] * 5, ["bird"] * 5]) == (*MARKS, "bird")


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=9), min_size=1, max_size=6), st.integers(2, 8))
def test_rows_have_one_end_mark_then_padding_and_give_back_the_text(sentences: list[list[str]], length: int) -> None:
    words = (*MARKS, "a", "b", "c", "d")
    rows = encoded(sentences, words, length=length)
    assert rows.shape == (len(sentences), length)
    assert rows.dtype == np.int32
    tokens = Tokens(len(words), end=END, ignored=PADDING, words=words, hidden=frozenset({PADDING, END}))
    for sentence, row in zip(sentences, rows.tolist(), strict=True):
        assert row.count(END) == 1
        end = row.index(END)
        assert end == min(len(sentence), length - 1)
        assert set(row[end + 1 :]) <= {PADDING}
        known = [word if word in words else MARKS[UNKNOWN] for word in sentence[: length - 1]]
        assert tokens.text(row) == " ".join(known)
