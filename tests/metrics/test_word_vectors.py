"""Word and sentence vectors: weights and sums by hand, words that share n-grams, the cache, and no gensim."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmbench.metrics import Skipped
from mmbench.metrics.word_vectors import (
    FastTextProtocol,
    SentenceVectors,
    common_component,
    rarity_weights,
    spoken,
    weighted_means,
    word_vectors,
)
from mmbench.modality import Tokens

WORDS = ("<exc>", "<pad>", "<eos>", "red", "blue", "bird", "wing", "the")
TOKENS = Tokens(len(WORDS), end=2, ignored=1, words=WORDS, hidden=frozenset({1, 2}))
TINY = FastTextProtocol(size=8, epochs=3, buckets=500)


def captions(count=60, seed=0):
    """the (red | blue) (bird | wing) <eos> <pad>"""
    random = np.random.default_rng(seed)
    rows = np.full((count, 5), 1, np.int16)
    rows[:, 0], rows[:, 3] = 7, 2
    rows[:, 1], rows[:, 2] = random.integers(3, 5, count), random.integers(5, 7, count)
    return rows


def test_a_caption_reaches_to_its_first_end_mark():
    rows = np.array([[3, 5, 2, 3, 2], [2, 2, 3, 3, 3], [3, 4, 5, 6, 7]])
    assert spoken(rows, 2).astype(int).tolist() == [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]]
    assert spoken(rows, None).all()


def test_rarity_weights_by_hand():
    found = rarity_weights(np.array([1, 50, 20, 3, 0]), [1, 2], a=0.5)
    np.testing.assert_allclose(found, [0.5 / (0.5 + 0.25), 0, 0, 0.5 / (0.5 + 0.75), 1])


def test_weighted_means_by_hand():
    """Length counts the end mark and padding before it, and neither adds anything; what follows the end is not read."""
    vectors = np.array([[-1, -1], [9, 9], [9, 9], [1, 0], [0, 2]], np.float32)
    weights = np.array([0.5, 0, 0, 1, 0.25])
    rows = np.array([[3, 4, 2, 3], [0, 1, 3, 2], [2, 3, 3, 3], [3, 3, 4, 4]])
    expected = [[1 / 3, 0.5 / 3], [0.5 / 4, -0.5 / 4], [0, 0], [2 / 4, 1 / 4]]
    np.testing.assert_allclose(weighted_means(rows, vectors, weights, 2), expected)


def test_many_rows_are_the_rows_one_by_one():
    random = np.random.default_rng(0)
    vectors, weights, rows = random.normal(size=(9, 4)), random.random(9), random.integers(0, 9, (700, 6))
    together = weighted_means(rows, vectors, weights, 2)
    np.testing.assert_array_equal(
        together, np.concatenate([weighted_means(r[None], vectors, weights, 2) for r in rows])
    )
    assert weighted_means(rows[:0], vectors, weights, 2).shape == (0, 4)


def test_the_common_component_is_the_first_right_singular_vector_of_the_centred_matrix():
    random = np.random.default_rng(0)
    sentences = random.normal(size=(50, 6)) * [1, 5, 1, 2, 1, 1] + [0, 0, 40, 0, 0, 0]
    first = np.linalg.svd(sentences - sentences.mean(0))[2][0]
    assert abs(common_component(sentences) @ first) == pytest.approx(1)
    assert abs(common_component(sentences)[2]) < 0.3  # the mean is large, and no component


def test_sentences_have_nothing_left_along_the_common_component():
    found = SentenceVectors.fitted(captions(), TOKENS, cache=None, protocol=TINY)
    vectors = found.of(captions(20, seed=1))
    np.testing.assert_allclose(vectors @ found.common, 0, atol=1e-12)
    assert np.linalg.norm(found.common) == pytest.approx(1)
    raw = weighted_means(captions(20, seed=1), found.vectors, found.weights, 2)
    np.testing.assert_allclose(vectors, raw - (raw @ found.common)[:, None] * found.common)


def test_frequencies_are_those_of_words_in_training_captions():
    rows = captions()
    rows[0] = [0, 3, 2, 0, 0]  # the unknown word once, red once; what follows the end is no word
    found = SentenceVectors.fitted(rows, TOKENS, cache=None, protocol=TINY)
    words = 59 * 3 + 2
    assert found.weights[0] == pytest.approx(1e-3 / (1e-3 + 1 / words))
    assert found.weights[7] == pytest.approx(1e-3 / (1e-3 + 59 / words))
    assert found.weights[[1, 2]].tolist() == [0, 0]


def test_unknown_words_have_a_constant_vector_and_marks_none():
    for hidden in ({1, 2}, {0, 1, 2}):
        tokens = Tokens(len(WORDS), end=2, ignored=0, words=WORDS, hidden=frozenset(hidden))
        found = SentenceVectors.fitted(captions(), tokens, cache=None, protocol=TINY)
        assert (found.vectors[0] == -1).all()
        assert found.weights[0] == 1  # it never occurs in training
        assert not found.vectors[[1, 2]].any()
        assert (np.abs(found.vectors[3:]).sum(1) > 0).all()


def test_words_of_one_company_and_spelling_are_close():
    """With enough of them: words that stand in one another's place are closer than those that do not."""
    random = np.random.default_rng(0)
    sentences = [
        [random.choice(["red", "reddish", "blue"]), random.choice(["bird", "birds"]), "sings"] for _ in range(2000)
    ]
    words = ["red", "reddish", "bird", "birds", "sings"]
    red, reddish, bird, birds, _ = word_vectors(sentences, words, FastTextProtocol(size=20, buckets=2000))

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine(red, reddish) > cosine(red, bird)
    assert cosine(bird, birds) > cosine(birds, reddish)


