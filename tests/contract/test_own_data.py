"""One's own data keeps the contract of datasets: one to four modalities, with and without classes, and folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmbench.datasets import DATASETS, Dataset
from mmbench.testing import for_datasets
from mmbench.testing.contract import NotApplicable

ROWS = 30


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "grey": rng.integers(0, 256, (ROWS, 4, 5), dtype=np.uint8),
        "numbers": rng.normal(50, 9, (ROWS, 3)),
        "note": rng.integers(0, 5, (ROWS, 6)),
        "photo": rng.uniform(size=(ROWS, 4, 4, 3)).astype(np.float32),
    }


@pytest.fixture(scope="module", params=[*((m, c) for m in (1, 2, 3, 4) for c in (False, True)), "folder"], ids=str)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> type[Dataset]:
    folder = tmp_path_factory.mktemp("own")
    if request.param == "folder":
        return folder_of_images(folder)
    count, classes = request.param
    held = dict(list(arrays().items())[:count])
    np.savez(folder / "own.npz", **held, **({"labels": np.arange(ROWS) % 3} if classes else {}))
    return DATASETS[f"npz:{folder / 'own.npz'}"]


def folder_of_images(folder: Path) -> type[Dataset]:
    held = arrays()
    for name, suffix in (("grey", "png"), ("photo", "jpg")):
        (folder / name).mkdir()
        for i, row in enumerate(held[name]):
            pixels = row if row.dtype == np.uint8 else (row * 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.{suffix}")
    return DATASETS[f"images:{folder}"]


@pytest.mark.parametrize("check", for_datasets.CHECKS, ids=lambda check: check.__name__)
def test_ones_own_data_keeps_the_contract(kind, check):
    try:
        check(kind)
    except NotApplicable as reason:
        pytest.skip(str(reason))  # the contract says why it does not apply
