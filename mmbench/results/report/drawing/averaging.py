"""Curves of several seeds as one: their mean and standard deviation, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmbench.results.records import Curve

__all__ = ["Mean", "finite", "mean_curve"]


@dataclass(frozen=True)
class Mean:
    """A mean over `seeds` curves: `steps`, `means`, `sds` and how many curves are behind each, all `[n]`.

    `sds` (divisor `n - 1`) is NaN where one curve is left.
    """

    steps: np.ndarray
    means: np.ndarray
    sds: np.ndarray
    counts: np.ndarray
    seeds: int


def mean_curve(curves: Sequence[Curve], whole: Sequence[bool]) -> Mean:
    """The mean on the coarsest grid of steps; curves with other steps are interpolated, none is continued past its end.

    Args:
        curves: of one quantity, one a seed; points that are not finite are left out.
        whole: which of them are of runs that ended well: one of these gives the grid, where there is any.
    """
    parts = [finite(curve) for curve in curves]
    grids = [steps for (steps, _), ended in zip(parts, whole, strict=True) if ended and len(steps)]
    grids = grids or [steps for steps, _ in parts if len(steps)]
    if not grids:
        empty = np.zeros(0)
        return Mean(empty, empty, empty, empty.astype(int), 0)
    grid = min(grids, key=len)
    held = [np.interp(grid, *part, left=np.nan, right=np.nan) for part in parts if len(part[0])]
    return _moments(grid, np.stack(held))


def _moments(grid: np.ndarray, values: np.ndarray) -> Mean:
    """Moments over the first axis of `values` `[seeds, n]`, without NaN."""
    counts = np.isfinite(values).sum(0)
    kept = counts > 0
    grid, values, counts = grid[kept], values[:, kept], counts[kept]
    means = np.nansum(values, axis=0) / counts
    squares = np.nansum((values - means) ** 2, axis=0)
    sds = np.sqrt(np.divide(squares, counts - 1, out=np.full(len(counts), np.nan), where=counts > 1))
    return Mean(grid, means, sds, counts, len(values))


def finite(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values where the value is finite."""
    kept = np.isfinite(curve.values)
    return np.asarray(curve.steps, float)[kept], np.asarray(curve.values, float)[kept]
