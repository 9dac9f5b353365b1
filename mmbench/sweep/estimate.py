"""How long runs will take, by the runs that a store holds: seconds a step, times steps, plus the time of evaluation.

Runs of the same model on the same dataset are gone by first, then those of any model on it. Medians, so that one run
on a busy machine counts for little. Other settings (batch size, K, device) are not looked at: it is an estimate.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from mmbench.config import RunSpec
from mmbench.results.records import RunRecord
from mmbench.sweep.standing import Standing

__all__ = ["Guess", "Pace", "Paces", "TimeLeft", "duration", "sentence"]


@dataclass(frozen=True)
class Pace:
    """What past runs took.

    Attributes:
        runs: how many there are.
        step: seconds an optimiser step.
        epoch: seconds a pass over the training rows; None where no run was counted in them.
        evaluation: seconds of scoring a run.
    """

    runs: int
    step: float
    epoch: float | None
    evaluation: float


@dataclass(frozen=True)
class Guess:
    """Seconds of one run, and what they go by: the number of past runs, and whether they were of the same model."""

    seconds: float
    runs: int
    same_model: bool


class Paces:
    """The paces of past runs, by dataset and model; by dataset alone where the model is None."""

    def __init__(self, records: Iterable[RunRecord]) -> None:
        groups: dict[tuple[str, str | None], list[RunRecord]] = {}
        for record in records:
            if record.status == "done" and record.timings.get("steps") and record.timings.get("train_s") is not None:
                for model in (record.spec["model"], None):
                    groups.setdefault((record.spec["dataset"], model), []).append(record)
        self._paces = {key: _pace(held) for key, held in groups.items()}

    def guess(self, run: Standing) -> Guess | None:
        """How long a run that waits will take, its evaluation alone where it is trained; None where nothing tells."""
        spec = run.entry.spec
        if spec is None:
            return None
        for model in (spec.model, None):
            pace = self._paces.get((spec.dataset, model))
            if pace is not None and (training := _training(spec, pace)) is not None:
                return Guess(pace.evaluation + (0.0 if run.state == "to score" else training), pace.runs, bool(model))
        return None


def sentence(runs: Sequence[Standing], paces: Paces, jobs: int) -> str:
    """How long the runs that wait will take with `jobs` at once, and by which past runs."""
    specs = [(run, run.entry.spec) for run in runs if run.waits and run.entry.spec is not None]
    if not specs:
        return "nothing is left to do."
    guesses = [(spec, paces.guess(run)) for run, spec in specs]
    known = [(spec, guess) for spec, guess in guesses if guess is not None]
    blind = " or ".join(dict.fromkeys(spec.dataset for spec, guess in guesses if guess is None))
    if not known:
        return f"no estimate, there is no past run on {blind} to go by."
    told: dict[tuple[str, str], dict[str, None]] = {}  # models that go by the same past runs stand together
    for spec, guess in known:
        told.setdefault((spec.model if guess.same_model else "", f"{_past(guess)} on {spec.dataset}"), {})[
            spec.model
        ] = None
    sources = [f"{', '.join(models)} by {past}" for (_, past), models in told.items()]
    left = len(specs) - len(known)
    more = f"; {left} more without an estimate, there is no past run on {blind} to go by" if left else ""
    seconds = sum(guess.seconds for _, guess in known) / min(jobs, len(specs))
    return f"about {duration(seconds)}{f' with {jobs} at once' if jobs > 1 else ''} ({', '.join(sources)}){more}."


class TimeLeft:
    """How long the runs that wait will take, by those that have ended since and by what each was guessed to take.

    A run without a guess counts as the mean of the others. Runs that were refused at once count for nothing.

    Args:
        waiting: the guess of each run.
        clock: seconds, as they pass.
    """

    def __init__(self, guesses: Sequence[Guess | None], clock: Callable[[], float] = time.monotonic) -> None:
        known = [guess.seconds for guess in guesses if guess is not None]
        self._mean = sum(known) / len(known) if known else 1.0
        self._waiting = sum(map(self._weight, guesses))
        self._ended, self._clock, self._begun = 0.0, clock, clock()

    def after(self, guess: Guess | None, *, counts: bool = True) -> float | None:
        """Seconds left once another run has ended; None where none that counts has."""
        weight = self._weight(guess)
        self._waiting -= weight
        self._ended += weight if counts else 0.0
        if not self._ended:
            return None
        return max(0.0, (self._clock() - self._begun) * self._waiting / self._ended)

    def _weight(self, guess: Guess | None) -> float:
        return self._mean if guess is None else guess.seconds


def duration(seconds: float) -> str:
    """A length of time in words, with two digits or so: `40 s`, `1.5 min`, `12 min`, `3.0 h`, `4 days`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    for unit, size, last in (("min", 60, 59.5), ("h", 3600, 47.5)):
        if (length := seconds / size) < last:
            return f"{length:.1f} {unit}" if length < 9.95 else f"{length:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def _past(guess: Guess) -> str:
    runs = f"{guess.runs} past run{'' if guess.runs == 1 else 's'}"
    return runs if guess.same_model else f"{runs} of other models"


def _pace(records: Sequence[RunRecord]) -> Pace:
    timings = [record.timings for record in records]
    epochs = [
        record.timings["train_s"] / length
        for record in records
        if (length := _train(record.spec).get("epochs")) is not None
    ]
    return Pace(
        runs=len(records),
        step=median(each["train_s"] / each["steps"] for each in timings),
        epoch=median(epochs) if epochs else None,
        evaluation=median(each.get("evaluate_s") or 0.0 for each in timings),
    )


def _training(spec: RunSpec, pace: Pace) -> float | None:
    train = spec.settings["train"]
    if train["steps"] is not None:
        return float(train["steps"] * pace.step)
    return None if pace.epoch is None else float(train["epochs"] * pace.epoch)


def _train(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = spec["settings"].get("train", {})
    return found
