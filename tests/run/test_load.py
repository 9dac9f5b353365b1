"""The fitted model of a run, in Python."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import mmbench
from mmbench.errors import InvalidSetting, StoreError, UnknownName
from mmbench.models.posteriors import Diagonal
from mmbench.results.store import Store
from mmbench.run import RunOptions, load, resolve, run
from mmbench.run.folder import RunFolder


@pytest.fixture
def record(tiny: ModuleType, store: Store) -> Any:
    return run(resolve(tiny.request(metrics=())), store, RunOptions(device="cpu", quiet=True))


def test_the_weights_are_those_that_were_saved(tiny: ModuleType, store: Store, record: Any) -> None:
    fitted = load(record.id, store)
    saved = torch.load(RunFolder.of(store, record.fit_key).weights, weights_only=True)["weights"]
    assert all(torch.equal(value, saved[name]) for name, value in fitted.model.state_dict().items())
    assert not fitted.model.training
    assert fitted.spec == resolve(tiny.request(metrics=()))
    assert isinstance(fitted.dataset, tiny.TinyDataset)


def test_a_run_is_found_by_the_path_of_its_store(tiny: ModuleType, store: Store, record: Any, tmp_path: Path) -> None:
    assert mmbench.load(record.id[:9], tmp_path / "results.db").record.id == record.id


def test_the_default_store_is_the_environments(
    tiny: ModuleType, store: Store, record: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMBENCH_STORE", str(tmp_path / "results.db"))
    assert load("latest").record.id == record.id
    monkeypatch.setenv("MMBENCH_STORE", str(tmp_path / "absent.db"))
    with pytest.raises(StoreError):
        load("latest")
    assert not (tmp_path / "absent.db").exists()


def test_generation_decodes_samples_of_the_posterior(tiny: ModuleType, store: Store, record: Any) -> None:
    fitted = load(record.id, store)
    images = fitted.dataset.split("test").arrays["left"][:5]
    made = fitted.generate({"left": images}, "right", n=400)
    assert made.shape == (400, 5, 1, 3, 3)
    assert made.min() >= 0
    assert made.max() <= 1
    posterior = fitted.model.posterior({"left": torch.from_numpy(images).float() / 255})
    assert isinstance(posterior, Diagonal)
    z = posterior.mean + posterior.stddev * torch.randn(4000, 5, 3)
    expected = fitted.model.likelihood("right", z).mean.mean(0).detach().numpy()
    np.testing.assert_allclose(made.mean(0), expected, atol=0.05)
    np.testing.assert_array_equal(made, fitted.generate({"left": images / np.float32(255)}, "right", n=400))
    assert not np.array_equal(made, fitted.generate({"left": images}, "right", n=400, seed=1))


def test_generation_from_the_prior(tiny: ModuleType, store: Store, record: Any) -> None:
    assert load(record.id, store).generate({}, "left", n=2, rows=3).shape == (2, 3, 1, 3, 3)


def test_embeddings_are_posterior_means(tiny: ModuleType, store: Store, record: Any) -> None:
    fitted = load(record.id, store)
    images = fitted.dataset.split("test").arrays["right"][:7]
    expected = fitted.model.posterior({"right": torch.from_numpy(images).float() / 255})
    assert isinstance(expected, Diagonal)
    np.testing.assert_array_equal(fitted.embed("right", images), expected.mean.detach().numpy())


def test_what_does_not_fit_is_a_sentence(tiny: ModuleType, store: Store, record: Any) -> None:
    fitted = load(record.id, store)
    with pytest.raises(UnknownName, match="unknown modality of dataset 'tiny' 'rihgt'; did you mean 'right'"):
        fitted.generate({"left": np.zeros((1, 1, 3, 3))}, "rihgt")
    with pytest.raises(InvalidSetting, match=r"left needs rows of shape \[B, 1, 3, 3\], got \[1, 3, 3\]"):
        fitted.embed("left", np.zeros((1, 3, 3)))


def test_public_names_are_served_lazily() -> None:
    assert mmbench.Request is mmbench.run.Request
    assert set(mmbench.__all__) <= {name for name in mmbench.__all__ if getattr(mmbench, name) is not None}
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        mmbench.lod  # noqa: B018  # reading it is what raises
