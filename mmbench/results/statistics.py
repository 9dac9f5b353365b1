"""Means over seeds with what they rest on: how many of how many runs, their spread, and intervals.

Two kinds of uncertainty, never mixed: an interval over seeds (Student's t, says how another seed would do) and an
interval over test rows (Wilson's of a share, normal otherwise; says how another test set would do for the same
weights).
Runs that failed, and scores that were skipped, count in `of`: `n = 4 of 5`.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from mmbench.errors import InvalidSetting
from mmbench.results.frame import RUN_COLUMNS, SCORE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["over_seeds", "rows_interval", "t_interval", "wilson_interval"]

LEVEL = 0.95


def t_interval(values: Iterable[float], *, level: float = LEVEL) -> tuple[float, float]:
    """Two-sided interval of the mean of independent normal `values` `[n]` (Student, 1908); NaN for n < 2."""
    numbers = list(values)
    n = len(numbers)
    if n < 2:
        return math.nan, math.nan
    mean = math.fsum(numbers) / n
    sd = math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / (n - 1))
    half = _t_quantile(level, n - 1) * sd / math.sqrt(n)
    return mean - half, mean + half


def wilson_interval(share: float, n: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a probability of which the share `share` of `n` independent trials came true (Wilson, 1927, eq. 2).

    Raises:
        InvalidSetting: a share outside [0, 1] or no trial.
    """
    if not 0 <= share <= 1 or n < 1:
        raise InvalidSetting(f"an interval of a share needs 0 <= share <= 1 and n >= 1, got {share} of n = {n}.")
    z = _normal_quantile(level)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def rows_interval(value: float, stderr: float | None, n: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Interval over test rows of one score, from what a `Score` carries; NaN where it has no standard error.

    A share of n rows is known by its standard error, sqrt(p (1 - p) / n), and gets Wilson's interval, which has a width
    at 0 and 1 too; any other value gets value -+ z * stderr.

    >>> rows_interval(1.0, 0.0, 100)
    (0.963..., 1.0)
    >>> rows_interval(-2400.0, 10.0, 500)
    (-2419.59..., -2380.40...)
    """
    if stderr is None or math.isnan(stderr):
        return math.nan, math.nan
    if _is_share(value, stderr, n):
        return wilson_interval(value, n, level=level)
    half = _normal_quantile(level) * stderr
    return value - half, value + half


def over_seeds(frame: "pd.DataFrame", *, level: float = LEVEL) -> "pd.DataFrame":
    """Statistics of each score over the seeds of runs that are otherwise alike.

    Args:
        frame: as `frame.scores_frame` makes it.
        level: of the t interval.

    Returns:
        One row for each group of `RUN_COLUMNS` and `SCORE_COLUMNS` in which at least one run has the score, sorted by
        them: `mean`, `sd` (n - 1 in its denominator, NaN for one run), `n` (runs with a value), `of` (all runs of the
        group, however they ended), `n_of` (text `4 of 5`), `low`, `high` (t interval, NaN for one run).
    """
    import pandas as pd

    runs, scores = list(RUN_COLUMNS), list(SCORE_COLUMNS)
    measured = frame[frame["metric"] != ""]
    groups = measured.groupby([*runs, *scores], dropna=False)["value"]
    means = [{**dict(zip([*runs, *scores], key, strict=True)), **_spread(values, level)} for key, values in groups]
    table = pd.DataFrame(means, columns=[*runs, *scores, "mean", "sd", "n", "low", "high"])
    table = table.astype(measured[[*runs, *scores]].dtypes.to_dict())
    table["of"] = _runs_of(frame, table)
    table["n_of"] = table["n"].astype("int64").astype(str) + " of " + table["of"].astype(str)
    return table


@lru_cache
def _t_quantile(level: float, freedom: int) -> float:
    """Half the width of a two-sided interval in standard errors; kept, for a report asks a hundred thousand times."""
    from scipy import special

    return float(special.stdtrit(freedom, (1 + level) / 2))  # what scipy.stats.t.ppf is, which takes a second to import


@lru_cache
def _normal_quantile(level: float) -> float:
    from scipy import special

    return float(special.ndtri((1 + level) / 2))


def _is_share(value: float, stderr: float, n: int) -> bool:
    return n > 0 and 0 <= value <= 1 and math.isclose(stderr, math.sqrt(value * (1 - value) / n), rel_tol=1e-9)


def _spread(values: "pd.Series[float]", level: float) -> dict[str, float]:
    present = values.dropna()
    low, high = t_interval(present, level=level)
    return {"mean": present.mean(), "sd": present.std(), "n": len(present), "low": low, "high": high}


def _runs_of(frame: "pd.DataFrame", table: "pd.DataFrame") -> list[int]:
    """All runs of each row's group, with those that ended before their data was known."""
    alike = list(RUN_COLUMNS[:-1])
    counts = frame.groupby(list(RUN_COLUMNS), dropna=False)["run"].nunique().to_dict()
    keys = [tuple(key) for key in table[alike].itertuples(index=False)]
    datas = table["data"].tolist()
    unknown = [counts.get((*key, ""), 0) if data else 0 for key, data in zip(keys, datas, strict=True)]
    return [counts.get((*key, data), 0) + more for key, data, more in zip(keys, datas, unknown, strict=True)]
