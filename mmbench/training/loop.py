"""The training loop: one for every model, knowing none of them.

The order of a step is fixed: zero_grad, objective, finite check, backward, clip, step. (A recorded step, see `graphs`,
is checked once it is done; on CUDA values are read some steps later anyway.) All that a step depends on is a function
of the seed and the step's number (its rows, its noise) or stands in the checkpoint (weights, moments), so that a
resumed training ends with the same bits as one that never stopped (CPU, same number of threads).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mmbench.errors import CheckpointError, InvalidSetting
from mmbench.modality import Batch, Step
from mmbench.models.base import MultimodalVAE, Objective
from mmbench.results.records import Curve
from mmbench.seeding import Noise, StepNoise, stream
from mmbench.training.callbacks import Callback, Callbacks
from mmbench.training.checkpoint import Checkpoints
from mmbench.training.curves import Recorder
from mmbench.training.determinism import generators, own_generators, seed_generators
from mmbench.training.finite import Readings, require_finite_parameters
from mmbench.training.graphs import Capture, StepRecorder
from mmbench.training.held_out import held_out_terms
from mmbench.training.interrupt import Interruption, interruptible
from mmbench.training.objective import step_objective
from mmbench.training.precision import float32_products, networks_in
from mmbench.training.saving import Saver
from mmbench.training.settings import TrainSettings, make_optimiser
from mmbench.training.signal_to_noise import signal_to_noise
from mmbench.training.stages import enter_stage, spans, trainable

__all__ = ["Steps", "Trained", "fit"]

INITIAL_ROWS = 1024
READ_EVERY_ON_CUDA = 50
TESTS = 20


class Steps(Protocol):
    """Where training steps come from: the dataset's loader."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in every epoch."""
        ...

    def epoch(self, number: int, start: int = 0) -> Iterator[Step]:
        """The steps of an epoch from `start` on; their order is a pure function of the seed and the number."""
        ...

    def first_rows(self, n: int) -> Mapping[str, Tensor]:
        """The first `n` observed training rows of each modality (fewer where there are fewer)."""
        ...


