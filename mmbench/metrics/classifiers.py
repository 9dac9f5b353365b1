"""Judges of generated rows: exact where the dataset reads the modality by rule, else a trained classifier.

Where a modality has a reader, its first attribute is the class, and the reader judges in place of any classifier: it
errs on no real row, and there is nothing to train. It is called `exact` in the scores, whatever strength was asked for.

Classifiers are trained once per dataset and cached, never once per run. Each is trained on the originals of the
training split of its modality (every original once an epoch, not once per pair), with a seed and a number of steps of
its own, so that all runs on a dataset are judged by the same weights. Its accuracy on the real test originals is kept
beside it: no coherence can be expected above it. The cache's key is the digest of the images, the labels and the
protocol; a file that cannot be read, or does not hold the weights its digest names, is replaced.
"""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.config import content_hash
from mmbench.errors import UnknownName
from mmbench.metrics import classifier_networks as networks
from mmbench.metrics.base import Reader, Skipped
from mmbench.metrics.weight_cache import UNREADABLE, alone_at, digest_of, write_entry
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["EXACT", "Classifier", "Classifiers", "ExactJudge", "Judge", "Labelled"]

log = logging.getLogger(__name__)

EXACT = "exact"  # strength and digest of a judge that reads by rule


class Labelled(Protocol):
    """Originals with their classes, as a dataset's `Split` holds them."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Modality -> `[N_m, *shape]`; uint8 for images."""
        ...

    @property
    def targets(self) -> Mapping[str, np.ndarray]:
        """Modality -> class of each original `[N_m]`."""
        ...


@dataclass(frozen=True)
class Judge(ABC):
    """What says which class a row of one modality shows.

    Attributes:
        name, strength: the modality, and which of its judges this is.
        digest: what decides its answers: of a classifier's weights, or `exact`.
        accuracy: fraction right on the real test originals.
    """

    name: str
    strength: str
    digest: str
    accuracy: float

    @abstractmethod
    def predict(self, x: Tensor) -> np.ndarray:
        """Class of each row of x `[B, *shape]` (images in [0, 1]): int64 `[B]`, -1 where it recognises none."""


@final
@dataclass(frozen=True)
class ExactJudge(Judge):
    """The class as a dataset's reader reads it."""

    reader: Reader

    def predict(self, x: Tensor) -> np.ndarray:
        return self.reader.read(x.cpu().numpy())[:, 0]


@final
@dataclass(frozen=True)
class Classifier(Judge):
    """A trained classifier of one modality; it always recognises some class.

    Attributes:
        digest: first 16 hexadecimal digits of the SHA-256 of its weights.
        network: a chain of layers in eval mode; the last one is linear and gives the logits.
        training: makes the originals that it was trained on, as stored `[N, *shape]`, and their classes `[N]`.
        cache: folder for what else is fitted on them; None for none.
    """

    network: nn.Sequential
    training: Callable[[], tuple[Tensor, Tensor]]
    cache: Path | None

    def features(self, x: Tensor) -> Tensor:
        """What the network's last layer sees of each row of x: `[B, F]`.

        Args:
            x: `[B, *shape]`, images in [0, 1], or in uint8 as they are stored.
        """
        weight = next(self.network.parameters())
        with torch.no_grad():
            parts = [self.network[:-1](_floats(part).to(weight)) for part in torch.split(x, 512)]
        return torch.cat(parts)

    def predict(self, x: Tensor) -> np.ndarray:
        """Most probable class of each row of x `[B, *shape]` (images in [0, 1]): int64 `[B]`."""
        weight = next(self.network.parameters())
        with torch.no_grad():
            return _predicted(self.network, x.to(weight.device, weight.dtype))


