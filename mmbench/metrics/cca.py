"""Canonical correlation analysis of two views: directions along which they vary together, fitted on training pairs.

For pairs (x, y) with covariances C the directions v = (v_x, v_y) solve the generalised eigenproblem

    A v = rho B v,    A = [[0, C_xy], [C_yx, 0]],    B = [[C_xx + r_x I, 0], [0, C_yy + r_y I]]     (Hotelling 1936),

whose eigenvalues come in pairs +-rho: the canonical correlations. The k largest are kept; by default v^T B v = 2, so
that the projections onto every direction have variance 1 in both views (with the ridge r counted in).

Protocols, since the directions of few pairs in many values say nothing (as soon as there are as many values as pairs,
the training correlation is 1 even against noise):

- `small`:  both views are first reduced to at most 50 principal components of the training pairs. The ridge, relative
            to the mean variance of the components, is taken from a fixed grid by cross-validation over images: all
            pairs of an image are left out together, and the ridge with the largest mean cosine of pairs left out wins.
- `full`:   all values, r = 1e-12, which only keeps B invertible.
- `mmvae`:  as `full`, with what the released code of MMVAE (Shi et al. 2019) does: v has Euclidean length 1 over both
            views, as scipy's general solver returns it. The directions then have arbitrary relative scales, and a
            cosine of projections depends on them.
- `auto`:   `full` where there are ten training images or more a value, `small` elsewhere.

`full` and `mmvae` are refused where there are no more images than values.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, eigh

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.metrics.pair_cosines import unit
from mmbench.seeding import generator

__all__ = [
    "PROTOCOLS",
    "CanonicalDirections",
    "Fit",
    "Moments",
    "canonical_directions",
    "choose_ridge",
    "eigenpairs",
    "fit",
    "moments",
    "principal_axes",
]

PROTOCOLS = ("auto", "small", "full", "mmvae")
PLENTY = 10  # training images a value from which on `auto` needs no reduction
TINY = 1e-12  # the released code's ridge
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # relative to the mean variance of a view's components
FOLDS = 5
SEED = 0
NULL = 1e-10  # share of the largest variance below which a component is rounding

Pairs = Iterator[tuple[np.ndarray, np.ndarray]]
"""Batches of pairs: x `[B, Dx]` and y `[B, Dy]`."""


@dataclass(frozen=True)
class Moments:
    """Means and covariances of pairs, x and y side by side.

    Attributes:
        count: number of pairs N.
        width: Dx; the first `width` values are those of x.
        mean: `[Dx + Dy]`.
        covariance: `[Dx + Dy, Dx + Dy]`, divided by N - 1.
    """

    count: int
    width: int
    mean: np.ndarray
    covariance: np.ndarray

    def reduced(self, axes_x: np.ndarray, axes_y: np.ndarray) -> "Moments":
        """The moments of the coordinates of (x - mean, y - mean) along axes `[Dx, P]` and `[Dy, Q]`."""
        axes = block_diag(axes_x, axes_y)
        return Moments(self.count, axes_x.shape[1], np.zeros(axes.shape[1]), axes.T @ self.covariance @ axes)


@dataclass(frozen=True)
class CanonicalDirections:
    """k directions of both views, and how strongly the projections of the training pairs correlate.

    Attributes:
        mean_x, mean_y: of the training pairs, `[Dx]` and `[Dy]`.
        weight_x, weight_y: `[Dx, k]` and `[Dy, k]`.
        correlations: eigenvalues rho `[k]`, largest first.
    """

    mean_x: np.ndarray
    mean_y: np.ndarray
    weight_x: np.ndarray
    weight_y: np.ndarray
    correlations: np.ndarray

    def project_x(self, x: np.ndarray) -> np.ndarray:
        """Coordinates of x `[B, Dx]` along the directions: `[B, k]`."""
        return np.asarray((x - self.mean_x) @ self.weight_x)

    def project_y(self, y: np.ndarray) -> np.ndarray:
        """Coordinates of y `[B, Dy]` along the directions: `[B, k]`."""
        return np.asarray((y - self.mean_y) @ self.weight_y)

    def cosines(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Cosine between the projections of each pair x `[B, Dx]`, y `[B, Dy]`: `[B]`."""
        return np.asarray((unit(self.project_x(x)) * unit(self.project_y(y))).sum(1))


