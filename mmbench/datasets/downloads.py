"""Downloads through torchvision: into a temporary folder first, so that no file of the user's is ever replaced."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.error import URLError

from mmbench import _torchvision
from mmbench.errors import MMBenchError

__all__ = ["download_missing"]


def download_missing(
    root: Path, wanted: Iterable[str], download: Callable[[Any, Path], None], *, dataset: str
) -> list[str]:
    """Download below `root` the wanted files and folders that are not there.

    Args:
        wanted: paths relative to `root`.
        download: called with the `torchvision.datasets` module and an empty folder, which it fills like `root`.

    Returns:
        The paths that were added; nothing is downloaded where none is missing.

    Raises:
        MMBenchError: no connection, a wrong checksum, or a folder that cannot be written.
    """
    missing = [path for path in wanted if not (root / path).exists()]
    if not missing:
        return []
    datasets = _torchvision.load().datasets
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".fetch-") as folder:
            download(datasets, Path(folder))
            for path in missing:
                _move(Path(folder) / path, root / path)
    except (URLError, OSError, RuntimeError) as error:
        raise MMBenchError(
            f"could not fetch {dataset} to {root} ({error}); it needs a connection to the internet and a folder that "
            "can be written."
        ) from error
    return missing


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