@dataclass(frozen=True)
class Trained:
    """What a training left beside the weights: its curves and its costs.

    `seconds` is the time of the steps and their data, without test terms and checkpoints.
    """

    curves: tuple[Curve, ...]
    steps: int
    rows: int
    seconds: float

    @property
    def pairs_per_s(self) -> float:
        """Training rows taken in a second."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0


def fit(
    model: MultimodalVAE,
    loader: Steps,
    settings: TrainSettings,
    *,
    seed: int,
    test: Callable[[], Iterable[Batch]] | None = None,
    checkpoints: Checkpoints | None = None,
    checkpoint_seconds: float = 300.0,
    recorder: Recorder | None = None,
    callbacks: Sequence[Callback] = (),
    capture: Capture | None = None,
) -> Trained:
    """Train a fresh model in place, or go on from its last checkpoint; it ends in eval mode.

    Args:
        model: as its constructor left it, on its device.
        test: makes an iterator over held-out batches for the logged test terms, each time it is called; None logs none.
        checkpoints: where to go on from and to save to; None for neither.
        checkpoint_seconds: the longest time between two checkpoints (see `Saver`).
        recorder: an empty one; its curves outlive a training that is interrupted or diverges.
        capture: how steps are recorded and replayed (see `graphs`); None takes every step as it is.

    Raises:
        Diverged: the loss or a term is NaN or infinite; names step and term.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the step in progress was finished and saved.
        CheckpointError, StorageFull: see `Checkpoints`.
    """
    watching = Callbacks(callbacks)
    saver = Saver(checkpoints, checkpoint_seconds)
    recorder = recorder or Recorder(settings.log_every)
    training = _Training(model, loader, settings, seed, test, saver, recorder, watching, capture)
    execution = model.execution
    try:
        with ExitStack() as stack:
            stack.enter_context(own_generators(model.device))
            stack.enter_context(float32_products(settings.precision, model.device))
            interruption = stack.enter_context(interruptible())
            model.execution = replace(
                execution,
                tolerance=settings.tolerance,
                differentiated=settings.differentiated,
                static=model.device.type == "cuda",
            )
            training.begin()
            training.run(interruption)
            return training.end()
    finally:
        model.execution = execution
        watching.ended()


class _Training:
    """The state of one training, and the loop over it."""

    def __init__(
        self,
        model: MultimodalVAE,
        loader: Steps,
        settings: TrainSettings,
        seed: int,
        test: Callable[[], Iterable[Batch]] | None,
        saver: Saver,
        recorder: Recorder,
        watching: Callback,
        capture: Capture | None,
    ) -> None:
        self.model, self.loader, self.settings, self.seed = model, loader, settings, seed
        self.test, self.saver, self.recorder, self.watching = test, saver, recorder, watching
        # A number that changes from step to step would be baked into a recorded one.
        self.capture = None if model.follows_progress else capture
        self.total = settings.total_steps(loader.steps_per_epoch)
        self.spans = spans(model.stages, self.total)
        self.trainable = trainable(model)
        self.readings = Readings(READ_EVERY_ON_CUDA if model.device.type == "cuda" else 1)
        self.step, self.rows, self.seconds = 0, 0, 0.0

    def begin(self) -> None:
        """Start at step 0, or where the last checkpoint stands."""
        state = self.saver.restored()
        if state is None:
            self.model.initialise(_initial_batch(self.loader))
            self._enter(0)
        else:
            self._restore(state)
        self.watching.started(self.step, self.total)

    def run(self, interruption: Interruption) -> None:
        """The loop."""
        while self.step < self.total:
            epoch, start = divmod(self.step, self.loader.steps_per_epoch)
            began = time.perf_counter()
            for data in self.loader.epoch(epoch, start):
                if self.step == self.span.end:
                    self._enter(self.stage + 1)
                self._one_step(data)
                self.seconds += time.perf_counter() - began
                self._look_after(data.rows)
                if interruption.requested:
                    self._save()
                    raise KeyboardInterrupt
                if self.step == self.total:
                    return
                began = time.perf_counter()

    def _one_step(self, data: Step) -> None:
        key, device = stream(self.seed, "noise", self.step), self.model.device
        seed_generators(key, device)
        noise = StepNoise(key, device=device, dtype=self.model.dtype)
        found = self.recorded.take(self.span.stage.name, data, noise) if self.recorded is not None else None
        if found is None:
            self._update(data, noise, self._check)
        else:
            self._check(found)
        self.step += 1
        self.rows += data.rows

    def _update(self, data: Step, noise: Noise, check: Callable[[Objective], None] | None = None) -> Objective:
        progress, stage = self.span.progress(self.step), self.span.stage.name
        self.optimiser.zero_grad()
        with networks_in(self.model, self.settings.precision):
            found = step_objective(self.model, data, noise=noise, progress=progress, stage=stage)
        if check is not None:
            check(found)
        if found.loss.requires_grad:  # a stage may have nothing to learn from a step's patterns
            found.loss.backward()  # type: ignore[no-untyped-call]  # torch: no types
        if self.settings.clip is not None:
            nn.utils.clip_grad_norm_(self.trained, self.settings.clip)
        self.optimiser.step()
        return Objective(found.loss.detach(), found.terms)

    def _check(self, found: Objective) -> None:
        self._record(self.readings.add(self.step + 1, found.loss, found.terms))

    def _look_after(self, rows: int) -> None:
        """What follows a step: progress, test terms, signal-to-noise ratios, a checkpoint."""
        epoch_ends = self.step % self.loader.steps_per_epoch == 0
        self.watching.stepped(self.step, rows)
        if self.test is not None and self._test_is_due(epoch_ends):
            self._settle()
            noise = StepNoise(stream(self.seed, "test noise"), device=self.model.device, dtype=self.model.dtype)
            terms = held_out_terms(self.model, self.test(), step=self.step, stage=self.span.stage.name, noise=noise)
            if terms is not None:
                self.recorder.test(terms)
                self.watching.tested(terms)
        every = self.settings.log_snr_every
        if every is not None and (self.step % every == 0 or self.step == self.total):
            self._settle()
            self.recorder.signal_to_noise(self.step, self._signal_to_noise())
        if self.saver.due(epoch_ends=epoch_ends):
            self._save()

    def _signal_to_noise(self) -> dict[str, float]:
        """Of the training's first mini-batch, always, so that curves move with the model and not with the rows."""
        return signal_to_noise(
            self.model,
            next(iter(self.loader.epoch(0))),
            draws=self.settings.log_snr_draws,
            key=stream(self.seed, "snr", self.step),
            progress=self.span.progress(self.step),
            stage=self.span.stage.name,
            precision=self.settings.precision,
        )

    def end(self) -> Trained:
        """Check the weights, save them, and report."""
        self._settle()
        require_finite_parameters(self.model, self.step)
        self._save()
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in self.trainable)
        self.model.eval()
        return Trained(self.recorder.curves(), self.step, self.rows, self.seconds)

    def _enter(self, stage: int) -> None:
        self.stage, self.span = stage, self.spans[stage]
        self.trained = enter_stage(self.model, self.span.stage, self.trainable)
        self.optimiser = make_optimiser(self.trained, self.settings)
        self.recorded: StepRecorder | None = None
        if self.capture is not None:
            self.recorded = StepRecorder(self.capture, self._update, generators(self.model.device))
        self._make_capturable()

    def _make_capturable(self) -> None:
        for group in self.optimiser.param_groups:
            if "capturable" in group:  # a promise that Adam asks for before it is recorded; checkpoints carry it along
                group["capturable"] = self.capture is not None

    def _record(self, read: Iterable[tuple[int, dict[str, float]]]) -> None:
        for step, values in read:
            terms = self.recorder.train(step, values, last=step == self.total)
            if terms is not None:
                self.watching.trained(terms)

    def _settle(self) -> None:
        """Wait for the device, so that its work counts as training, and read what it computed."""
        if self.model.device.type == "cuda":
            began = time.perf_counter()
            torch.cuda.synchronize(self.model.device)
            self.seconds += time.perf_counter() - began
        self._record(self.readings.read())

    def _test_is_due(self, epoch_ends: bool) -> bool:
        if self.step == self.total:
            return True
        if self.settings.test_every is not None:
            return self.step % self.settings.test_every == 0
        return epoch_ends and self.step - self.recorder.last_test() >= max(1, self.total // TESTS)

    def _save(self) -> None:
        self._settle()
        path = self.saver.save(self.step, self._state)
        if path is not None:
            self.watching.saved(path)

    def _state(self) -> dict[str, Any]:
        """All that the rest of the training depends on, as tensors and plain values."""
        return {
            "step": self.step,
            "epoch": list(divmod(self.step, self.loader.steps_per_epoch)),
            "stage": self.stage,
            "rows": self.rows,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "recorder": self.recorder.state_dict(),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.step, self.rows, self.seconds = state["step"], state["rows"], state["seconds"]
        self.recorder.load_state_dict(state["recorder"])
        self._enter(state["stage"])
        try:
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self._make_capturable()
        except (RuntimeError, ValueError) as error:
            cause = " ".join(str(error).split())
            sentence = f"the checkpoint does not fit the model ({cause}); train anew with --force."
            raise CheckpointError(sentence) from error


def _initial_batch(loader: Steps) -> Batch:
    values = loader.first_rows(INITIAL_ROWS)
    rows = {name: len(value) for name, value in values.items()}
    if min(rows.values()) == 0:
        raise InvalidSetting(f"no training row holds {min(rows, key=rows.__getitem__)!r}; use a larger f.")
    return Batch({name: value[: min(rows.values())] for name, value in values.items()})