class Classifiers:
    """The judges of one dataset; classifiers are trained or read from the cache when they are first asked for.

    Args:
        modalities: the dataset's modalities.
        classes: number of classes, or None where there are none.
        train, test: originals of both splits.
        cache: folder for trained weights; None to keep them in memory alone.
        device: where they are trained and run.
        reader: modality -> what its rows show, read by rule; None where there is no rule.
    """

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        classes: int | None,
        *,
        train: Labelled,
        test: Labelled,
        cache: Path | None,
        device: torch.device | str = "cpu",
        reader: Callable[[str], Reader | None] = lambda name: None,
    ) -> None:
        self._specs = {spec.name: spec for spec in modalities}
        self._classes, self._train, self._test = classes, train, test
        self._cache, self._device = cache, torch.device(device)
        self._readers = {spec.name: reader(spec.name) for spec in modalities}
        self._held: dict[tuple[str, str], Judge] = {}

    def get(self, name: str, strength: str = "standard") -> Judge:
        """The judge of a modality: exact where it has a reader. Raises `Skipped` where there can be none."""
        if strength not in networks.STRENGTHS:
            raise UnknownName("classifier", strength, networks.STRENGTHS)
        reader = self._readers[name]
        key = (name, EXACT if reader else strength)
        if key not in self._held:
            self._require_classes(name)
            self._held[key] = self._exact(name, reader) if reader else self._cached(name, strength)
        return self._held[key]

    def digests(self) -> dict[str, str]:
        """Digests of the judges used so far, by `modality/strength`, for the run's record."""
        return {f"{name}/{strength}": held.digest for (name, strength), held in sorted(self._held.items())}

    def _require_classes(self, name: str) -> None:
        if self._classes is None or name not in self._train.targets:
            raise Skipped(f"modality {name!r} has no classes to train a classifier on.")

    def _exact(self, name: str, reader: Reader) -> ExactJudge:
        originals = _as_seen(torch.tensor(self._test.arrays[name])).numpy()
        right = reader.read(originals)[:, 0] == self._test.targets[name]
        return ExactJudge(name, EXACT, EXACT, float(right.mean()), reader)

    def _cached(self, name: str, strength: str) -> Classifier:
        protocol = networks.protocol_for(self._specs[name], strength)
        path = self._path(name, protocol)
        if path is None:
            return self._trained(name, strength, protocol)
        with alone_at(path):  # of several processes one trains it, so that all judge by the same weights
            held = self._read(path, name, strength, protocol) if path.exists() else None
            if held is None:
                held = self._trained(name, strength, protocol)
                weights = held.network.state_dict()
                write_entry(path, {"weights": weights, "digest": held.digest, "accuracy": held.accuracy})
        return held

    def _path(self, name: str, protocol: networks.Protocol) -> Path | None:
        if self._cache is None:
            return None
        content = {
            "protocol": asdict(protocol),
            "shape": self._specs[name].shape,
            "classes": self._classes,
            "train": _data_digest(self._train, name),
            "test": _data_digest(self._test, name),
        }
        return self._cache / f"classifier-{name}-{content_hash(content)}.pt"

    def _read(self, path: Path, name: str, strength: str, protocol: networks.Protocol) -> Classifier | None:
        network = self._fresh(name, protocol)
        try:
            kept = torch.load(path, map_location=self._device, weights_only=True)
            network.load_state_dict(kept["weights"])
            accuracy = float(kept["accuracy"])
            sound = kept["digest"] == digest_of(network.state_dict())
        except UNREADABLE as error:
            log.warning("cached classifier %s cannot be read (%s): it is trained again.", path, type(error).__name__)
            return None
        if not sound:
            log.warning("cached classifier %s does not match its digest: it is trained again.", path)
            return None
        return self._classifier(name, strength, network, kept["digest"], accuracy)

    def _fresh(self, name: str, protocol: networks.Protocol) -> nn.Sequential:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(protocol.seed)
            return networks.network_for(protocol, self._specs[name], int(self._classes or 0)).to(self._device)

    def _trained(self, name: str, strength: str, protocol: networks.Protocol) -> Classifier:
        network = self._fresh(name, protocol)
        images, targets = self._tensors(self._train, name)
        log.info("training the %s classifier of %s on %d originals.", strength, name, len(images))
        _fit(network, images, targets, protocol)
        network.eval()
        accuracy = _accuracy(network, *self._tensors(self._test, name))
        return self._classifier(name, strength, network, digest_of(network.state_dict()), accuracy)

    def _classifier(self, name: str, strength: str, network: nn.Sequential, digest: str, accuracy: float) -> Classifier:
        training = partial(self._tensors, self._train, name)
        return Classifier(name, strength, digest, accuracy, network.eval(), training, self._cache)

    def _tensors(self, split: Labelled, name: str) -> tuple[Tensor, Tensor]:
        images = torch.tensor(split.arrays[name], device=self._device)
        targets = torch.tensor(split.targets[name], dtype=torch.int64, device=self._device)
        return images, targets


def _fit(network: nn.Module, images: Tensor, targets: Tensor, protocol: networks.Protocol) -> None:
    optimiser = torch.optim.Adam(network.parameters(), lr=protocol.learning_rate)
    order = generator(protocol.seed, "classifier", "order")
    devices = [images.device] if images.device.type == "cuda" else []
    network.train()
    with torch.enable_grad(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(protocol.seed)
        left = np.empty(0, dtype=np.int64)
        for _ in range(protocol.steps(len(images))):
            while len(left) < min(protocol.batch_size, len(images)):
                left = np.concatenate([left, order.permutation(len(images))])
            chosen = torch.from_numpy(left[: protocol.batch_size]).to(images.device)
            left = left[protocol.batch_size :]
            optimiser.zero_grad()
            F.cross_entropy(network(_floats(images[chosen])), targets[chosen]).backward()  # type: ignore[no-untyped-call]  # torch: no types
            optimiser.step()


def _floats(x: Tensor) -> Tensor:
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def _as_seen(stored: Tensor) -> Tensor:
    """Stored rows as a model sees them: images and vectors in floats, tokens as the integers that they are."""
    return _floats(stored) if stored.dtype == torch.uint8 or stored.is_floating_point() else stored


def _predicted(network: nn.Module, x: Tensor) -> np.ndarray:
    parts = [network(part).argmax(-1).cpu().numpy() for part in torch.split(x, 512)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


@torch.no_grad()
def _accuracy(network: nn.Module, images: Tensor, targets: Tensor) -> float:
    right = [
        float((network(_floats(part)).argmax(-1) == wanted).sum())
        for part, wanted in zip(torch.split(images, 512), torch.split(targets, 512), strict=True)
    ]
    return sum(right) / max(len(images), 1)


def _data_digest(split: Labelled, name: str) -> str:
    sha = hashlib.sha256()
    for array in (split.arrays[name], split.targets[name]):
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()[:16]
