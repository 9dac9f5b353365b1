"""Captions as vectors: FastText words, weighted by how rare they are, with their common component removed.

    s(c) = 1 / |c| sum_{w in c} a / (a + freq(w)) v_w,    then    s - (s . u) u                (Arora et al., ICLR 2017)

with a = 1e-3, freq the share of w among the words of the training captions, and u the first right singular vector of
the centred matrix of training captions. A caption reaches up to its first end mark, which counts in its length |c| as
padding in between does; neither has a vector. The word that stands for unknown words keeps its own frequency and has
the constant vector -1, as in the released code of MMVAE (Shi et al. 2019).

v are the vectors of FastText (Bojanowski et al. 2017) as gensim trains it on the training captions: 300 values, window
3, words that occur three times, 10 epochs. N-grams share 200,000 buckets where gensim's default has ten times as many
(2.4 GB of vectors): the words of CUB's captions have 15,000 n-grams. One thread, a seed of its own and captions in an
order that does not depend on the run make the same captions give the same vectors. They are kept in the cache as plain
arrays, never in gensim's pickled format.
"""

import hashlib
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mmbench.config import content_hash
from mmbench.metrics.base import Skipped
from mmbench.metrics.weight_cache import kept_arrays
from mmbench.modality import Tokens
from mmbench.seeding import generator

__all__ = [
    "FASTTEXT",
    "FastTextProtocol",
    "SentenceVectors",
    "common_component",
    "rarity_weights",
    "spoken",
    "weighted_means",
    "word_vectors",
]

VERSION = 1
SEED = 0
RARITY = 1e-3  # a of the weights
UNKNOWN = ("<exc>", "<unk>")  # words that stand for all unknown ones
CHUNK = 256


@dataclass(frozen=True)
class FastTextProtocol:
    """How words get their vectors."""

    size: int = 300
    window: int = 3
    min_count: int = 3
    epochs: int = 10
    buckets: int = 200_000


FASTTEXT = FastTextProtocol()


def spoken(rows: np.ndarray, end: int | None) -> np.ndarray:
    """Which tokens of rows `[B, L]` stand up to and including the first end mark: bool `[B, L]`."""
    if end is None:
        return np.ones(rows.shape, dtype=bool)
    ends = rows == end
    return np.asarray(np.cumsum(ends, axis=1) - ends == 0)


def rarity_weights(counts: np.ndarray, silent: Sequence[int], *, a: float = RARITY) -> np.ndarray:
    """a / (a + freq(w)) of each token `[V]` from how often it occurs; zero for the silent ones, which do not count."""
    heard = counts.astype(np.float64)
    heard[list(silent)] = 0
    weights: np.ndarray = a / (a + heard / max(heard.sum(), 1))
    weights[list(silent)] = 0
    return weights


def weighted_means(rows: np.ndarray, vectors: np.ndarray, weights: np.ndarray, end: int | None) -> np.ndarray:
    """Sum of weighted vectors over the number of tokens up to the end mark: rows `[B, L]` to `[B, D]` in float64.

    Args:
        vectors, weights: of each token, `[V, D]` and `[V]`.
    """
    weighted = vectors.astype(np.float64) * weights[:, None]
    parts = []
    for at in range(0, len(rows), CHUNK):
        part = rows[at : at + CHUNK]
        heard = spoken(part, end)
        parts.append((weighted[part] * heard[..., None]).sum(1) / heard.sum(1, keepdims=True))
    return np.concatenate(parts) if parts else np.empty((0, vectors.shape[1]))


def common_component(sentences: np.ndarray) -> np.ndarray:
    """The first right singular vector `[D]` of the centred matrix of sentences `[N, D]`."""
    mean = sentences.mean(0)
    scatter = sentences.T @ sentences - len(sentences) * np.outer(mean, mean)
    return np.asarray(np.linalg.eigh(scatter)[1][:, -1])


