"""Cosines of pairs of projections: their mean with a standard error over images, and what mismatched pairs give.

The ten captions of an image share what the image shows, so that rows of one image are no independent rows: errors are
over images, each with all its rows. With one row an image they are the usual sd / sqrt(N).
"""

import math

import numpy as np

__all__ = ["clustered_mean", "mismatched_mean", "unit"]


def unit(a: np.ndarray) -> np.ndarray:
    """Rows of a `[N, k]` at length 1; a row of zeros has no direction and stays one, with cosine 0 to everything."""
    length = np.linalg.norm(a, axis=1, keepdims=True)
    return np.asarray(np.divide(a, length, out=np.zeros_like(a), where=length != 0))


def clustered_mean(values: np.ndarray, groups: np.ndarray) -> tuple[float, float | None]:
    """Mean of values `[N]` and its standard error over groups `[N]` of rows; None where there is one group.

    With residuals r_i the squared error is G / (G - 1) sum_g (sum_{i in g} r_i)^2 / N^2 (Liang & Zeger 1986).
    """
    mean = values.mean()
    sums = np.bincount(_numbered(groups), weights=values - mean)
    count = len(sums)
    if count < 2:
        return float(mean), None
    return float(mean), math.sqrt(count / (count - 1) * float(sums @ sums)) / len(values)


def mismatched_mean(u: np.ndarray, v: np.ndarray, groups: np.ndarray) -> tuple[float, float | None] | None:
    """Mean of u_i . v_j over all rows i, j of different groups, with a standard error; None where there is one group.

    It is the expectation of the mean cosine of pairs shuffled such that none keeps its image, without the noise of a
    single shuffle. The standard error is the delete-one-group jackknife; None with two groups, where leaving one out
    leaves no mismatched pair.

    Args:
        u, v: rows of length 1 `[N, k]`.
        groups: the group of each row `[N]`.
    """
    which = _numbered(groups)
    count = int(which.max()) + 1
    if count < 2:
        return None
    u_sums, v_sums = (_sums(a, which, count) for a in (u, v))
    rows, own = np.bincount(which), (u_sums * v_sums).sum(1)
    u_all, v_all, n = u_sums.sum(0), v_sums.sum(0), len(which)
    value = (u_all @ v_all - own.sum()) / (n**2 - (rows**2).sum())
    if count < 3:
        return float(value), None
    apart = ((u_all - u_sums) * (v_all - v_sums)).sum(1) - (own.sum() - own)
    without = apart / ((n - rows) ** 2 - ((rows**2).sum() - rows**2))
    return float(value), math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))


def _numbered(groups: np.ndarray) -> np.ndarray:
    return np.asarray(np.unique(groups, return_inverse=True)[1])


def _sums(a: np.ndarray, which: np.ndarray, count: int) -> np.ndarray:
    """Sums of the rows of a `[N, k]` by group: `[G, k]`."""
    sums = np.zeros((count, a.shape[1]))
    np.add.at(sums, which, a)
    return sums
