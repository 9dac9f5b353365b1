"""`load`: the fitted model of a run, for generation and embeddings in Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmbench.config import RunSpec
from mmbench.datasets.base import Dataset
from mmbench.datasets.files import data_root as folder_of_data
from mmbench.errors import CannotBear, InvalidSetting, UnknownName
from mmbench.models.base import MultimodalVAE
from mmbench.models.posteriors import Diagonal
from mmbench.results.location import default_store
from mmbench.results.records import RunRecord
from mmbench.results.store import Store
from mmbench.run.building import build_dataset, build_model
from mmbench.run.folder import RunFolder
from mmbench.run.machine import choose_device
from mmbench.run.outside import require_same_code
from mmbench.seeding import StepNoise, stream

__all__ = ["Fitted", "load"]

EMBEDDING_SAMPLES = 100


@dataclass(frozen=True)
class Fitted:
    """A trained run in memory: its record, its model in eval mode, and the dataset it was trained on."""

    record: RunRecord
    model: MultimodalVAE
    data_root: Path | None = None

    @property
    def spec(self) -> RunSpec:
        """The run's spec."""
        return RunSpec.from_dict(self.record.spec)

    @cached_property
    def dataset(self) -> Dataset:
        """The run's dataset; its files are read when its splits are asked for."""
        return build_dataset(self.spec, self.data_root)

    def generate(
        self, given: Mapping[str, Any], target: str, n: int = 1, *, seed: int = 0, rows: int = 1
    ) -> np.ndarray:
        """Means of the target's likelihood at `n` latent samples: `[n, B, *shape]`, images in [0, 1].

        Of tokens they are the most probable ones, as integers.

        Args:
            given: modality -> rows `[B, *shape]`, of images uint8 or floats in [0, 1]; empty to sample the prior.
            rows: B where nothing is given.
        """
        import torch

        self._require(target)
        noise = StepNoise(stream(seed, "generate"), device=self.model.device, dtype=self.model.dtype)
        with torch.no_grad():
            if given:
                values = {name: self._values(name, x) for name, x in given.items()}
                z = self.model.posterior(values).rsample(n, noise)
            else:
                z = self.model.prior().sample(n, rows, noise)
            return np.asarray(self.model.likelihood(target, z).mean.cpu())

    def embed(self, name: str, x: Any) -> np.ndarray:
        """Where the posterior of modality `name` puts rows `[B, *shape]`: its mean `[B, D]`."""
        import torch

        with torch.no_grad():
            posterior = self.model.posterior({name: self._values(name, x)})
            if isinstance(posterior, Diagonal):
                return np.asarray(posterior.mean.cpu())
            noise = StepNoise(stream(0, "embed"), device=self.model.device, dtype=self.model.dtype)
            return np.asarray(posterior.rsample(EMBEDDING_SAMPLES, noise).mean(0).cpu())

    def _require(self, name: str) -> None:
        if name not in self.model.modalities:
            raise UnknownName(f"modality of dataset {self.spec.dataset!r}", name, self.model.modalities)

    def _values(self, name: str, x: Any) -> Any:
        import torch

        self._require(name)
        spec = self.model.modalities[name]
        shape, array = spec.shape, torch.as_tensor(x)
        if tuple(array.shape[1:]) != shape:
            raise InvalidSetting(
                f"{name} needs rows of shape [B, {', '.join(map(str, shape))}], got {list(array.shape)}."
            )
        if spec.tokens is not None:
            if array.is_floating_point() or not bool(((array >= 0) & (array < spec.tokens.vocabulary)).all()):
                raise InvalidSetting(f"{name} needs whole numbers from 0 to {spec.tokens.vocabulary - 1}, its tokens.")
            return array.to(self.model.device)
        scale = 255 if array.dtype == torch.uint8 else 1
        return array.to(self.model.device, self.model.dtype) / scale


def load(
    run_id: str, store: Store | str | Path | None = None, *, device: str = "cpu", data_root: Path | None = None
) -> Fitted:
    """The fitted model of a finished run.

    Args:
        run_id: the run's id, a prefix that only it has, or `latest`.
        store: an open store, or where it is; None for `MMBENCH_STORE`, else `./mmbench-results/results.db`.

    Raises:
        UnknownName, StoreError: no such run, or no such store.
        CannotBear: the run was interrupted, diverged or failed; or its model or dataset is of a plug-in file that has
            changed since, or is not loaded (`mmbench.plugins.load`).
        CheckpointError: its weights are missing, torn, or another run's.
    """
    if not isinstance(store, Store):
        with Store.open_readonly(store or default_store()) as opened:
            return load(run_id, opened, device=device, data_root=data_root)
    record = store.get(run_id)
    if record.status != "done":
        raise CannotBear(f"run {record.id} has no final weights, it is {record.status}; `mmbench run` finishes it.")
    require_same_code(record)
    spec = RunSpec.from_dict(record.spec)
    root = folder_of_data(data_root)
    model = build_model(spec, build_dataset(spec, root).modalities)
    RunFolder.of(store, record.fit_key).load_into(model)
    return Fitted(record, model.to(choose_device(device)).eval(), root)
