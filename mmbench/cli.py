"""The command line: parse, call one function, print.

Heavy imports stand inside the commands, so that `mmbench --help` answers at once. An `MMBenchError` is one sentence on
standard error and exit code 2, an interruption exit code 130, a run that diverged exit code 1.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mmbench import printing, sweep_printing
from mmbench.cli_data import data
from mmbench.cli_many import carry_out_plan, exit_with, overridden_plan
from mmbench.cli_options import (
    SPEC_NAMES,
    machine_options,
    metric_names,
    metrics_option,
    pairs,
    plugin_option_of_lists,
    run_options,
    say,
    seed_numbers,
    set_option,
    spec_options,
    store_option,
)
from mmbench.cli_plugins import check, new
from mmbench.errors import InvalidSetting, MMBenchError

if TYPE_CHECKING:
    from mmbench.config import RunSpec
    from mmbench.results.records import RunRecord
    from mmbench.results.store import Store
    from mmbench.sweep.outcome import Outcome

__all__ = ["main"]

DEFAULT_REPORT = "mmbench-results/report"


class _Commands(click.Group):
    """A group whose `main` turns every expected error into one sentence and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError as error:
            code = _complain(error.format_message(), prefix="")
        except click.ClickException as error:
            code = _complain(error.format_message())
        except MMBenchError as error:
            code = _complain(str(error))
        except (click.Abort, KeyboardInterrupt):
            code = _complain(
                "interrupted; a run goes on from its last checkpoint when the same command is given again.", code=130
            )
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that stops early (`| head`) has seen enough, which is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the flush at exit must not fail again
            return 0
        return result


def _complain(sentence: str, *, prefix: str = "mmbench: ", code: int = 2) -> int:
    click.echo(prefix + sentence, err=True)
    return code


