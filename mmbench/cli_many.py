"""What the commands for many runs do beside printing: a word as each run ends, and one exit code for all."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mmbench import sweep_printing
from mmbench.cli_options import metric_names, pairs, say, seed_numbers

if TYPE_CHECKING:
    from mmbench.results.records import RunRecord
    from mmbench.run import RunOptions
    from mmbench.sweep.outcome import Outcome
    from mmbench.sweep.plan import Plan
    from mmbench.sweep.standing import Standing

__all__ = ["carry_out_plan", "exit_with", "overridden_plan"]


def overridden_plan(plan: "Plan", given: Mapping[str, Any]) -> "Plan":
    """The plan with what the command line gives in place of its own."""
    from mmbench.sweep.plan import overridden

    return overridden(
        plan,
        dataset=given["dataset"],
        seeds=None if given["seeds"] is None else seed_numbers(given["seeds"]),
        steps=given["steps"],
        metrics=metric_names(given["metrics"]),
        sets=pairs(given["sets"]),
    )


def carry_out_plan(
    standings: Sequence["Standing"], records: Sequence["RunRecord"], given: Mapping[str, Any], options: "RunOptions"
) -> None:
    """The runs that wait: a line for each on standard error as it ends; then what became of all of them."""
    from mmbench.results.location import locate
    from mmbench.sweep.engines import engine_of, sweep
    from mmbench.sweep.estimate import Paces, TimeLeft, sentence

    waiting, paces, count = [each for each in standings if each.waits], Paces(records), 0
    left = TimeLeft([paces.guess(each) for each in waiting])
    if not given["quiet"]:
        say(f"{len(waiting)} of {len(standings)} runs to carry out: {sentence(standings, paces, given['jobs'])}")

    def told(before: "Standing", outcome: "Outcome") -> None:
        nonlocal count
        count += 1
        seconds = left.after(paces.guess(before), counts=outcome.status != "refused")
        if not given["quiet"]:
            last = count == len(waiting)
            say(f"{count} of {len(waiting)}: {sweep_printing.ending(outcome, None if last else seconds)}")

    found = sweep(standings, engine_of(given["jobs"]), given["store"], options, told)
    click.echo(sweep_printing.states_table(found))
    if any(each.state != "done" for each in found):
        click.echo("\n" + sweep_printing.reasons_table(found))
    click.echo(f"\nstore: {locate(given['store']).name}")
    exit_with([each.state for each in found])


def exit_with(endings: Sequence[str]) -> None:
    """The exit code of several runs: 1 where one is not done, 2 where bad input kept all of them from running."""
    if any(ending != "done" for ending in endings):
        sys.exit(2 if all(ending == "refused" for ending in endings) else 1)
