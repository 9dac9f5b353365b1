"""Commands for authors of components: `new` writes one, `check` checks it."""

import sys
from pathlib import Path

import click

from mmbench.cli_options import plugin_option, say
from mmbench.errors import InvalidSetting
from mmbench.testing.starting import KINDS

__all__ = ["check", "new"]


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), show_default="NAME.py", help="File; it must be new."
)
@plugin_option
def new(kind: str, name: str, out: Path | None) -> None:
    """Write a file with a component of your own.

    It is correct already: `mmbench check NAME` passes, and `mmbench run` can use it. Change it into yours step by step.
    """
    from mmbench.testing import starting

    path = out or starting.default_file(name)
    starting.source(kind, name)  # a name that cannot be is told before all else
    from mmbench.testing.checking import KINDS as KNOWN

    if name in KNOWN[kind][0]:
        raise InvalidSetting(f"there is a {kind} named {name!r} already; choose another name.")
    starting.write(kind, name, path)
    click.echo(str(path))
    say(f"check it: mmbench check {name} --plugin {path}")


@click.command()
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(KINDS), show_default="as the name tells", help="Where several kinds have the name."
)
@plugin_option
def check(name: str, kind: str | None) -> None:
    """Check that a component keeps the contract of its kind.

    One line a promise; a broken one says how, and the exit code is 1. A promise that is none of the component's is left
    out with the reason.
    """
    from mmbench.run.machine import threads_used
    from mmbench.testing import checking

    kind = kind or checking.kind_of(name)
    counts = {"kept": 0, "broken": 0, "left out": 0}
    with threads_used(1):  # the networks are small: more threads would wait for one another
        for verdict in checking.verdicts(kind, name):
            counts[verdict.state] += 1
            click.echo(f"{verdict.state:8}  {verdict.promise}{f': {verdict.reason}' if verdict.reason else ''}")
    click.echo(f"{kind} {name}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts["broken"]:
        sys.exit(1)
