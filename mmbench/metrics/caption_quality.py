"""Caption quality: how well the model foresees real captions, and how varied its own are.

- `perplexity`: exp(- sum of log p(caption | z) / number of tokens), both over all rows, with z one sample of q(z | x_a)
  a row, and of the tokens that the likelihood counts (end mark included, padding not). Given another modality it says
  how well that one foretells the caption, given the caption itself how well it is reconstructed. V is a blind guess.
- `distinct-n` for n = 1, 2: different n-grams over all n-grams of generated captions (Li et al. 2016), up to their end
  marks, without padding. Captions hold the most probable token at each place, decoded at one sample of q(z | x_a), or
  of the prior. The same number of the real captions of the same rows is `real` in `details`: below it a model repeats
  itself, above it it may write noise. Both fall as rows are added, so that numbers of different numbers of rows do not
  compare; prior samples stand beside as many real captions, taken evenly from all.

`details` hold mean lengths: of counted tokens (`perplexity`), of words (`distinct-n`, with `real_length` beside). Where
tokens are characters the perplexity is one a character, and there is no distinct-n. The standard error of a perplexity
is that of a ratio of sums over rows (delta method), with the noise of the samples of z in it; distinct-n has none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from torch import Tensor

from mmbench.config import setting
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.modality import Tokens
from mmbench.results.records import Score
from mmbench.seeding import RowNoise, stream

__all__ = ["CaptionQuality", "CaptionQualitySettings", "distinct", "perplexity", "written"]

CHUNK = 500
LENGTHS = (1, 2)  # n of distinct-n


@dataclass(frozen=True)
class CaptionQualitySettings:
    """Settings of `caption_quality`."""

    samples: int = setting(1000, low=1, help="Prior samples behind distinct-n, as many as there are test rows at most.")


def perplexity(log_probs: np.ndarray, counts: np.ndarray) -> tuple[float, float | None]:
    """exp(- sum log_probs / sum counts) of rows `[N]`, and its standard error by the delta method (None for one row).

    Args:
        log_probs: log likelihood of each row in nats, summed over its tokens.
        counts: tokens that were summed over.
    """
    rate = -log_probs.sum() / counts.sum()
    with np.errstate(over="ignore"):
        value = float(np.exp(rate))
    n = len(counts)
    if n < 2 or not math.isfinite(value):
        return value, None
    residuals = -log_probs - rate * counts
    return value, value * math.sqrt(n / (n - 1) * float(residuals @ residuals)) / float(counts.sum())


def written(rows: np.ndarray, tokens: Tokens) -> list[list[int]]:
    """The tokens with a text of each row `[N, L]`, up to its first end mark."""
    found = []
    for row in rows.tolist():
        upto = row.index(tokens.end) if tokens.end in row else len(row)
        found.append([token for token in row[:upto] if token not in tokens.hidden])
    return found


def distinct(captions: Sequence[Sequence[int]], n: int) -> float | None:
    """Different n-grams over all n-grams of captions; None where no caption has n tokens."""
    grams = [tuple(caption[i : i + n]) for caption in captions for i in range(len(caption) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


@final
@METRICS.register("caption_quality")
class CaptionQuality(Metric):
    """Perplexity of real captions under the model, and distinct n-grams of generated ones."""

    name = "caption_quality"
    description = "Perplexity of real captions given each modality, and the variety of generated captions (distinct-n)."
    Settings = CaptionQualitySettings
    default = False
    references: ClassVar[tuple[str, ...]] = (
        "Li et al., A Diversity-Promoting Objective Function for Neural Conversation Models, NAACL 2016",
    )

    def prepare(self, context: Context) -> None:
        self._context = context
        self._tokens = {spec.name: spec.tokens for spec in context.modalities if spec.tokens is not None}
        if not self._tokens:
            raise Skipped("no modality of this dataset holds tokens.")
        pairs = [(given, target) for target in self._tokens for given in context.names]
        self._log_probs: dict[tuple[str, str], list[np.ndarray]] = {pair: [] for pair in pairs}
        self._told: dict[tuple[str, str], list[np.ndarray]] = {(a, b): [] for a, b in pairs if a != b}
        self._real: dict[str, list[np.ndarray]] = {name: [] for name in self._tokens}

    def update(self, view: View) -> None:
        for name, real in self._real.items():
            real.append(_rows(view.values[name]))
        for (given, target), found in self._log_probs.items():
            log_prob = view.model.likelihood(target, view.sample((given,))).log_prob(view.values[target])[0]
            found.append(log_prob.double().cpu().numpy())
        for (given, target), told in self._told.items():
            told.append(_rows(view.reconstruction((given,), target)))

    def compute(self) -> Outcome:
        if not all(self._real.values()):
            raise Skipped("the test split has no complete rows.")
        real = {name: np.concatenate(parts) for name, parts in self._real.items()}
        scores = [
            self._perplexity(given, target, real[target], np.concatenate(parts))
            for (given, target), parts in self._log_probs.items()
        ]
        for name, tokens in self._tokens.items():
            if tokens.joiner:
                scores += self._variety(name, tokens, real[name])
        return Outcome(tuple(scores))

    def _perplexity(self, given: str, target: str, real: np.ndarray, log_probs: np.ndarray) -> Score:
        tokens = self._tokens[target]
        counts = np.full(len(real), real.shape[1]) if tokens.ignored is None else (real != tokens.ignored).sum(1)
        names = {"given": given, "target": target}
        if not counts.any():
            return self.skipped("the likelihood counts no token of the real captions.", "perplexity", **names)
        value, stderr = perplexity(log_probs, counts)
        details = {"tokens": int(counts.sum()), "length": float(counts.mean()), "vocabulary": tokens.vocabulary}
        return self.score(value, "perplexity", stderr=stderr, n=len(real), details=details, **names)

    def _variety(self, target: str, tokens: Tokens, real: np.ndarray) -> list[Score]:
        own = written(real, tokens)
        found = []
        for (given, other), parts in self._told.items():
            if other == target:
                told = written(np.concatenate(parts), tokens)
                found += [self._distinct(n, told, own, given=given, target=target) for n in LENGTHS]
        count = min(self.settings.samples, len(own))
        evenly = [own[i * len(own) // count] for i in range(count)]
        told = written(self._from_prior(target, count), tokens)
        prior = {"prior": self._context.model.prior().name}
        return [*found, *(self._distinct(n, told, evenly, target=target, params=prior) for n in LENGTHS)]

    def _distinct(self, n: int, told: list[list[int]], own: list[list[int]], **fields: Any) -> Score:
        value, real = distinct(told, n), distinct(own, n)
        if value is None:
            return self.skipped(f"the generated captions have no {n}-grams.", f"distinct-{n}", **fields)
        details = {"length": _mean_length(told), "real_length": _mean_length(own)}
        if real is not None:
            details["real"] = real
        return self.score(value, f"distinct-{n}", n=len(told), details=details, **fields)

    def _from_prior(self, target: str, samples: int) -> np.ndarray:
        """Most probable tokens `[samples, L]` at prior samples."""
        model = self._context.model
        key = stream(self._context.seed, "evaluation", self.name)
        found = []
        for at in range(0, samples, CHUNK):
            numbers = range(at, min(at + CHUNK, samples))
            z = model.prior().sample(1, len(numbers), RowNoise(key, numbers, device=model.device, dtype=model.dtype))
            found.append(_rows(model.likelihood(target, z).mean[0]))
        return np.concatenate(found)


def _rows(x: Tensor) -> np.ndarray:
    return x.cpu().numpy().astype(np.int32)


def _mean_length(captions: list[list[int]]) -> float:
    return sum(map(len, captions)) / len(captions)