@click.group(
    cls=_Commands,
    context_settings={"show_default": True, "help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="mmbench", message="%(prog)s %(version)s")
def main() -> None:
    """Train multimodal VAEs under partial observation, measure them, and draw the figures.

    A run is decided by its spec: model, preset, dataset, scheme, fraction and seed. The same spec is trained once; its
    scores stand in the store, from which the report is drawn.
    """


# Commands -------------------------------------------------------------------------------------------------------------
@main.command()
@spec_options
@click.option(
    "--spec", "spec_file", type=click.File("r"), show_default="none", help="A spec as --dry-run prints it; - for stdin."
)
@click.option(
    "--seeds", show_default="none", metavar="N,N,...", help="Several runs that differ by their seed, e.g. 0,1,2."
)
@click.option(
    "--jobs-per-device",
    default=1,
    type=click.IntRange(min=1),
    help="How many runs of --seeds share the device at once, each in a process of its own.",
)
@click.option("--dry-run", is_flag=True, show_default="off", help="Print the complete resolved spec as JSON and stop.")
@click.option("--force", is_flag=True, show_default="off", help="Train anew and supersede the run that is there.")
@click.option("--retry", is_flag=True, show_default="off", help="Train again what failed or diverged.")
@click.option(
    "--cuda-graphs", is_flag=True, show_default="off", help="On CUDA, record steps of fixed shapes and replay them."
)
@machine_options
def run(**given: Any) -> None:
    """Train a model, score it, store the result.

    A spec that is in the store already is shown, not trained again. --dry-run prints every setting that --set reaches.
    With --seeds the runs are carried out one after the other, or several at once with --jobs-per-device.
    """
    if given["seeds"] is not None:
        _run_seeds(given)
        return
    if given["jobs_per_device"] > 1:
        raise InvalidSetting("--jobs-per-device is for the runs of --seeds, and there is one run; give --seeds.")
    spec = _spec(given)
    if given["dry_run"]:
        click.echo(json.dumps(spec.to_dict(), indent=2))
        return
    _say_if_complete(given, spec)
    from mmbench.run import run as train

    _show_result(train(spec, lambda: _open(given["store"], create=True), run_options(given)), given["store"])


@main.command()
@click.argument("plan", metavar="PLAN")
@click.option("--jobs", default=1, type=click.IntRange(min=1), help="Runs at once, each in a process of its own.")
@click.option("--dry-run", is_flag=True, show_default="off", help="Print the runs, where they stand, and how long.")
@click.option("--force", is_flag=True, show_default="off", help="Train anew and supersede the runs that are there.")
@click.option("--retry", is_flag=True, show_default="off", help="Train again what failed or diverged.")
@click.option("--dataset", show_default="as the plan", help="Dataset of every run.")
@click.option("--seeds", show_default="as the plan", metavar="N,N,...", help="Seeds of every run, e.g. 0,1,2.")
@click.option("--steps", type=int, show_default="as the plan", help="Optimiser steps of every run.")
@click.option("--metrics", show_default="as the plan", help="Metrics of every run, comma-separated; `none` for none.")
@set_option
@machine_options
def sweep(plan: str, **given: Any) -> None:
    """Carry out the runs of a plan.

    PLAN is a YAML file, or a plan of `mmbench list plans`. What is done is skipped, and what fails does not stop the
    others. After Ctrl-C the same command goes on.
    """
    from mmbench.sweep.estimate import Paces, sentence
    from mmbench.sweep.expansion import expand
    from mmbench.sweep.plan import read_plan
    from mmbench.sweep.standing import held_records, standings

    read = read_plan(plan)
    entries = expand(overridden_plan(read, given), given["data_root"])
    options = run_options(given)
    records = held_records(given["store"], for_writing=not given["dry_run"])
    found = standings(entries, records, options)
    if given["dry_run"]:
        click.echo(f"{read.title}\n\n{sweep_printing.plan_table(found)}\n\n{sweep_printing.states_table(found)}\n")
        click.echo(f"time: {sentence(found, Paces(records), given['jobs'])}")
    else:
        carry_out_plan(found, records, given, options)


@main.command()
@click.argument("run_id", metavar="RUN")
@metrics_option
@set_option
@machine_options
def evaluate(run_id: str, **given: Any) -> None:
    """Add scores to a trained run.

    Nothing is trained. RUN is the run's name or a unique beginning of it.
    """
    from mmbench.run import evaluate_run

    metrics, sets = metric_names(given["metrics"]), pairs(given["sets"])
    with _open(given["store"]) as store:
        record = evaluate_run(run_id, store, metrics, sets=sets, options=run_options(given))
    _show_result(record, given["store"])


@main.command()
@click.option(
    "--out", default=DEFAULT_REPORT, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to."
)
@click.option(
    "--only",
    default="",
    show_default="everything",
    metavar="NAME,...",
    help="Sections (such as coherence), and `tables` or `figures`; an unknown name lists all.",
)
@click.option(
    "--compare", show_default="none", metavar="STORE", help="A second store, opened for reading, to be laid beside it."
)
@store_option
@click.option("--quiet", is_flag=True, show_default="off", help="Nothing on standard error while figures are drawn.")
def report(out: Path, only: str, compare: str | None, store: str, quiet: bool) -> None:
    """Draw figures, tables and a page from a store."""
    from mmbench.results.report import write
    from mmbench.run.options import silent

    names = [name for name in only.split(",") if name]
    with ExitStack() as stack:
        opened = stack.enter_context(_open(store, read_only=True))
        other = None if compare is None else stack.enter_context(_open(compare, read_only=True))
        path = write(opened, out, only=names, other=other, say=silent if quiet else say)
    click.echo(str(path))


@main.command(name="list")
@click.argument("kind", type=click.Choice(["models", "datasets", "schemes", "metrics", "plans", "plugins"]))
@plugin_option_of_lists
def list_(kind: str) -> None:
    """List what is there to run.

    What other distributions bring is listed without being imported. `plugins` imports all of it and says what can be
    had, and why not.
    """
    from mmbench import listing

    click.echo(listing.text(kind))


@main.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--all", "superseded", is_flag=True, show_default="off", help="List superseded runs too.")
@store_option
def show(run_id: str | None, superseded: bool, store: str) -> None:
    """Show a run whole, or list all runs."""
    with _open(store, read_only=True) as opened:
        if run_id is None:
            click.echo(printing.runs_table(opened.runs(include_superseded=superseded)))
        else:
            click.echo(printing.run_text(opened.get(run_id)))


@main.command()
@click.option(
    "--format", "format_", default="csv", type=click.Choice(["csv", "json"]), help="One row or object a score."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), show_default="standard output", help="File.")
@store_option
def export(format_: str, out: Path | None, store: str) -> None:
    """Write every score of the store."""
    from mmbench.results.frame import scores_frame, to_csv, to_json

    with _open(store, read_only=True) as opened:
        frame = scores_frame(opened)
    text = to_csv(frame) if format_ == "csv" else to_json(frame)
    if out is None:
        click.echo(text, nl=False)
    else:
        _write(out, text)


for other in (data, new, check):
    main.add_command(other)


# Several runs ---------------------------------------------------------------------------------------------------------
def _run_seeds(given: Mapping[str, Any]) -> None:
    """The runs of `--seeds`: a line for each on standard error as it ends, and a table of all."""
    if click.get_current_context().get_parameter_source("seed") is ParameterSource.COMMANDLINE:
        raise InvalidSetting("--seeds names the seed of every run; leave out --seed.")
    specs = [_spec({**given, "seed": seed}) for seed in seed_numbers(given["seeds"])]
    if given["dry_run"]:
        click.echo(json.dumps([spec.to_dict() for spec in specs], indent=2))
        return
    _say_if_complete(given, specs[0])
    from mmbench.sweep.processes import carry_out

    count = 0

    def told(outcome: "Outcome") -> None:
        nonlocal count
        count += 1
        if not given["quiet"]:
            name = outcome.run or f"seed {outcome.spec.seed}"
            say(f"{count} of {len(specs)}: {name} {outcome.status}{f': {outcome.error}' if outcome.error else '.'}")

    outcomes = carry_out(specs, given["store"], run_options(given), jobs=given["jobs_per_device"], told=told)
    _show_outcomes(outcomes, given["store"])


def _show_outcomes(outcomes: Sequence["Outcome"], store: str) -> None:
    """A table of the runs."""
    from mmbench.results.location import locate

    rows = [(str(o.spec.seed), o.status, o.run or "none", o.error) for o in outcomes]
    columns = 4 if any(outcome.error for outcome in outcomes) else 3
    click.echo(printing.table(("seed", "status", "run", "error")[:columns], [row[:columns] for row in rows]))
    click.echo(f"\nstore: {locate(store).name}")
    exit_with([outcome.status for outcome in outcomes])


# From options to values -----------------------------------------------------------------------------------------------
def _spec(given: Mapping[str, Any]) -> "RunSpec":
    from mmbench.run import Request, read_spec, resolve

    if given["spec_file"] is not None:
        context = click.get_current_context()
        options = [p for p in context.command.params if p.name in (*SPEC_NAMES, "seeds")]
        typed = [p for p in options if context.get_parameter_source(p.name or "") is ParameterSource.COMMANDLINE]
        if typed:
            raise InvalidSetting(f"--spec holds the whole run; leave out {typed[0].opts[0]}.")
        return read_spec(_json(given["spec_file"]), given["data_root"])
    values = {name: given[name] for name in SPEC_NAMES}
    features = values.pop("features")
    sets = [*given["sets"], *([] if features is None else [f"data.features={features}"])]
    values |= {"metrics": metric_names(given["metrics"]), "sets": pairs(sets)}
    values["schedule"] = "alternate" if values.pop("alternate") else None
    return resolve(Request(**values), given["data_root"])


def _say_if_complete(given: Mapping[str, Any], spec: "RunSpec") -> None:
    if given["scheme"] not in ("complete", spec.scheme) and given["spec_file"] is None:
        say(f"with f = 1 every row is complete under any scheme: --scheme {given['scheme']} is complete; give --f.")


def _json(file: IO[str]) -> Mapping[str, Any]:
    try:
        value = json.load(file)
    except ValueError as error:
        raise InvalidSetting(f"{file.name} is not JSON ({error}); `mmbench run --dry-run` prints a spec.") from error
    if not isinstance(value, dict):
        raise InvalidSetting(f"{file.name} holds no run spec; `mmbench run --dry-run` prints one.")
    return value


def _open(store: str, *, create: bool = False, read_only: bool = False) -> "Store":
    from mmbench.results.store import Store

    return Store.open_readonly(store) if read_only else Store.open(store, create=create)


def _write(out: Path, text: str) -> None:
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidSetting(f"cannot write {out}: {error.strerror}; name another file with --out.") from error
    click.echo(str(out))


def _show_result(record: "RunRecord", store: str) -> None:
    from mmbench.results.location import locate

    click.echo(printing.run_heading(record))
    click.echo("\n" + printing.scores_table(record.scores))
    click.echo(f"\nstore: {locate(store).name}")
    if record.status != "done":
        sys.exit(1)
