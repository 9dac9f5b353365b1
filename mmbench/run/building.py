"""From a spec to the objects it describes: the dataset and a fresh model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmbench.config import RunSpec, parse_settings
from mmbench.datasets.base import DATASETS, Dataset
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, MultimodalVAE
from mmbench.seeding import stream

__all__ = ["build_dataset", "build_model"]


def build_dataset(spec: RunSpec, root: Path | None) -> Dataset:
    """The spec's dataset; no file is read yet."""
    dataset, owner = DATASETS[spec.dataset], f"dataset {spec.dataset!r}"
    return dataset(parse_settings(dataset.Settings, spec.settings["data"], "data", owner=owner), root)


def build_model(spec: RunSpec, modalities: Sequence[ModalitySpec]) -> MultimodalVAE:
    """The spec's model with its initial weights, on the CPU: they depend on the seed's stream `init` alone.

    Raises:
        UnknownName, InvalidSetting, CannotBear: settings that do not fit the model or its networks.
    """
    import torch

    model = MODELS[spec.model]
    settings: Any = parse_settings(model.Settings, spec.settings["model"], "model")
    arch = parse_settings(Architecture, spec.settings["arch"], "arch")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream(spec.seed, "init"))
        return model(modalities, settings, arch, model.coders(modalities, settings, arch))
