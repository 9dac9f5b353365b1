"""Commands that bring what a page lacks: exact, and safe to paste into a shell whatever names runs and models have."""

import shlex

from mmbench.results.records import RunRecord
from mmbench.results.report.desk import Desk

__all__ = ["evaluation", "evaluation_of", "further_run"]


def evaluation_of(run: RunRecord, metric: str) -> str:
    """What adds a metric's scores and arrays to a run."""
    return shlex.join(["mmbench", "evaluate", run.id, "--metrics", metric])


def evaluation(desk: Desk, metric: str) -> str:
    """The same of the first run of a group that ended well; empty where none did."""
    done = desk.done()
    return evaluation_of(done[0], metric) if done else ""


def further_run(desk: Desk, *options: str) -> str:
    """A run of a group's first model and dataset with other options."""
    spec = desk.group.runs[0].spec
    return shlex.join(["mmbench", "run", "--model", spec["model"], "--dataset", desk.group.dataset, *options])
