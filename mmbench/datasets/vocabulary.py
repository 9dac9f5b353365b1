"""Words of sentences, a vocabulary, and rows of tokens.

Words are those of NLTK's Treebank rules (Bird, Klein & Loper, Natural Language Processing with Python, O'Reilly 2009;
rules by R. MacIntyre), which need no downloaded data. NLTK's `word_tokenize`, which the MMVAE code uses, first cuts
the text into sentences by its trained Punkt model, so that the full stop within a caption stands apart; here a sentence
ends at every full stop, question or exclamation mark before white space, which differs where an abbreviation has one:
in 1 of the 88,550 training captions of CUB, which give 1856 words either way.

The vocabulary is the MMVAE code's: three marks, then the words that occur more than three times, in order of their
first occurrence. A row is a sentence's first words, the end mark, and padding.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

__all__ = ["END", "MARKS", "PADDING", "UNKNOWN", "encoded", "vocabulary", "words_of"]

MARKS = ("<exc>", "<pad>", "<eos>")
UNKNOWN, PADDING, END = range(3)
SENTENCE_END = re.compile(r"(?<=[.?!])\s+")


def words_of(texts: Iterable[str]) -> list[list[str]]:
    """The words of each text.

    >>> words_of(["the bird's beak is black. it isn't long, though."])
    [['the', 'bird', "'s", 'beak', 'is', 'black', '.', 'it', 'is', "n't", 'long', ',', 'though', '.']]
    """
    from nltk.tokenize.destructive import NLTKWordTokenizer

    tokenize = NLTKWordTokenizer().tokenize
    return [[word for part in SENTENCE_END.split(text) for word in tokenize(part)] for text in texts]


def vocabulary(sentences: Iterable[Sequence[str]], *, more_than: int = 3) -> tuple[str, ...]:
    """The text of each token: the marks, then the words that occur more than `more_than` times, first come first.

    >>> vocabulary([["a", "red", "bird"], ["a", "bird"]], more_than=1)
    ('<exc>', '<pad>', '<eos>', 'a', 'bird')
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    return (*MARKS, *(word for word, count in counts.items() if count > more_than and word not in MARKS))


def encoded(sentences: Sequence[Sequence[str]], words: Sequence[str], *, length: int) -> np.ndarray:
    """Rows of tokens int32 `[N, length]`, each with an end mark: a sentence that is longer loses its last words.

    >>> encoded([["a", "red", "bird"], ["a"]], ("<exc>", "<pad>", "<eos>", "a", "bird"), length=3).tolist()
    [[3, 0, 2], [3, 2, 1]]
    """
    token_of: Mapping[str, int] = {word: token for token, word in enumerate(words)}
    rows = np.full((len(sentences), length), PADDING, np.int32)
    for row, sentence in zip(rows, sentences, strict=True):
        tokens = [token_of.get(word, UNKNOWN) for word in sentence[: length - 1]]
        row[: len(tokens) + 1] = [*tokens, END]
    return rows