def word_vectors(sentences: Sequence[Sequence[str]], words: Sequence[str], protocol: FastTextProtocol) -> np.ndarray:
    """FastText vectors `[V, D]` float32 of `words`, trained on sentences; zeros for a word without a letter.

    Raises:
        Skipped: gensim is not installed, or no word occurs often enough.
    """
    _gensim_version()
    from gensim.models import FastText

    counts = Counter(word for sentence in sentences for word in sentence)
    if max(counts.values(), default=0) < protocol.min_count:
        raise Skipped(f"word vectors need words that occur {protocol.min_count} times in the training captions.")
    model = FastText(
        sentences=[list(sentence) for sentence in sentences],
        vector_size=protocol.size,
        window=protocol.window,
        min_count=protocol.min_count,
        epochs=protocol.epochs,
        bucket=protocol.buckets,
        seed=SEED,
        workers=1,
        hashfxn=_checksum,  # the default, Python's hash, is salted anew in every process
    )
    zero = np.zeros(protocol.size, np.float32)
    return np.stack([np.asarray(model.wv[word], np.float32) if word else zero for word in words])


@dataclass(frozen=True)
class SentenceVectors:
    """Rows of tokens to vectors.

    Attributes:
        vectors: of each token, `[V, D]` float32.
        weights: of each token, `[V]`.
        common: the component that is removed, `[D]` of length 1.
        end: the end mark.
        digest: of the word vectors, first 16 hexadecimal digits.
    """

    vectors: np.ndarray
    weights: np.ndarray
    common: np.ndarray
    end: int | None
    digest: str

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The vectors `[B, D]` in float64 of rows of tokens `[B, L]`."""
        raw = weighted_means(rows, self.vectors, self.weights, self.end)
        return np.asarray(raw - np.outer(raw @ self.common, self.common))

    @classmethod
    def fitted(
        cls, rows: np.ndarray, tokens: Tokens, *, cache: Path | None, protocol: FastTextProtocol = FASTTEXT
    ) -> "SentenceVectors":
        """Fit words, weights and common component on training captions.

        Args:
            rows: training captions `[N, L]`.
            cache: folder in which word vectors are kept; None keeps nothing.

        Raises:
            Skipped: gensim is not installed, or there is nothing to learn words from.
        """
        silent, unknown = _silent(tokens), [t for t, word in enumerate(tokens.words) if word in UNKNOWN]
        held = _in_own_order(np.where(spoken(rows, tokens.end), rows, -1))
        path = None if cache is None else cache / f"word-vectors-{_key(held, tokens, protocol)}.npz"

        def make() -> Mapping[str, np.ndarray]:
            sentences = [[tokens.words[t] for t in row if t >= 0 and t not in silent] for row in held.tolist()]
            return {"vectors": word_vectors(sentences, tokens.words, protocol)}

        vectors = kept_arrays(path, make)["vectors"].copy()
        vectors[silent], vectors[unknown] = 0, -1
        counts = np.bincount(held[held >= 0], minlength=tokens.vocabulary)
        weights = rarity_weights(counts, silent)
        common = common_component(weighted_means(rows, vectors, weights, tokens.end))
        digest = hashlib.sha256(np.ascontiguousarray(vectors, "<f4").tobytes()).hexdigest()[:16]
        return cls(vectors, weights, common, tokens.end, digest)


def _silent(tokens: Tokens) -> list[int]:
    """Tokens that have no vector: those without text, except the word for unknown words."""
    return sorted(t for t in {*tokens.hidden, *_known(tokens.end)} if tokens.words[t] not in UNKNOWN)


def _known(end: int | None) -> tuple[int, ...]:
    return () if end is None else (end,)


def _in_own_order(rows: np.ndarray) -> np.ndarray:
    """The rows in an order that depends on their content alone, and is no alphabet for the last words to profit of."""
    ordered = rows[np.lexsort(rows.T[::-1])]
    return np.asarray(ordered[generator(SEED, "word-vectors", "order").permutation(len(rows))])


def _key(rows: np.ndarray, tokens: Tokens, protocol: FastTextProtocol) -> str:
    content = {
        "rows": hashlib.sha256(np.ascontiguousarray(rows, "<i4").tobytes()).hexdigest(),
        "shape": rows.shape,
        "words": tokens.words,
        "silent": _silent(tokens),
        "protocol": asdict(protocol),
        "seed": SEED,
        "gensim": _gensim_version(),
        "version": VERSION,
    }
    return content_hash(content)


def _gensim_version() -> str:
    try:
        import gensim
    except ModuleNotFoundError as missing:
        raise Skipped(
            f"word vectors need {missing.name}, which is not installed; pip install 'mmbench[cub]'."
        ) from missing
    return str(gensim.__version__)


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode())
