"""One attempt at a run, from the checked spec to the record.

Bad input is found before the first step, and leaves store and files as they were. From then on every ending is a
record: done, interrupted, diverged or failed. Only a full disk and a foreign checkpoint leave none: what was saved
before serves the next attempt.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mmbench.config import RunSpec, parse_settings
from mmbench.datasets.base import Dataset
from mmbench.datasets.loader import Loader, LoaderSettings
from mmbench.datasets.observation import Observation, observe
from mmbench.errors import CheckpointError, Diverged, StoreError
from mmbench.modality import Batch
from mmbench.models.base import MultimodalVAE
from mmbench.results.records import RunRecord, Status
from mmbench.results.store import Store
from mmbench.run.building import build_model
from mmbench.run.folder import RunFolder
from mmbench.run.machine import peak_memory_mb
from mmbench.run.options import RunOptions
from mmbench.run.provenance import provenance
from mmbench.run.scoring import TEST_PAIRING_SEED, Scored, evaluation_rows, score
from mmbench.training.curves import Recorder
from mmbench.training.graphs import CudaCapture
from mmbench.training.loop import Trained, fit
from mmbench.training.progress import StatusLine, progress
from mmbench.training.settings import TrainSettings

if TYPE_CHECKING:
    import torch

__all__ = ["Attempt", "observed"]


@dataclass(frozen=True)
class Attempt:
    """All that one attempt at a run needs, checked; and what becomes of it."""

    id: str
    spec: RunSpec
    store: Store
    folder: RunFolder
    dataset: Dataset
    model: MultimodalVAE
    loader: Loader
    provenance: Mapping[str, Any]
    options: RunOptions
    recorder: Recorder

    @classmethod
    def prepared(
        cls,
        spec: RunSpec,
        store: Store,
        folder: RunFolder,
        dataset: Dataset,
        data: Mapping[str, Any],
        observation: Observation,
        device: "torch.device",
        options: RunOptions,
    ) -> "Attempt":
        """Everything up to the first step, so that bad input is found while nothing is stored."""
        model = build_model(spec, dataset.modalities).to(device)
        loader = _loader(spec, dataset, observation, _loader_settings(spec), model)
        origin = provenance(spec, device=device, data=data, observation=observation)
        held = store.find(folder.key)
        if options.force or (held is not None and held.status == "diverged"):
            folder.checkpoints(spec).clear()
        name, recorder = _next_id(spec, folder.key, held), Recorder(_train_settings(spec).log_every)
        return cls(name, spec, store, folder, dataset, model, loader, origin, options, recorder)

    def carried_out(self) -> RunRecord:
        """Train, keep the weights, score, and record how it ended."""
        began = time.monotonic()
        try:
            trained = self._trained()
            self.folder.save(self.model, self.spec)
            scoring = time.monotonic()
            with StatusLine(self.id, quiet=self.options.quiet) as told:
                found = score(self.model, self.dataset, seed=self.spec.seed, metrics=self.spec.metrics, progress=told)
            record = self._done(trained, found, time.monotonic() - scoring)
        except (StoreError, CheckpointError):
            raise  # nothing is wrong with the run itself: it goes on once there is room, or a checkpoint is put right
        except Diverged as error:
            record = self._ended("diverged", str(error), time.monotonic() - began)
        except KeyboardInterrupt:
            self._keep(self._ended("interrupted", "interrupted; the same command goes on.", time.monotonic() - began))
            raise
        except Exception as error:
            self._keep(self._ended("failed", _sentence(error), time.monotonic() - began))
            raise
        self.store.add(record)
        self.folder.checkpoints(self.spec).clear()
        return self.store.get(self.id)

    def _trained(self) -> Trained:
        settings, device = _train_settings(self.spec), self.model.device
        checkpoints = self.folder.checkpoints(self.spec)
        if (path := next(iter(checkpoints.paths()), None)) is not None:
            self.options.say(f"going on from checkpoint {path}.")
        return fit(
            self.model,
            self.loader,
            settings,
            seed=self.spec.seed,
            test=self._held_out if settings.test_rows else None,
            checkpoints=checkpoints,
            checkpoint_seconds=self.options.checkpoint_seconds,
            recorder=self.recorder,
            callbacks=[progress(self.id, quiet=self.options.quiet)],
            capture=CudaCapture(device) if self.options.cuda_graphs and device.type == "cuda" else None,
        )

    def _held_out(self) -> list[Batch]:
        limit = _train_settings(self.spec).test_rows
        rows = evaluation_rows(self.dataset, "test", self.model, seed=TEST_PAIRING_SEED, limit=limit)
        return [Batch(part.values) for part in rows]

    def _done(self, trained: Trained, found: Scored, seconds: float) -> RunRecord:
        timings = {
            "train_s": trained.seconds,
            "evaluate_s": seconds,
            "pairs_per_s": trained.pairs_per_s,
            "steps": trained.steps,
        }
        record = self._record("done", timings)
        origin = {**record.provenance, "classifiers": dict(found.classifiers)}
        return replace(record, provenance=origin, scores=found.evaluation.scores, arrays=found.evaluation.arrays)

    def _ended(self, status: Status, error: str, seconds: float) -> RunRecord:
        return replace(self._record(status, {"train_s": seconds}), error=error)

    def _record(self, status: Status, timings: Mapping[str, Any]) -> RunRecord:
        sizes = {
            "peak_memory_mb": peak_memory_mb(self.model.device),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }
        return RunRecord(
            id=self.id,
            fit_key=self.folder.key,
            spec=self.spec.to_dict(),
            status=status,
            provenance=self.provenance,
            facts=facts(self.model),
            timings={**timings, **sizes},
            created=datetime.now(UTC),
            curves=self.recorder.curves(),
        )

    def _keep(self, record: RunRecord) -> None:
        """Record an ending whose cause goes on to the caller, even where the store fails too."""
        try:
            self.store.add(record)
        except StoreError as error:
            self.options.say(f"the run could not be recorded as {record.status}: {error}")


def facts(model: MultimodalVAE) -> dict[str, Any]:
    """What the model says of itself, with its version and the stages of its settings: the report's capability table."""
    return {**asdict(model.facts), "version": model.version, "stages": [stage.name for stage in model.stages]}


