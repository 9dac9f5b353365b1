"""Options that several commands share, and the values that are made of what was typed."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mmbench.errors import InvalidSetting, MMBenchError

if TYPE_CHECKING:
    from mmbench.run import RunOptions

__all__ = [
    "DEFAULT_STORE",
    "SPEC_NAMES",
    "machine_options",
    "metric_names",
    "metrics_option",
    "pairs",
    "plugin_option",
    "plugin_option_of_lists",
    "root_option",
    "run_options",
    "say",
    "seed_numbers",
    "set_option",
    "spec_options",
    "store_option",
]

DEFAULT_STORE = "mmbench-results/results.db"

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def _together(*options: Decorator) -> Decorator:
    """Several options as one decorator."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


store_option = click.option(
    "--store",
    default=DEFAULT_STORE,
    envvar="MMBENCH_STORE",
    show_envvar=True,
    help="The results store: a file, or a database URL.",
)


def _load_plugins(context: click.Context, parameter: click.Parameter, paths: Sequence[Path], *, tolerant: bool) -> None:
    """Load the files. One of the environment that fails stops nothing: it is told, and its components are not there."""
    if context.resilient_parsing or not paths:
        return
    from mmbench import plugins

    standing = context.get_parameter_source(parameter.name or "") is not ParameterSource.COMMANDLINE
    for path in paths:
        try:
            plugins.load(path)
        except MMBenchError as error:
            if not (standing or tolerant):
                raise
            say(f"mmbench: {error} Its components are left out.")


def _plugin_option(*, tolerant: bool) -> Decorator:
    return click.option(
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(path_type=Path),
        envvar="MMBENCH_PLUGINS",
        show_envvar=True,
        show_default="none",
        expose_value=False,
        callback=partial(_load_plugins, tolerant=tolerant),
        metavar="FILE",
        help="A Python file that registers components of your own; may be repeated.",
    )


plugin_option = _plugin_option(tolerant=False)
plugin_option_of_lists = _plugin_option(tolerant=True)  # a file that fails is listed with its error
root_option = click.option(
    "--data-root",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="MMBENCH_DATA",
    show_envvar=True,
    show_default="none",
    help="Folder of downloaded data sets.",
)
metrics_option = click.option(
    "--metrics", show_default="all default ones", help="Metrics, comma-separated; `none` for none."
)
set_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    show_default="none",
    help="A setting by its dotted name, e.g. model.k=30; may be repeated.",
)
machine_options = _together(
    click.option("--device", default="auto", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute."),
    click.option("--threads", type=int, show_default="torch's choice", help="CPU threads."),
    root_option,
    store_option,
    plugin_option,
    click.option("--quiet", is_flag=True, show_default="off", help="No progress on standard error."),
)
spec_options = _together(
    click.option("--model", default="meme", help="Model; `mmbench list models`."),
    click.option("--preset", default="common", help="The model's preset: common, source, or one of its own."),
    click.option("--dataset", default="digits", help="Dataset; `mmbench list datasets`."),
    click.option("--scheme", default="complete", help="Observation scheme; `mmbench list schemes`."),
    click.option("--f", default=1.0, type=float, help="Fraction of the training rows that stay complete, in (0, 1]."),
    click.option("--seed", default=0, type=int, help="The one seed of the run."),
    click.option("--paired-only", is_flag=True, show_default="off", help="Train on the complete rows alone."),
    click.option("--alternate", is_flag=True, show_default="off", help="One observation pattern a step, in turn."),
    click.option("--steps", type=int, show_default="as the preset", help="Optimiser steps."),
    click.option("--epochs", type=int, show_default="as the preset", help="Epochs, instead of steps."),
    click.option(
        "--features", show_default="the dataset's", help="What stands for the images of `cub` (setting data.features)."
    ),
    metrics_option,
    set_option,
)
SPEC_NAMES = (
    "model", "preset", "dataset", "scheme", "f", "seed",
    "paired_only", "alternate", "steps", "epochs", "features", "metrics", "sets",
)  # fmt: skip


# From what was typed to values ----------------------------------------------------------------------------------------
def seed_numbers(text: str) -> list[int]:
    """The seeds of `--seeds 0,1,2`."""
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        raise InvalidSetting(f"--seeds needs whole numbers parted by commas, e.g. 0,1,2, got {text!r}.") from None
    if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
        raise InvalidSetting(f"--seeds names {twice[0]} twice; keep one.")
    return seeds


def run_options(given: Mapping[str, Any]) -> "RunOptions":
    """Where and how to compute; options that a command has not are off."""
    from mmbench.run import RunOptions
    from mmbench.run.allocator import raise_thresholds

    raise_thresholds()  # before the first tensor of the run
    return RunOptions(
        device=given["device"],
        threads=given["threads"],
        data_root=given["data_root"],
        force=given.get("force", False),
        retry=given.get("retry", False),
        quiet=given["quiet"],
        cuda_graphs=given.get("cuda_graphs", False),
        say=say,
    )


def say(sentence: str) -> None:
    """Tell the user on standard error."""
    click.echo(sentence, err=True)


def metric_names(text: str | None) -> tuple[str, ...] | None:
    """The names of `--metrics a,b`; None where it was not given."""
    if text is None:
        return None
    return () if text == "none" else tuple(name.strip() for name in text.split(","))


def pairs(sets: Sequence[str]) -> dict[str, str]:
    """Dotted name -> text, of every `--set KEY=VALUE`."""
    found: dict[str, str] = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidSetting(f"--set needs KEY=VALUE, e.g. model.k=30, got {text!r}.")
        if key in found:
            raise InvalidSetting(f"--set {key} is given twice; keep one.")
        found[key] = value
    return found
