"""Relatedness: are the encodings of two modalities of the same concept closer than those of different concepts?

The distance is the 2-Wasserstein distance between the posteriors given one modality each (MEME, section 5.3). For
diagonal Gaussians W2^2 = |m1 - m2|^2 + |s1 - s2|^2 with s the standard deviations (the paper's appendix prints a plus
between the means: a misprint, since a distribution would then not be at distance 0 from itself). Laplace posteriors use
the same formula with their standard deviations sqrt(2) b: by location and scale they are one family, so it is exact
for each dimension. Hence all distances of a mini-batch are Euclidean distances between concatenated (m, s).

Histograms of same against different concept (Figure 8) are over all pairs within mini-batches of a stated size; same
means the same class, or the same row where there are no classes. The class distance matrix (Figure 9) averages over a
stated number of test rows a class; the text says W2 and the caption KL: default W2, option `kl` (symmetric). The paper
does not name the dendrogram's linkage: default average. For a model with a prior expert the posterior given one
modality is the expert times the prior. A deterministic code is a posterior of standard deviation zero, and where a
latent has parts that are private to one modality, the shared part alone is compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal, final

import numpy as np
import torch
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import cdist, squareform
from scipy.stats import rankdata

from mmbench.config import setting
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.models.posteriors import Diagonal, Gaussian, Point
from mmbench.results.records import ArrayRecord, Score

__all__ = [
    "Relatedness",
    "RelatednessSettings",
    "auroc",
    "class_distances",
    "class_linkage",
    "histograms",
    "pairwise_kl",
    "pairwise_w2",
]


@dataclass(frozen=True)
class RelatednessSettings:
    """Settings of `relatedness`."""

    minibatch: int = setting(128, low=2, help="Rows whose encodings are compared with one another.")
    bins: int = setting(60, low=2, help="Bins of the histograms of distances.")
    per_class: int = setting(100, low=1, help="Test rows a class that the class distance matrix averages over.")
    distance: str = setting("w2", choices=("w2", "kl"), help="Distance of the class matrix: W2, or symmetric KL.")
    linkage: str = setting(
        "average", choices=("average", "single", "complete"), help="Linkage of the dendrogram of classes."
    )


def pairwise_w2(mean_a: np.ndarray, stddev_a: np.ndarray, mean_b: np.ndarray, stddev_b: np.ndarray) -> np.ndarray:
    """W2 between diagonal Gaussians, `[N, D]` and `[P, D]` parameters to `[N, P]` (not squared)."""
    return np.asarray(cdist(np.concatenate([mean_a, stddev_a], 1), np.concatenate([mean_b, stddev_b], 1)))


def pairwise_kl(mean_a: np.ndarray, stddev_a: np.ndarray, mean_b: np.ndarray, stddev_b: np.ndarray) -> np.ndarray:
    """(KL(a || b) + KL(b || a)) / 2 between diagonal Gaussians, `[N, D]` and `[P, D]` parameters to `[N, P]`."""
    total = (
        _relative_spread(mean_a, stddev_a, mean_b, stddev_b) + _relative_spread(mean_b, stddev_b, mean_a, stddev_a).T
    )
    return np.asarray(np.maximum(total / 4 - mean_a.shape[1] / 2, 0.0))


def _relative_spread(mean: np.ndarray, stddev: np.ndarray, mean_of: np.ndarray, stddev_of: np.ndarray) -> np.ndarray:
    """Sum over dimensions of (variance + squared distance of the means) / variance of the second, `[N, P]`."""
    weight = (1 / stddev_of**2).T
    squared = (stddev**2 + mean**2) @ weight - 2 * mean @ (mean_of.T * weight)
    return np.asarray(squared + (mean_of.T**2 * weight).sum(0))


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a value of `positive` exceeds one of `negative`, ties counted half (Mann-Whitney)."""
    ranks = rankdata(np.concatenate([positive, negative]))
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def histograms(same: np.ndarray, different: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of `same` and of `different` in common bins `[2, bins]` (each row sums to 1), and the edges `[bins+1]`."""
    edges = np.histogram_bin_edges(np.concatenate([same, different]), bins)
    counts = [np.histogram(values, edges)[0] / len(values) for values in (same, different)]
    return np.stack(counts), edges


def class_distances(distances: np.ndarray, of_rows: np.ndarray, of_columns: np.ndarray, classes: int) -> np.ndarray:
    """Means of `distances` `[N, P]` over the rows of class i and the columns of class j: `[C, C]`, NaN where none."""
    rows = np.eye(classes)[of_rows]
    columns = np.eye(classes)[of_columns]
    counts = np.outer(rows.sum(0), columns.sum(0))
    total = rows.T @ distances @ columns
    return np.asarray(np.divide(total, counts, out=np.full_like(total, np.nan), where=counts > 0))


def class_linkage(matrix: np.ndarray, method: Literal["average", "single", "complete"]) -> np.ndarray:
    """scipy's linkage `[C - 1, 4]` of (K + K^T) / 2 with a zero diagonal."""
    symmetric = (matrix + matrix.T) / 2
    np.fill_diagonal(symmetric, 0.0)
    return np.asarray(linkage(squareform(symmetric), method=method))


@dataclass(frozen=True)
class Encodings:
    """Means and standard deviations `[N, D]` of one modality's posteriors, and whether they are Gaussian."""

    mean: np.ndarray
    stddev: np.ndarray
    gaussian: bool

    @classmethod
    def joined(cls, parts: Sequence["Encodings"]) -> "Encodings":
        """Batches in one."""
        mean, stddev = (np.concatenate([getattr(p, key) for p in parts]) for key in ("mean", "stddev"))
        return cls(mean, stddev, all(p.gaussian for p in parts))

    def take(self, index: np.ndarray | slice) -> "Encodings":
        """Some of the rows."""
        return Encodings(self.mean[index], self.stddev[index], self.gaussian)


@final
@METRICS.register("relatedness")
class Relatedness(Metric):
    """W2 between the encodings of each two modalities."""

    name = "relatedness"
    description = "W2 distances between encodings of two modalities: same against different concept, and by class."
    Settings = RelatednessSettings
    references: ClassVar[tuple[str, ...]] = (
        "Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022",
    )

    def prepare(self, context: Context) -> None:
        self._names, self._classes = context.names, context.classes
        if len(self._names) < 2:
            raise Skipped("relatedness needs two modalities.")
        self._parts: dict[str, list[Encodings]] = {name: [] for name in self._names}
        self._concepts: list[np.ndarray] = []

    def update(self, view: View) -> None:
        self._concepts.append(view.rows if view.targets is None else view.targets)
        for name in self._names:
            posterior = view.posterior((name,))
            if not isinstance(posterior, Diagonal | Point):
                kind = type(posterior).__name__
                raise Skipped(f"W2 has a closed form for diagonal posteriors only; given {name} it is {kind}.")
            spread = posterior.stddev if isinstance(posterior, Diagonal) else torch.zeros_like(posterior.mean)
            shared = view.model.layout.shared
            mean, stddev = (p[:, shared].double().cpu().numpy() for p in (posterior.mean, spread))
            if not (np.isfinite(mean).all() and np.isfinite(stddev).all()):
                raise Skipped(f"the encodings given {name} are not all finite.")
            self._parts[name].append(Encodings(mean, stddev, isinstance(posterior, Gaussian)))

    def compute(self) -> Outcome:
        if not self._concepts:
            raise Skipped("the test split has no complete rows.")
        concepts = np.concatenate(self._concepts)
        encodings = {name: Encodings.joined(parts) for name, parts in self._parts.items()}
        scores: list[Score] = []
        arrays: list[ArrayRecord] = []
        for a, b in combinations(self._names, 2):
            parts = [self._histogram(a, b, encodings, concepts)]
            if self._classes is not None:
                parts.append(self._by_class(a, b, encodings, concepts))
            for part in parts:
                scores += part.scores
                arrays += part.arrays
        return Outcome(tuple(scores), tuple(arrays))

    def _histogram(self, a: str, b: str, encodings: dict[str, Encodings], concepts: np.ndarray) -> Outcome:
        same, different = _split_distances(encodings[a], encodings[b], concepts, self.settings.minibatch)
        if not len(same) or not len(different):
            return Outcome(
                (self.skipped("all pairs are of one kind, the same or different.", "auroc", given=a, target=b),)
            )
        params = {"minibatch": self.settings.minibatch}
        counts, edges = histograms(same, different, self.settings.bins)
        meta = {"given": a, "target": b, "edges": edges.tolist(), "rows": ["same", "different"], **params}

        common = {"given": a, "target": b, "params": params}
        return Outcome(
            (
                self.score(auroc(-same, -different), "auroc", n=len(same) + len(different), **common),
                self.score(float(same.mean()), "w2-same", n=len(same), **common),
                self.score(float(different.mean()), "w2-different", n=len(different), **common),
            ),
            (ArrayRecord(self.name, f"histogram/{a}|{b}", counts, meta),),
        )

    def _by_class(self, a: str, b: str, encodings: dict[str, Encodings], concepts: np.ndarray) -> Outcome:
        classes, s = int(self._classes or 0), self.settings
        if s.distance == "kl" and not (encodings[a].gaussian and encodings[b].gaussian):
            return Outcome((self.skipped("symmetric KL is for Gaussians.", "class-distance", given=a, target=b),))
        chosen = np.concatenate([np.flatnonzero(concepts == c)[: s.per_class] for c in range(classes)])
        x, y = encodings[a].take(chosen), encodings[b].take(chosen)
        distance = pairwise_kl if s.distance == "kl" else pairwise_w2
        distances = distance(x.mean, x.stddev, y.mean, y.stddev)
        matrix = class_distances(distances, concepts[chosen], concepts[chosen], classes)
        meta = {"given": a, "target": b, "distance": s.distance, "per_class": s.per_class}
        arrays = [ArrayRecord(self.name, f"class_distance/{a}|{b}", matrix, meta)]
        if classes > 1 and np.isfinite(matrix).all():
            tree = class_linkage(matrix, s.linkage)
            arrays.append(ArrayRecord(self.name, f"linkage/{a}|{b}", tree, {**meta, "method": s.linkage}))
        return Outcome((), tuple(arrays))


def _split_distances(a: Encodings, b: Encodings, concepts: np.ndarray, minibatch: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances within mini-batches of rows, of the same concept and of different ones."""
    same, different = [], []
    for start in range(0, len(concepts), minibatch):
        rows = slice(start, start + minibatch)
        x, y = a.take(rows), b.take(rows)
        distances = pairwise_w2(x.mean, x.stddev, y.mean, y.stddev)
        alike = concepts[rows][:, None] == concepts[rows][None, :]
        same.append(distances[alike])
        different.append(distances[~alike])
    return np.concatenate(same), np.concatenate(different)
