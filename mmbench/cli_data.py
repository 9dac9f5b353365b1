"""The commands of `mmbench data`: the state of data sets, their download, and where they are read from."""

from pathlib import Path

import click

from mmbench import printing
from mmbench.cli_options import plugin_option, plugin_option_of_lists, root_option
from mmbench.errors import InvalidSetting

__all__ = ["data"]


@click.group()
def data() -> None:
    """List, download and check data sets."""


@data.command(name="list")
@root_option
@plugin_option_of_lists
def data_list(data_root: Path | None) -> None:
    """List the data sets and the state of their files."""
    from mmbench import listing

    click.echo(printing.table(*listing.dataset_rows(data_root)))


@data.command()
@click.argument("dataset")
@root_option
@plugin_option
def fetch(dataset: str, data_root: Path | None) -> None:
    """Download the published files of a data set and check them."""
    from mmbench.datasets import DATASETS

    click.echo(DATASETS[dataset].fetch(data_root))


@data.command()
@click.argument("dataset")
@root_option
@plugin_option
def verify(dataset: str, data_root: Path | None) -> None:
    """Check the files of a data set: published, well formed but other, or broken."""
    from mmbench.datasets import DATASETS

    click.echo(DATASETS[dataset].verify(data_root))


@data.command()
@root_option
def path(data_root: Path | None) -> None:
    """Print the folder that data sets are read from."""
    if data_root is None:
        raise InvalidSetting("no data folder is set: give --data-root FOLDER or set MMBENCH_DATA.")
    click.echo(str(data_root.absolute()))
