"""What every test gets: a store and a cache of its own, fixed seeds, and few threads.

The cache (rendered digits, trained classifiers) is shared by the whole session, so that it is filled once.
"""

import os
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import matplotlib as mpl
import numpy as np
import pytest
import torch

from mmbench import origins, plugins
from mmbench.registry import entered_from_outside, forget

SEED = 20220425

# Before any test module is imported; also for the processes that tests start.
os.environ["MPLBACKEND"] = "Agg"
mpl.use("Agg")
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The session's cache folder, in place of the user's own; parallel workers share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "mmbench-cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMBENCH_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def isolated_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A store of the test's own, in place of the user's."""
    monkeypatch.setenv("MMBENCH_STORE", str(tmp_path / "store" / "results.db"))
    monkeypatch.delenv("MMBENCH_PLUGINS", raising=False)


# A scheme is the smallest component: it needs no torch and no training.
SCHEME = """
from mmbench.datasets import SCHEMES, Scheme

@SCHEMES.register("{name}")
class Ours(Scheme):
    template = "{name}"
    description = "{description}"

    def patterns(self, names):
        return [(names[0],)]

    def divide(self, rest, names, classes, rng):
        return [((names[0],), rest)]
"""


@dataclass(frozen=True)
class Outside:
    """Makes code from outside: plug-in files, and distributions with entry points that stand on the path."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def scheme(self, name: str, description: str = "keeps the first modality") -> str:
        """The text of a file with a scheme that keeps the first modality of every incomplete row."""
        return SCHEME.format(name=name, description=description)

    def file(self, name: str, text: str) -> Path:
        """A file of this name with this text."""
        path = self.folder / name
        path.write_text(text)
        return path

    def distribution(
        self, name: str, points: Mapping[str, Mapping[str, str]], modules: Mapping[str, str] = MappingProxyType({})
    ) -> Path:
        """Install version 1.5 of a distribution into a folder of its own, which goes onto the path.

        Args:
            points: entry-point group -> name -> `module:attribute`.
            modules: module -> its text; their names begin with `outside_`.
        """
        place = self.folder / name
        info = place / f"{name.replace('-', '_')}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        lines = [
            line
            for group, named in points.items()
            for line in (f"[{group}]", *(f"{key} = {value}" for key, value in named.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, text in modules.items():
            (place / f"{module}.py").write_text(text)
        self.monkeypatch.syspath_prepend(str(place))
        return place


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    """Code from outside; what it registers during the test is taken out of the registries again."""
    begun = len(entered_from_outside())
    yield Outside(tmp_path, monkeypatch)
    for path in [*(file.path for file in plugins.loaded()), *plugins.failed()]:
        plugins.unload(path)
    forget(entered_from_outside()[begun:])
    for name in [name for name in sys.modules if name.startswith("outside_")]:
        del sys.modules[name]
        origins.executed(name, None)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Global generators start alike in every test, whatever ran before it."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets; skips where there is none."""
    root = os.environ.get("MMBENCH_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("needs real data: set MMBENCH_DATA to a folder that holds MNIST/ and SVHN/")
    return Path(root)
