"""How canonical directions are fitted to few or many training images.

The directions of few pairs in many values say nothing: as soon as there are as many values as pairs, the training
correlation is 1 even against noise. Hence the protocols

- `small`:  both views are first reduced to at most 50 principal components of the training pairs. The ridge, relative
            to the mean variance of the components, is taken from a fixed grid by cross-validation over images: all
            pairs of an image are left out together, and the ridge with the largest mean cosine of pairs left out wins.
            At the grid's upper end the directions are those of largest covariance (partial least squares), and the
            cosine weighs them by it.
- `full`:   all values, r = 1e-12, which only keeps B invertible.
- `mmvae`:  as `full`, with what the released code of MMVAE (Shi et al. 2019) does: v has Euclidean length 1 over both
            views, as scipy's general solver returns it. The directions then have arbitrary relative scales, and a
            cosine of projections depends on them.
- `auto`:   `full` where there are ten training images or more a value, `small` elsewhere.

`full` and `mmvae` are refused where there are no more images than values.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mmbench.errors import CannotBear
from mmbench.metrics.cca import CanonicalDirections, Moments, canonical_directions, moments, principal_axes
from mmbench.seeding import generator

__all__ = ["PROTOCOLS", "Fit", "choose_ridge", "fit"]

PROTOCOLS = ("auto", "small", "full", "mmvae")
PLENTY = 10  # training images a value from which on `auto` needs no reduction
TINY = 1e-12  # the released code's ridge
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)  # relative to the mean variance of a view's components
FOLDS = 5
SEED = 0

Pairs = Iterator[tuple[np.ndarray, np.ndarray]]
"""Batches of pairs: x `[B, Dx]` and y `[B, Dy]`."""


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
