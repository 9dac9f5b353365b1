"""What the command line prints of scores: what identifies a score, and what was measured beside it."""

from mmbench.printing import scores_table
from mmbench.results.records import Score

COHERENCE = Score("cross_coherence", 1, "a", "b", 0.5, 0.025, 400, "micro", {"classifier": "standard"})
LIKELIHOOD = Score("log_likelihood", 1, "", "b", -1234.5, 1.5, 400, "iwae-100", {}, {"ess": 2.5, "bias": 0.1})


def test_details_stand_in_a_last_column() -> None:
    assert scores_table([COHERENCE, LIKELIHOOD]).splitlines() == [
        "metric           given  target  estimator                    value    stderr  n    details",
        "cross_coherence  a      b       micro (classifier=standard)  0.500    0.025   400",
        "log_likelihood          b       iwae-100                     -1234.5  1.500   400  ess=2.5, bias=0.1",
    ]


def test_without_details_there_is_no_such_column() -> None:
    assert scores_table([COHERENCE]).splitlines() == [
        "metric           given  target  estimator                    value  stderr  n",
        "cross_coherence  a      b       micro (classifier=standard)  0.500  0.025   400",
    ]


def test_each_reason_is_printed_once_with_the_metrics_it_holds_for() -> None:
    def skipped(metric: str, target: str, reason: str) -> Score:
        return Score(metric, 1, "", target, None, None, 0, "", status="skipped", note=reason)

    scores = [skipped("log_likelihood", target, "no joint prior.") for target in "ab"]
    scores += [skipped("log_likelihood", "c", "no density."), skipped("truth_gap", "a", "no joint prior.")]
    lines = scores_table(scores).splitlines()
    assert sum("skipped" in line for line in lines[:5]) == 4
    assert lines[5:] == ["log_likelihood, truth_gap skipped: no joint prior.", "log_likelihood skipped: no density."]
