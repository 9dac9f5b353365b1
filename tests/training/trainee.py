"""A tiny final model and data to train it on; as a script, a training that kills itself after a given step.

python trainee.py FOLDER KILL_AFTER_STEP
"""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from mmbench.datasets.base import Pattern
from mmbench.datasets.loader import Loader, LoaderSettings
from mmbench.modality import Batch, ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import Facts, MultimodalVAE, Objective, Stage
from mmbench.models.networks import Coder
from mmbench.models.posteriors import DiagonalPrior, Distribution, Gaussian, Posterior
from mmbench.seeding import Noise
from mmbench.training.callbacks import Callback
from mmbench.training.checkpoint import Checkpoints
from mmbench.training.loop import fit
from mmbench.training.settings import TrainSettings

MODALITIES = (ModalitySpec("a", "vector", (3,)), ModalitySpec("b", "vector", (2,)))
ROWS = 100
OWNER = {"fit key": "0123456789abcdef", "spec": "fedcba9876543210"}


@dataclass(frozen=True)
class NoSettings:
    pass


class Trunk(nn.Module):
    """A linear encoder behind dropout and batch normalisation: all that training mode can change."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.1)
        self.norm = nn.BatchNorm1d(1)  # over rows and values, so that one row is enough
        self.linear = nn.Linear(size, dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        location = self.linear(self.norm(self.dropout(x).unsqueeze(1)).squeeze(1))
        return location, torch.full_like(location, 0.5)


@final
class Tiny(MultimodalVAE):
    """Each observed modality is encoded, sampled and reconstructed from its own sample."""

    name: ClassVar[str] = "tiny"
    Settings: ClassVar[type] = NoSettings
    facts: ClassVar[Facts] = Facts(
        "Tiny", (), "none", "none", True, "yes", True, "restriction", None, "every subset", "exact"
    )
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {"common": {}, "source": {}}
    stages: tuple[Stage, ...] = (Stage(),)

    def __init__(self) -> None:
        coders = {m.name: Coder(Trunk(m.size, 4), nn.Linear(4, m.size)) for m in MODALITIES}
        super().__init__(MODALITIES, NoSettings(), Architecture(likelihood="normal", latent_dim=4), coders)
        self.offset = nn.Parameter(torch.zeros(3))
        self.fixed = nn.Parameter(torch.ones(()), requires_grad=False)
        self.initialised_with: list[Batch] = []
        self.calls: list[tuple[float, str, bool]] = []

    def prior(self) -> Distribution:
        return DiagonalPrior("standard normal", "normal", torch.zeros(4), torch.ones(4))

    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        name = next(iter(values))
        return Gaussian(*self.encoders[name](values[name]))

    def initialise(self, batch: Batch) -> None:
        self.initialised_with.append(batch)
        with torch.no_grad():
            self.offset.copy_(batch.values["a"].mean(0))

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        self.calls.append((progress, stage, self.training))
        losses = {}
        for name, x in values.items():
            z = Gaussian(*self.encoders[name](x)).rsample(1, noise.child(name))
            shifted = x - self.offset if name == "a" else x
            losses[name] = -self.likelihood(name, z).log_prob(shifted).mean()
        return Objective(torch.stack(list(losses.values())).sum(), {f"nll/{n}": v.detach() for n, v in losses.items()})


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {m.name: rng.normal(size=(ROWS, m.size)).astype(np.float32) for m in MODALITIES}


def patterns() -> tuple[Pattern, ...]:
    """Rows 0-49 complete, 50-79 `a` alone, 80-99 `b` alone."""
    rows = np.arange(ROWS)
    return (
        Pattern(("a", "b"), np.stack([rows[:50], rows[:50]], 1)),
        Pattern(("a",), rows[50:80, None]),
        Pattern(("b",), rows[80:, None]),
    )


def loader(seed: int = 0, values: Mapping[str, np.ndarray] | None = None) -> Loader:
    """10 steps of 10 rows an epoch."""
    return Loader(values or arrays(), patterns(), batch_size=10, seed=seed, settings=LoaderSettings())


def model(seed: int = 0) -> Tiny:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Tiny()


def held_out() -> list[Batch]:
    return [Batch({name: torch.from_numpy(value) for name, value in arrays(seed=1).items()})]


SETTINGS = TrainSettings(batch_size=10, steps=45, log_every=4, clip=5.0)


class Killer(Callback):
    """Kills its own process after a step, as `kill -9` does: nothing is cleaned up."""

    def __init__(self, step: int) -> None:
        self._step = step

    def stepped(self, step: int, rows: int) -> None:
        if step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, step: int) -> None:
    torch.set_num_threads(1)
    fit(
        model(),
        loader(),
        SETTINGS,
        seed=0,
        test=held_out,
        checkpoints=Checkpoints(folder, OWNER),
        checkpoint_seconds=0.0,
        callbacks=[Killer(step)],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
