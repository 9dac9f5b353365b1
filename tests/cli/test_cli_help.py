"""`--help`: whole, quick, and complete."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from mmbench.cli import main
from mmbench.cli_options import DEFAULT_STORE
from mmbench.results.location import default_store

HELP = """\
Usage: mmbench [OPTIONS] COMMAND [ARGS]...

  Train multimodal VAEs under partial observation, measure them, and draw the
  figures.

  A run is decided by its spec: model, preset, dataset, scheme, fraction and
  seed. The same spec is trained once; its scores stand in the store, from which
  the report is drawn.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  check     Check that a component keeps the contract of its kind.
  data      List, download and check data sets.
  evaluate  Add scores to a trained run.
  export    Write every score of the store.
  list      List what is there to run.
  new       Write a file with a component of your own.
  report    Draw figures, tables and a page from a store.
  run       Train a model, score it, store the result.
  show      Show a run whole, or list all runs.
  sweep     Carry out the runs of a plan.
"""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = list(commands(main))


def test_help_is_this(invoke):
    result = invoke("--help")
    assert (result.exit_code, result.stdout, result.stderr) == (0, HELP, "")


def test_no_command_shows_the_help_with_code_2(invoke):
    result = invoke()
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", HELP)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_every_option_has_help_and_default(path, command):
    assert command.help
    context = click.Context(command, parent=click.Context(main, **main.context_settings))
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.name} has no help"
            assert "default: " in option.get_help_record(context)[1], f"{option.name} shows no default"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["sweep", "--help"], ["data", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\nfrom mmbench.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'pandas', 'seaborn', 'matplotlib', 'scipy', 'sqlalchemy', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.strip() == "[]"


def test_help_names_the_default_store(monkeypatch):
    monkeypatch.delenv("MMBENCH_STORE")
    assert default_store() == DEFAULT_STORE
