"""Means over seeds and intervals, against scipy, closed forms and their own coverage."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mmbench.errors import InvalidSetting
from mmbench.results.frame import scores_frame
from mmbench.results.records import RunRecord, Score
from mmbench.results.statistics import over_seeds, rows_interval, t_interval, wilson_interval

Make = Callable[..., RunRecord]


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 40), (7, 40), (20, 40), (40, 40), (9999, 10000)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_wilson_is_scipys(successes: int, n: int, level: float) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert wilson_interval(successes / n, n, level=level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilsons_ends_solve_its_equation() -> None:
    z = 1.959963984540054
    for end in wilson_interval(0.3, 50):
        assert abs(0.3 - end) == pytest.approx(z * math.sqrt(end * (1 - end) / 50))


@pytest.mark.parametrize(("share", "n"), [(-0.1, 10), (1.1, 10), (float("nan"), 10), (0.5, 0)])
def test_wilson_needs_a_share_of_something(share: float, n: int) -> None:
    with pytest.raises(InvalidSetting, match="an interval of a share needs"):
        wilson_interval(share, n)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_t_interval_is_scipys(n: int) -> None:
    values = np.random.default_rng(n).normal(0.6, 0.1, n)
    expected = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert t_interval(values) == pytest.approx(expected, rel=1e-12)


def test_t_interval_of_two_in_closed_form() -> None:
    """With one degree of freedom, t is Cauchy: its quantile is tan(pi (p - 1/2))."""
    half = math.tan(math.pi * 0.475) * 0.5
    assert t_interval([0.0, 1.0]) == pytest.approx((0.5 - half, 0.5 + half))


@pytest.mark.parametrize("values", [[], [0.5]])
def test_one_run_has_no_interval_over_seeds(values: list[float]) -> None:
    assert all(math.isnan(end) for end in t_interval(values))


@pytest.mark.statistical
@pytest.mark.parametrize(("level", "low", "high"), [(0.95, 0.94, 0.96), (0.8, 0.785, 0.815)])
def test_t_interval_covers_as_often_as_it_says(level: float, low: float, high: float) -> None:
    """4,000 draws of 5: the share that covers has a standard error of 0.0034 (0.95) and 0.0063 (0.8)."""
    draws = np.random.default_rng(0).normal(3.0, 2.0, (4000, 5))
    ends = [t_interval(draw, level=level) for draw in draws]
    assert low < np.mean([a < 3.0 < b for a, b in ends]) < high


class TestRowsInterval:
    @pytest.mark.parametrize(("share", "n"), [(0.3, 50), (0.0, 40), (1.0, 1), (0.427, 1000)])
    def test_a_share_gets_wilsons(self, share: float, n: int) -> None:
        assert rows_interval(share, math.sqrt(share * (1 - share) / n), n) == wilson_interval(share, n)

    @pytest.mark.parametrize(("value", "stderr", "n"), [(-2400.0, 10.0, 500), (0.3, 0.02, 50), (0.5, 0.1, 0)])
    def test_another_value_gets_the_normals(self, value: float, stderr: float, n: int) -> None:
        """0.3 with a standard error that is no share's: the mean over classes, say."""
        expected = stats.norm.interval(0.9, value, stderr)
        assert rows_interval(value, stderr, n, level=0.9) == pytest.approx(expected)

    @pytest.mark.parametrize("stderr", [None, math.nan])
    def test_no_standard_error_no_interval(self, stderr: float | None) -> None:
        assert all(math.isnan(end) for end in rows_interval(0.5, stderr, 100))


class TestOverSeeds:
    def _run(self, make_record: Make, seed: int, value: float | None, **changes: Any) -> RunRecord:
        score = Score("c", 1, "a", "b", value, 0.01, 100, "micro", status="skipped" if value is None else "ok")
        spec = {**make_record().spec, "seed": seed, **changes.pop("spec", {})}
        name = f"r{seed}-{sorted(spec.items())!r}"
        return make_record(name, name, spec=spec, **({"scores": (score,)} | changes))

    def test_mean_sd_and_interval_are_those_of_scipy(self, make_record: Make) -> None:
        values = [0.5, 0.75, 0.625, 0.55]
        (row,) = over_seeds(
            scores_frame([self._run(make_record, seed, value) for seed, value in enumerate(values)])
        ).to_dict(orient="records")
        low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
        assert [row[name] for name in ("mean", "sd", "low", "high")] == pytest.approx(
            [np.mean(values), np.std(values, ddof=1), low, high]
        )
        assert (row["metric"], row["given"], row["target"], row["estimator"]) == ("c", "a", "b", "micro")
        assert (row["n"], row["of"], row["n_of"]) == (4, 4, "4 of 4")

    def test_failed_and_skipped_runs_are_counted(self, make_record: Make) -> None:
        runs = [self._run(make_record, seed, value) for seed, value in enumerate((0.2, 0.4, None))]
        runs.append(self._run(make_record, 3, 0, status="failed", scores=(), provenance={}))
        runs.append(self._run(make_record, 4, 0, status="diverged", scores=()))
        (row,) = over_seeds(scores_frame(runs)).to_dict(orient="records")
        assert row["mean"] == pytest.approx(0.3)
        assert row["n_of"] == "2 of 5"

    def test_one_seed_has_no_spread(self, make_record: Make) -> None:
        (row,) = over_seeds(scores_frame([self._run(make_record, 0, 0.5)])).to_dict(orient="records")
        assert row["mean"] == 0.5
        assert all(math.isnan(row[name]) for name in ("sd", "low", "high"))

    @pytest.mark.parametrize(
        "changes",
        [
            {"spec": {"f": 0.25}},
            {"spec": {"scheme": "street-only"}},
            {"spec": {"model": "meme"}},
            {"spec": {"paired_only": True}},
            {"spec": {"settings": {"train": {"steps": 21}}}},
            {"provenance": {"data": {"status": "unverified", "digest": "d2"}}},
        ],
    )
    def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(
        self, make_record: Make, changes: dict[str, Any]
    ) -> None:
        runs = [self._run(make_record, 0, 0.2), self._run(make_record, 1, 0.8, **changes)]
        table = over_seeds(scores_frame(runs))
        assert sorted(table["mean"]) == [0.2, 0.8]
        assert list(table["n_of"]) == ["1 of 1", "1 of 1"]

    def test_no_scores_give_an_empty_table(self, make_record: Make) -> None:
        assert len(over_seeds(scores_frame([]))) == 0
        assert len(over_seeds(scores_frame([make_record(scores=(), status="failed")]))) == 0
