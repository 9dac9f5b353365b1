"""How long runs will take, from records made by hand."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mmbench.results.records import RunRecord
from mmbench.run import Request, resolve
from mmbench.sweep.estimate import Guess, Paces, TimeLeft, duration, sentence
from mmbench.sweep.expansion import Entry
from mmbench.sweep.standing import Standing


def record(model="mvae", dataset="digits", *, train_s=10.0, steps=100, evaluate_s=2.0, epochs=None, status="done"):
    return RunRecord(
        id=f"{model}-{train_s}", fit_key="k", spec={
            "model": model, "dataset": dataset, "settings": {"train": {"steps": steps, "epochs": epochs}},
        }, status=status, provenance={}, facts={}, created=datetime(2026, 1, 1, tzinfo=UTC),
        timings={"train_s": train_s, "steps": steps, "evaluate_s": evaluate_s},
    )  # fmt: skip


def run(state="to do", **given) -> Standing:
    request = Request(**{"model": "mvae", "metrics": (), **given})
    return Standing(Entry(request, resolve(request)), state)


def test_seconds_a_step_times_steps_and_the_evaluation():
    paces = Paces([record(train_s=10, steps=100, evaluate_s=2)])
    assert paces.guess(run(steps=50)) == Guess(50 * 0.1 + 2, 1, True)
    assert paces.guess(run("to score", steps=50)) == Guess(2, 1, True)


def test_the_median_of_the_same_model_and_otherwise_of_any():
    records = [record(train_s=s) for s in (10, 20, 90)] + [record("meme", train_s=30, evaluate_s=4)]
    paces = Paces(records)
    assert paces.guess(run(steps=100)) == Guess(20 + 2, 3, True)
    assert paces.guess(run(model="meme", steps=100)) == Guess(30 + 4, 1, True)
    assert paces.guess(run(model="mopoe", steps=100)) == Guess(25 + 2, 4, False)
    assert paces.guess(run(dataset="mnist-svhn", steps=100)) is None


def test_only_runs_that_were_finished_tell():
    cut = replace(record(), timings={"train_s": 3.0})
    assert Paces([record(status="failed"), record(status="interrupted"), cut]).guess(run()) is None


def test_epochs_go_by_epochs():
    paces = Paces([record(train_s=60, steps=600, epochs=3), record(train_s=1000, steps=1)])
    assert paces.guess(run(epochs=2)) == Guess(40 + 2, 2, True)
    assert Paces([record()]).guess(run(epochs=2)) is None


def test_what_is_refused_takes_no_time():
    assert Paces([record()]).guess(Standing(Entry(Request(), None, "no"), "refused")) is None


def test_the_sentence_says_how_long_and_by_what():
    paces = Paces([record(train_s=10), record("meme", train_s=30, evaluate_s=2)])
    runs = [run(steps=100), run(steps=100, model="meme"), run(steps=100, seed=1), run("done")]
    by = "mvae by 1 past run on digits, meme by 1 past run on digits"
    assert sentence(runs, paces, 1) == f"about 56 s ({by})."
    assert sentence(runs, paces, 2) == f"about 28 s with 2 at once ({by})."
    assert sentence(runs, paces, 100) == f"about 19 s with 100 at once ({by})."


def test_the_sentence_says_what_is_not_known():
    paces = Paces([record(train_s=10), record(train_s=20)])
    here, there = run(model="mopoe", steps=100), run(dataset="mnist-svhn")
    assert sentence([there], paces, 1) == "no estimate, there is no past run on mnist-svhn to go by."
    assert sentence([here, there], paces, 1) == (
        "about 17 s (mopoe by 2 past runs of other models on digits); 1 more without an estimate, there is no past run "
        "on mnist-svhn to go by."
    )
    assert sentence([run("done")], paces, 1) == "nothing is left to do."


def test_models_that_go_by_the_same_runs_are_told_together():
    runs = [run(model=name, steps=100) for name in ("mopoe", "mvae", "mmjsd")]
    by = "mopoe, mmjsd by 1 past run of other models on digits, mvae by 1 past run on digits"
    assert sentence(runs, Paces([record()]), 1).endswith(f"({by}).")


def test_time_left_goes_by_what_the_runs_that_ended_took():
    now = [0.0]
    long, short = Guess(30.0, 1, True), Guess(10.0, 1, True)
    left = TimeLeft([long, short, short, None], clock=lambda: now[0])  # the last counts as 50/3
    now[0] = 60.0  # twice as long as was guessed
    assert left.after(long) == pytest.approx(2 * (10 + 10 + 50 / 3))
    now[0] = 80.0
    assert left.after(short) == pytest.approx(80 / 40 * (10 + 50 / 3))
    assert left.after(None, counts=False) == pytest.approx(80 / 40 * 10)
    assert TimeLeft([long, short], clock=lambda: 0.0).after(long, counts=False) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"), (59.4, "59 s"), (59.6, "1.0 min"), (90, "1.5 min"), (597, "10 min"), (720, "12 min"),
        (3569, "59 min"), (3570, "1.0 h"), (12600, "3.5 h"), (171000, "2 days"), (864000, "10 days"),
    ],
)  # fmt: skip
def test_a_length_of_time_in_words(seconds, words):
    assert duration(seconds) == words
