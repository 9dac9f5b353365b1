"""Training steps to be timed: of mmbench, of its plain path, and of `multivae`, on the same batches.

All have the shapes of MNIST-SVHN, the layers of the released MEME code without batch normalisation, latent 64, batches
of 128, Laplace likelihoods and Adam: zero_grad, objective, backward, step.
"""

from collections.abc import Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmbench.datasets import DATASETS
from mmbench.datasets.files import data_root
from mmbench.datasets.loader import Loader
from mmbench.datasets.observation import observe
from mmbench.errors import MMBenchError
from mmbench.modality import ModalitySpec
from mmbench.models import MODELS, Architecture, MultimodalVAE
from mmbench.seeding import StepNoise
from mmbench.testing import plain

__all__ = ["ARCH", "BATCH", "SPECS", "batches", "contender"]

SPECS = (ModalitySpec("mnist", "image", (1, 28, 28)), ModalitySpec("svhn", "image", (3, 32, 32)))
ARCH = Architecture(networks="released", latent_dim=64)
BATCH, KEPT = 128, 16
RATE = 1e-7  # the weights are to stay what they are

Values = Mapping[str, Tensor]


def batches() -> tuple[list[dict[str, Tensor]], str]:
    """Sixteen training batches, and what they are: of MNIST-SVHN, or random where the files are not there."""
    try:
        kind = DATASETS["mnist-svhn"]
        dataset = kind(kind.Settings(), data_root(None))
        observed = observe(dataset, "complete", 1.0, seed=0)
        loader = Loader(dataset.split("train").arrays, observed.patterns, batch_size=BATCH, seed=0)
        steps = loader.epoch(0)
        return [dict(next(steps).parts[0].values) for _ in range(KEPT)], "MNIST-SVHN"
    except MMBenchError:
        made = [{spec.name: torch.rand(BATCH, *spec.shape) for spec in SPECS} for _ in range(KEPT)]
        return made, "random images (MMBENCH_DATA names no folder with MNIST and SVHN)"


def contender(name: str, data: list[dict[str, Tensor]], weights: Path) -> Callable[[], None]:
    """The step that a name like `meme own=one plain trained` or `multivae mvae` stands for.

    Words after the model are settings, `plain` (the plain path), `alone` (rows of the second modality only), `trained`
    (weights after 2,500 steps, from `weights`).
    """
    first, *words = name.split()
    if first == "multivae":
        from benchmarks.peer import peer_step

        step: Callable[[], None] = peer_step(
            words[0], dict(word.split("=") for word in words[1:] if "=" in word), data, "trained" in words
        )
        return step
    torch.manual_seed(0)
    kind = MODELS[first]
    settings: Any = kind.Settings(**{k: _value(v) for k, v in (w.split("=") for w in words if "=" in w)})
    model = kind(SPECS, settings, ARCH, kind.coders(SPECS, settings, ARCH))
    if "trained" in words:
        model.load_state_dict(torch.load(weights / f"{first}.pt", weights_only=True))
    rows: list[dict[str, Tensor]] = [{"svhn": x["svhn"]} for x in data] if "alone" in words else data
    return _step(model, rows, "plain" in words)


def _step(model: MultimodalVAE, data: list[dict[str, Tensor]], plainly: bool) -> Callable[[], None]:
    optimiser = torch.optim.Adam(model.parameters(), RATE, fused=True)
    endless, count = cycle(data), 0

    def step() -> None:
        nonlocal count
        count += 1
        optimiser.zero_grad()
        values, noise = next(endless), StepNoise(count)
        found = plain.objective(model, values, noise=noise) if plainly else model.objective(values, noise=noise)
        found.loss.backward()  # type: ignore[no-untyped-call]  # torch: no types
        optimiser.step()

    return step


def _value(text: str) -> Any:
    return {"true": True, "false": False}.get(text, int(text) if text.isdigit() else text)
