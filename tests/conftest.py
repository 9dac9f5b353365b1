"""What every test gets: a store and a cache of its own, fixed seeds, and few threads.

The cache (rendered digits, trained classifiers) is shared by the whole session, so that it is filled once.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch

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
