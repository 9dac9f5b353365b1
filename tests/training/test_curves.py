"""Curves: windows of training terms by hand, test terms apart from them, and a state that travels."""

import numpy as np

from mmbench.training.curves import Recorder, TestTerms, TrainTerms


def test_training_terms_are_averaged_over_windows() -> None:
    recorder = Recorder(2)
    told = [recorder.train(step, {"loss": float(step)}, last=step == 5) for step in range(1, 6)]
    assert told == [
        None,
        TrainTerms(2, {"loss": 1.5}),
        None,
        TrainTerms(4, {"loss": 3.5}),
        TrainTerms(5, {"loss": 5.0}),
    ]
    (curve,) = recorder.curves()
    assert curve.name == "train/loss"
    assert curve.steps.tolist() == [2, 4, 5]
    assert curve.values.tolist() == [1.5, 3.5, 5.0]


def test_a_term_is_averaged_over_the_steps_that_have_it() -> None:
    recorder = Recorder(3)
    recorder.train(1, {"loss": 0.0, "nll/a": 4.0})
    recorder.train(2, {"loss": 3.0})
    terms = recorder.train(3, {"loss": 6.0, "nll/a": 6.0})
    assert terms == TrainTerms(3, {"loss": 3.0, "nll/a": 5.0})


def test_test_terms_are_curves_of_their_own() -> None:
    recorder = Recorder(1)
    recorder.train(1, {"loss": 1.0})
    assert recorder.last_test() == 0
    recorder.test(TestTerms(1, {"loss": 2.0}, rows=7))
    assert recorder.last_test() == 1
    assert {curve.name: curve.values.tolist() for curve in recorder.curves()} == {
        "test/loss": [2.0],
        "train/loss": [1.0],
    }


def test_a_half_filled_window_travels_with_the_state() -> None:
    def feed(recorder: Recorder, steps: range) -> None:
        for step in steps:
            recorder.train(step, {"loss": step**2 / 3})

    whole, first, second = Recorder(4), Recorder(4), Recorder(4)
    feed(whole, range(1, 13))
    feed(first, range(1, 7))
    state = first.state_dict()
    feed(first, range(7, 9))  # what follows must not reach the state
    second.load_state_dict(state)
    feed(second, range(7, 13))
    (a,), (b,) = whole.curves(), second.curves()
    np.testing.assert_array_equal(a.steps, b.steps)
    np.testing.assert_array_equal(a.values, b.values)
