"""Canonical correlation analysis of two views: directions along which they vary together, fitted on training pairs.

For pairs (x, y) with covariances C the directions v = (v_x, v_y) solve the generalised eigenproblem

    A v = rho B v,    A = [[0, C_xy], [C_yx, 0]],    B = [[C_xx + r_x I, 0], [0, C_yy + r_y I]]     (Hotelling 1936),

whose eigenvalues come in pairs +-rho: the canonical correlations. The k largest are kept; by default v^T B v = 2, so
that the projections onto every direction have variance 1 in both views (with the ridge r counted in).

`euclidean` directions have Euclidean length 1 over both views in place, as scipy's general solver returns them and the
released code of MMVAE (Shi et al. 2019) takes them: they then have arbitrary relative scales, and a cosine of
projections depends on them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, eigh

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.metrics.pair_cosines import unit

__all__ = ["CanonicalDirections", "Moments", "canonical_directions", "eigenpairs", "moments", "principal_axes"]

NULL = 1e-10  # share of the largest variance below which a component is rounding


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


def moments(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Moments:
    """Means and covariances of batches of pairs, accumulated in float64 (Chan, Golub & LeVeque 1983).

    Raises:
        InvalidSetting: fewer than two pairs.
    """
    count, width = 0, 0
    mean, scatter = np.zeros(0), np.zeros((0, 0))
    for x, y in pairs:
        rows = np.concatenate([x, y], axis=1, dtype=np.float64)
        if not count:
            width, size = x.shape[1], rows.shape[1]
            mean, scatter = np.zeros(size), np.zeros((size, size))
        total = count + len(rows)
        centre = rows.mean(0)
        rows -= centre
        shift = centre - mean
        scatter += rows.T @ rows
        scatter += np.outer(shift, shift * (count * len(rows) / total))
        mean += shift * (len(rows) / total)
        count = total
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
        euclidean: scale every v to length 1 over both views in place of v^T B v = 2.
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