@dataclass(frozen=True)
class Fit:
    """Directions, and how they were found.

    Attributes:
        directions: the result, for x and y as they were given.
        protocol: `small`, `full` or `mmvae`.
        images: number of different training images.
        components: dimensions of both views in which the eigenproblem was solved.
        ridge: relative to the mean variance of the components (`small`), absolute otherwise.
        held_out: mean cosine of training pairs of images left out (`small`); None where nothing was left out.
    """

    directions: CanonicalDirections
    protocol: str
    images: int
    components: tuple[int, int]
    ridge: float
    held_out: float | None


def moments(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Moments:
    """Means and covariances of batches of pairs, accumulated in float64 (Chan, Golub & LeVeque 1983).

    Raises:
        InvalidSetting: fewer than two pairs.
    """
    count, width = 0, 0
    mean, scatter = np.zeros(()), np.zeros(())
    for x, y in pairs:
        rows = np.concatenate([x, y], axis=1, dtype=np.float64)
        width, total = x.shape[1], count + len(rows)
        centre = rows.mean(0)
        rows -= centre
        shift = centre - mean
        scatter = scatter + rows.T @ rows + np.outer(shift, shift) * (count * len(rows) / total)
        mean, count = mean + shift * (len(rows) / total), total
    if count < 2:
        raise InvalidSetting(f"covariances need two pairs or more, got {count}.")
    return Moments(count, width, mean, scatter / (count - 1))


def eigenpairs(m: Moments, *, ridge: tuple[float, float], largest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues `[k]` in descending order and eigenvectors `[Dx + Dy, k]` with v^T B v = 1; all where k is None.

    Args:
        ridge: r_x and r_y, absolute.

    Raises:
        CannotBear: B is not positive definite.
    """
    size, width = len(m.mean), m.width
    off = m.covariance.copy()
    off[:width, :width] = 0
    off[width:, width:] = 0
    own = m.covariance - off + np.diag(np.repeat(ridge, (width, size - width)))
    first = 0 if largest is None else size - largest
    try:
        values, vectors = eigh(off, own, subset_by_index=(first, size - 1))
    except np.linalg.LinAlgError as error:
        raise CannotBear(
            "the covariances of the training pairs are not positive definite, as where a value is constant or follows "
            "from others: use the protocol `small`."
        ) from error
    return np.asarray(values[::-1]), np.asarray(vectors[:, ::-1])


def canonical_directions(
    m: Moments, count: int, *, ridge: tuple[float, float], euclidean: bool = False
) -> CanonicalDirections:
    """The first `count` directions, as many as both views have dimensions at most.

    Args:
        ridge: r_x and r_y, absolute.
        euclidean: scale every v to length 1 over both views in place of v^T B v = 2 (see `mmvae` above).
    """
    width = m.width
    count = min(count, width, len(m.mean) - width)
    values, vectors = eigenpairs(m, ridge=ridge, largest=count)
    vectors = vectors / np.linalg.norm(vectors, axis=0) if euclidean else vectors * np.sqrt(2)
    return CanonicalDirections(m.mean[:width], m.mean[width:], vectors[:width], vectors[width:], values)


def principal_axes(covariance: np.ndarray, most: int) -> np.ndarray:
    """The `most` orthonormal axes `[D, P]` of largest variance, largest first; axes without any variance are left out.

    Raises:
        CannotBear: there is no variance at all.
    """
    size = len(covariance)
    values, axes = eigh(covariance, subset_by_index=(max(0, size - most), size - 1))
    varied = (values > NULL * values[-1]) & (values > 0)
    if not varied.any():
        raise CannotBear("all training rows of a view are the same: nothing can correlate with it.")
    return np.asarray(axes[:, varied][:, ::-1])


def choose_ridge(
    x: np.ndarray, y: np.ndarray, images: np.ndarray, directions: int, *, grid: tuple[float, ...] = RIDGES
) -> tuple[float, float]:
    """The relative ridge with the largest mean cosine of pairs left out, and that cosine.

    Args:
        x, y: reduced views `[N, P]` and `[N, Q]`.
        images: which image each pair shows `[N]`: the pairs of one are left out together.
        directions: how many canonical directions are compared.
    """
    fold = _folds(images)
    totals = np.zeros(len(grid))
    for number in range(fold.max() + 1):
        out = fold == number
        m = moments([(x[~out], y[~out])])
        for i, ridge in enumerate(grid):
            found = canonical_directions(m, directions, ridge=_absolute(ridge, m))
            totals[i] += found.cosines(x[out], y[out]).sum()
    best = int(totals.argmax())
    return grid[best], float(totals[best] / len(x))


def fit(
    pairs: Callable[[], Pairs],
    images: np.ndarray,
    *,
    protocol: str = "auto",
    components: int = 50,
    directions: int = 40,
) -> Fit:
    """Fit canonical directions on training pairs.

    Args:
        pairs: makes an iterator over batches of all pairs, in the same order each time it is called.
        images: which image each pair shows `[N]`.
        protocol: one of `PROTOCOLS`.
        components: principal components of a view at most (`small`).
        directions: k, canonical directions at most.

    Raises:
        CannotBear: too few training images for the protocol, or views that cannot be compared.
    """
    count = len(np.unique(images))
    if count < FOLDS:
        raise CannotBear(f"a canonical correlation needs {FOLDS} training images or more, there are {count}.")
    m = moments(pairs())
    values = len(m.mean)
    if protocol == "auto":
        protocol = "full" if count >= PLENTY * values else "small"
    if protocol == "small":
        return _fit_small(pairs, m, images, components, directions)
    if count <= values:
        raise CannotBear(
            f"the protocol `{protocol}` needs more training images than the views have values; there are {count} "
            f"images of {m.width} + {values - m.width} values: use the protocol `small`."
        )
    found = canonical_directions(m, directions, ridge=(TINY, TINY), euclidean=protocol == "mmvae")
    return Fit(found, protocol, count, (m.width, values - m.width), TINY, None)


def _fit_small(pairs: Callable[[], Pairs], m: Moments, images: np.ndarray, components: int, directions: int) -> Fit:
    width = m.width
    axes_x = principal_axes(m.covariance[:width, :width], components)
    axes_y = principal_axes(m.covariance[width:, width:], components)
    parts = [((x - m.mean[:width]) @ axes_x, (y - m.mean[width:]) @ axes_y) for x, y in pairs()]
    x, y = (np.concatenate(view) for view in zip(*parts, strict=True))
    ridge, held_out = choose_ridge(x, y, images, directions)
    reduced = m.reduced(axes_x, axes_y)
    inner = canonical_directions(reduced, directions, ridge=_absolute(ridge, reduced))
    found = CanonicalDirections(
        m.mean[:width],
        m.mean[width:],
        axes_x @ inner.weight_x,
        axes_y @ inner.weight_y,
        inner.correlations,
    )
    return Fit(found, "small", len(np.unique(images)), (axes_x.shape[1], axes_y.shape[1]), ridge, held_out)


def _absolute(ridge: float, m: Moments) -> tuple[float, float]:
    """A ridge relative to the mean variance of each view, as r_x and r_y."""
    variances = np.diag(m.covariance)
    return ridge * float(variances[: m.width].mean()), ridge * float(variances[m.width :].mean())


def _folds(images: np.ndarray) -> np.ndarray:
    """The fold of each pair `[N]`, the same for all pairs of an image; images are dealt out in a fixed random order."""
    unique, which = np.unique(images, return_inverse=True)
    return np.asarray((generator(SEED, "cca", "folds").permutation(len(unique)) % FOLDS)[which])