def test_a_rare_word_has_a_vector_of_its_n_grams():
    sentences = [["red", "bird"]] * 5 + [["redbird"]]
    found = word_vectors(sentences, ["red", "bird", "redbird", ""], TINY)
    assert found.shape == (4, 8)
    assert found.dtype == np.float32
    assert np.abs(found[2]).sum() > 0
    assert not found[3].any()


def test_the_order_of_captions_does_not_matter_and_their_content_does():
    rows = captions()
    first, turned = (SentenceVectors.fitted(r, TOKENS, cache=None, protocol=TINY) for r in (rows, rows[::-1]))
    np.testing.assert_array_equal(first.vectors, turned.vectors)
    assert first.digest == turned.digest
    other = SentenceVectors.fitted(captions(seed=3), TOKENS, cache=None, protocol=TINY)
    assert other.digest != first.digest
    beyond = rows.copy()
    beyond[:, 4] = 3  # behind the end mark
    assert SentenceVectors.fitted(beyond, TOKENS, cache=None, protocol=TINY).digest == first.digest


def test_the_same_captions_give_the_same_vectors_in_every_process():
    """Python salts its hashes anew in each, and gensim would start words from them."""
    code = (
        "from mmbench.metrics.word_vectors import *;"
        "import hashlib;"
        "v = word_vectors([['red', 'bird'], ['blue', 'bird']] * 9, ['red', 'blue'], FastTextProtocol(8, buckets=99));"
        "print(hashlib.sha256(v.tobytes()).hexdigest())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=True,
        text=True,
    )
    own = word_vectors([["red", "bird"], ["blue", "bird"]] * 9, ["red", "blue"], FastTextProtocol(8, buckets=99))
    assert found.stdout.strip() == hashlib.sha256(own.tobytes()).hexdigest()


def test_vectors_are_kept_as_plain_arrays_and_read_back(tmp_path, monkeypatch):
    first = SentenceVectors.fitted(captions(), TOKENS, cache=tmp_path, protocol=TINY)
    (path,) = tmp_path.glob("word-vectors-*.npz")
    with np.load(path, allow_pickle=False) as file:
        assert file["vectors"].dtype == np.float32
    with monkeypatch.context() as patch:
        patch.setattr("mmbench.metrics.word_vectors.word_vectors", None)  # not trained again
        again = SentenceVectors.fitted(captions(), TOKENS, cache=tmp_path, protocol=TINY)
    np.testing.assert_array_equal(first.of(captions()), again.of(captions()))
    SentenceVectors.fitted(captions(seed=3), TOKENS, cache=tmp_path, protocol=TINY)
    SentenceVectors.fitted(captions(), TOKENS, cache=tmp_path, protocol=FastTextProtocol(9, epochs=3, buckets=500))
    assert len(list(tmp_path.glob("word-vectors-*.npz"))) == 3


@pytest.mark.parametrize("damage", ["garbage", "cut", "other", "empty"])
def test_a_damaged_file_is_made_again(tmp_path, caplog, damage):
    first = SentenceVectors.fitted(captions(), TOKENS, cache=tmp_path, protocol=TINY)
    (path,) = tmp_path.glob("word-vectors-*.npz")
    whole = path.read_bytes()
    if damage == "other":
        with np.load(path) as file:
            np.savez(path, **{**file, "vectors": file["vectors"] + 1})
    else:
        path.write_bytes({"garbage": b"garbage", "cut": whole[: len(whole) // 2], "empty": b""}[damage])
    again = SentenceVectors.fitted(captions(), TOKENS, cache=tmp_path, protocol=TINY)
    assert again.digest == first.digest
    assert "made again" in caplog.text
    assert path.read_bytes() == whole


def test_without_gensim_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(Skipped) as reason:
        SentenceVectors.fitted(captions(), TOKENS, cache=None)
    assert str(reason.value) == "word vectors need gensim, which is not installed; pip install 'mmbench[cub]'."


def test_captions_in_which_nothing_recurs_have_no_vectors():
    with pytest.raises(Skipped, match="words that occur 3 times"):
        SentenceVectors.fitted(captions(2), TOKENS, cache=None, protocol=TINY)
