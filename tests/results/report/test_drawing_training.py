"""Training curves: single runs while they can be told apart, then means over seeds; nothing but terms of training."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from mmbench.results.records import Curve, RunRecord
from mmbench.results.report.drawing.training import SINGLE, terms_of, tracks, training_curves

Make = Callable[..., RunRecord]


def curves_of(runs: Sequence[RunRecord]) -> Mapping[str, Sequence[Curve]]:
    return {run.id: run.curves for run in runs}


def test_up_to_six_runs_have_a_line_each_and_more_give_a_mean_with_a_band(make: Make) -> None:
    few, many = ([make(seed=s) for s in range(n)] for n in (SINGLE, SINGLE + 1))
    single = [t for t in tracks(few, curves_of(few)) if (t.term, t.kind) == ("loss", "train")]
    assert [t.run for t in single] == [run.id for run in few]
    (mean,) = [t for t in tracks(many, curves_of(many)) if (t.term, t.kind) == ("loss", "train")]
    first = many[0].curves[0].values
    np.testing.assert_allclose(mean.values, first + 3)  # seeds 0 to 6 are apart by 1
    np.testing.assert_allclose(mean.sds, np.std(np.arange(7), ddof=1))
    figure = training_curves(tracks(many, curves_of(many)), "MEME")
    assert len(figure.axes[0].lines) == 2  # training and test
    assert len(figure.axes[0].collections) == 2
    assert len(training_curves(tracks(few, curves_of(few)), "MEME").axes[0].lines) == 2 * SINGLE


def test_ratios_of_gradients_are_no_terms(make: Make) -> None:
    run = make()
    held = {run.id: (*run.curves, Curve("snr/full/encoder/street", np.arange(3), np.ones(3)))}
    assert terms_of(held) == ["loss", "kl"]
    assert {t.term for t in tracks([run], held)} == {"loss", "kl"}


def test_a_cross_ends_the_line_of_a_run_that_did_not_end_well(make: Make) -> None:
    runs = [make(), make(seed=1, status="diverged")]
    ax = training_curves(tracks(runs, curves_of(runs)), "MEME").axes[0]
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    ends = sorted(float(line.get_ydata()[0]) for line in crosses)
    assert ends == pytest.approx(sorted(float(c.values[-1]) for c in runs[1].curves if c.name.endswith("/loss")))