def observed(spec: RunSpec, dataset: Dataset) -> Observation:
    """What the spec observes of the training rows. Raises `InvalidSetting` where `f` leaves no row complete."""
    coin = _loader_settings(spec).coin
    return observe(dataset, spec.scheme, spec.f, seed=spec.seed, paired_only=spec.paired_only, coin=coin)


def _loader_settings(spec: RunSpec) -> LoaderSettings:
    return parse_settings(LoaderSettings, spec.settings["loader"], "loader")


def _loader(
    spec: RunSpec, dataset: Dataset, observation: Observation, settings: LoaderSettings, model: MultimodalVAE
) -> Loader:
    return Loader(
        dataset.split("train").arrays,
        observation.patterns,
        batch_size=_train_settings(spec).batch_size,
        device=model.device,
        dtype=model.dtype,
        seed=spec.seed,
        settings=settings,
    )


def _train_settings(spec: RunSpec) -> TrainSettings:
    return parse_settings(TrainSettings, spec.settings["train"], "train")


def _next_id(spec: RunSpec, key: str, held: RunRecord | None) -> str:
    """`meme-digits-split-0.5-s0-3f2a1c`, and `...-2` for what supersedes it; safe in a shell, whatever names hold."""
    name = f"{spec.model}-{spec.dataset}-{spec.scheme}-{spec.f:g}-s{spec.seed}-{key[:6]}"
    name = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)
    if held is None:
        return name
    number = held.id.removeprefix(name).removeprefix("-")
    return f"{name}-{int(number or 1) + 1}"


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
