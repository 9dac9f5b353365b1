"""Embeddings: the encodings of both modalities in one plane, and whether they lie among one another.

One sample of q(z | x_m) for each of the first test rows and each modality m, all of them together through t-SNE: what
Figures 19 and 20 of the MEME paper (Joy et al., ICLR 2022) show. The released code takes the first seven test batches
of 128 and scikit-learn's t-SNE with random state 0; perplexity 30 and the start at the principal components are
scikit-learn's defaults. Where a latent has parts that are private to one modality, the shared part alone is taken.

A plane of t-SNE is for the eye: its distances say little. The number beside it is taken in the latent space itself:
the share of rows whose nearest neighbour among the samples of the other modality has the same class (`nearest-other`).
Two modalities with one representation reach what nearest neighbours reach within a modality; where each modality has a
corner of its own, neighbours are arbitrary and the share falls to about `chance`, the share of equal classes among all
pairs of rows.

t-SNE adds up its forces in threads, whose order changes the last bits and, after a thousand steps, the picture: it
runs on one thread, so that the same encodings give the same plane.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import Any, ClassVar, final

import numpy as np
from scipy.spatial import cKDTree

from mmbench.config import setting
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.metrics.coherence import share
from mmbench.results.records import ArrayRecord, Score

__all__ = ["Embeddings", "EmbeddingsSettings", "nearest", "plane"]

FEWEST = 4
"""Points that t-SNE needs for a perplexity of one."""


@dataclass(frozen=True)
class EmbeddingsSettings:
    """Settings of `embeddings`."""

    rows: int = setting(896, low=FEWEST, help="First test rows whose encodings are shown (the MEME code: 7 x 128).")
    perplexity: float = setting(30.0, low=1.0, help="Perplexity of t-SNE, a third of the points at most.")


def plane(points: np.ndarray, perplexity: float) -> np.ndarray:
    """The t-SNE plane `[N, 2]` float32 of points `[N, D]`; the same points give the same bits.

    Raises:
        Skipped: fewer than four points, points that are not finite, or that are all the same.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(points) < FEWEST:
        raise Skipped(f"t-SNE needs {FEWEST} points or more, there are {len(points)}.")
    if not np.isfinite(points).all():
        raise Skipped("the encodings are not all finite.")
    if (points == points[0]).all():
        raise Skipped("all encodings are the same point.")
    start = "pca" if points.shape[1] > 1 else "random"
    with threadpool_limits(limits=1):
        found = TSNE(n_components=2, perplexity=perplexity, init=start, random_state=0).fit_transform(points)
    return np.asarray(found, np.float32)


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Index of the nearest of `others` `[P, D]` to each of `points` `[N, D]`, by Euclidean distance: `[N]`."""
    return np.asarray(cKDTree(others).query(points)[1])


@final
@METRICS.register("embeddings")
class Embeddings(Metric):
    """t-SNE of the encodings of all modalities together, with a number taken in the latent space."""

    name = "embeddings"
    description = "t-SNE plane of all modalities' encodings, and how often neighbours across modalities share a class."
    Settings = EmbeddingsSettings
    references: ClassVar[tuple[str, ...]] = (
        "van der Maaten & Hinton, Visualizing Data using t-SNE, JMLR 2008",
        "Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022",
    )

    def prepare(self, context: Context) -> None:
        self._names, self._shared = context.names, context.model.layout.shared
        self._left = self.settings.rows
        self._parts: dict[str, list[np.ndarray]] = {name: [] for name in self._names}
        self._targets: list[np.ndarray] = []

    def update(self, view: View) -> None:
        count = min(self._left, len(view.rows))
        if count == 0:
            return
        self._left -= count
        if view.targets is not None:
            self._targets.append(view.targets[:count])
        for name in self._names:
            sample = view.sample((name,))[0, :count, self._shared]
            self._parts[name].append(sample.double().cpu().numpy())

    def compute(self) -> Outcome:
        if not self._parts[self._names[0]]:
            raise Skipped("the test split has no complete rows.")
        samples = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        targets = np.concatenate(self._targets) if self._targets else None
        return Outcome(self._scores(samples, targets), self._planes(samples, targets))

    def _planes(self, samples: dict[str, np.ndarray], targets: np.ndarray | None) -> tuple[ArrayRecord, ...]:
        rows = len(samples[self._names[0]])
        points = np.concatenate(list(samples.values()))
        perplexity = min(self.settings.perplexity, len(points) / 3)
        halves = np.split(plane(points, perplexity), len(self._names))
        meta: dict[str, Any] = {"method": "t-SNE", "perplexity": perplexity, "rows": rows}
        if targets is not None:
            meta["classes"] = targets.tolist()
        return tuple(
            ArrayRecord(self.name, f"tsne/{name}", half, {"given": name, **meta})
            for name, half in zip(self._names, halves, strict=True)
        )

    def _scores(self, samples: dict[str, np.ndarray], targets: np.ndarray | None) -> tuple[Score, ...]:
        pairs = list(permutations(self._names, 2))
        if targets is None:
            reason = "the rows of this dataset have no classes."
            return tuple(self.skipped(reason, "nearest-other", given=a, target=b) for a, b in pairs)
        frequency = np.bincount(targets) / len(targets)
        details = {"chance": float((frequency**2).sum())}
        common = {"n": len(targets), "params": {"rows": self.settings.rows}, "details": details}
        scores = []
        for a, b in pairs:
            value, stderr = share(targets[nearest(samples[a], samples[b])] == targets)
            scores.append(self.score(value, "nearest-other", given=a, target=b, stderr=stderr, **common))
        return tuple(scores)
