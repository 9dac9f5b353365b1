"""Commands that bring what a page lacks: exact, and safe to paste into a shell whatever names runs and models have."""

import shlex

from mmbench.results.records import RunRecord
from mmbench.results.report.desk import Desk

__all__ = ["evaluation", "evaluation_of", "further_run", "lacks_metric", "why_skipped"]


def evaluation_of(run: RunRecord, metric: str) -> str:
    """What adds a metric's scores and arrays to a run."""
    return shlex.join(["mmbench", "evaluate", run.id, "--metrics", metric])


def evaluation(desk: Desk, metric: str) -> str:
    """The same of the first run of a group that ended well; empty where none did."""
    done = desk.done()
    return evaluation_of(done[0], metric) if done else ""


def lacks_metric(desk: Desk, what: str, metric: str) -> None:
    """Note that no run of a group has a metric, and the command that adds it; where all skipped it, why instead."""
    if reason := why_skipped(desk, metric):
        desk.lacks(what, f"{metric} was skipped: {reason}")
    else:
        desk.lacks(what, f"no run has the metric {metric}", evaluation(desk, metric))


def why_skipped(desk: Desk, metric: str) -> str:
    """Why all runs that ended well have skipped a metric as a whole; empty where one has not, or there is none."""
    notes = [
        {s.note for s in run.scores if s.metric == metric and s.status == "skipped" and not (s.given or s.target)}
        for run in desk.done()
    ]
    return " ".join(sorted(set.union(*notes))) if notes and all(notes) else ""


def further_run(desk: Desk, *options: str) -> str:
    """A run like the first one of a group, with other options: the same model, dataset, preset, length and scheme.

    What else sets the group apart from others on the same dataset is set too, so that the run joins this group.
    """
    spec = desk.group.runs[0].spec
    parts = ["mmbench", "run", "--model", spec["model"], "--dataset", desk.group.dataset]
    if spec["preset"] != "common":
        parts += ["--preset", spec["preset"]]
    if spec["f"] != 1 and "--scheme" not in options:
        parts += ["--scheme", spec["scheme"], "--f", f"{spec['f']:g}"]
    train = spec["settings"].get("train", {})
    for length in ("steps", "epochs"):
        if train.get(length):
            parts += [f"--{length}", str(train[length])]
    for named in desk.group.differing:
        parts += ["--set", named]
    return shlex.join([*parts, *options])
