"""Steps of fixed shapes, recorded once and replayed (CUDA graphs): a step then costs one launch instead of hundreds.

A step has a signature: its stage, and the names, shapes and types of its parts. Signatures that come again are
recorded; the last short batch of an epoch, and patterns whose counts vary, are taken as they are. Both ways give the
same numbers: a recorded step reads its rows and its noise from fixed buffers, which are filled before each replay, the
noise from the same streams as ever (`BufferedNoise`).

What cannot be recorded is taken as it is: a model whose objective follows `progress`, a number that would be baked in,
and layers that draw from torch's own generator (dropout).
"""

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from mmbench.modality import Batch, Step
from mmbench.models.base import Objective
from mmbench.seeding import Noise

__all__ = ["BufferedNoise", "Capture", "CudaCapture", "Recording", "Signature", "StepRecorder", "signature"]

log = logging.getLogger(__name__)

SEEN = 3
"""How often a signature is taken as it is before it is recorded; the moments of the optimiser exist by then."""
MOST = 8
"""How many signatures are recorded: each costs a synchronisation and memory."""

Signature = tuple[object, ...]
Update = Callable[[Step, Noise], Objective]
"""A whole step: from gradients set to none to the optimiser's step."""


class Capture(ABC):
    """Turns work on fixed tensors into something that can be done again."""

    @abstractmethod
    def warm(self, work: Callable[[], None]) -> None:
        """Do the work once, as it must be done before it is recorded."""

    @abstractmethod
    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What does the work each time it is called, on the same tensors. Recording itself does none of it."""


@final
class CudaCapture(Capture):
    """CUDA graphs that share one pool of memory: none reads what another left there."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch: no types
        self._pool = torch.cuda.graph_pool_handle()

    def warm(self, work: Callable[[], None]) -> None:
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            work()
        replay: Callable[[], None] = graph.replay
        return replay


@final
class BufferedNoise(Noise):
    """Noise in fixed tensors: made at the first request for a name, filled anew by `refill`.

    Args:
        source: where the numbers come from at first.
    """

    def __init__(self, source: Noise) -> None:
        self._source = source
        self._buffers: dict[tuple[str, tuple[int, ...]], Tensor] = {}
        self._children: dict[str, BufferedNoise] = {}
        self._closed = False

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        key = (name, tuple(shape))
        if key not in self._buffers:
            if self._closed:
                raise _Unrecordable(f"noise {name!r} was not asked for before")
            self._buffers[key] = self._source.normal(name, shape)
        return self._buffers[key]

    def child(self, name: str) -> "BufferedNoise":
        if name not in self._children:
            if self._closed:
                raise _Unrecordable(f"noise of {name!r} was not asked for before")
            self._children[name] = BufferedNoise(self._source.child(name))
        return self._children[name]

    def close(self) -> None:
        """From now on a new name is an error: a recorded step could not fill its buffer."""
        self._closed = True
        for child in self._children.values():
            child.close()

    def refill(self, source: Noise) -> None:
        """Fill every buffer with what `source` gives for its name."""
        for (name, shape), buffer in self._buffers.items():
            buffer.copy_(source.normal(name, shape))
        for name, child in self._children.items():
            child.refill(source.child(name))


class _Unrecordable(Exception):
    """The step does not do the same work each time."""


def signature(stage: str, data: Step) -> Signature:
    """What a recorded step depends on, beside its buffers."""
    parts = [(name, tuple(x.shape), x.dtype) for part in data.parts for name, x in part.values.items()]
    return stage, tuple(part.names for part in data.parts), tuple(parts)


@dataclass(frozen=True)
class Recording:
    """One recorded step: its buffers, and what its last replay left."""

    data: Step
    noise: BufferedNoise
    found: list[Objective]
    replay: Callable[[], None]

    def take(self, data: Step, noise: Noise) -> Objective:
        """The step on other rows of the same signature, with other noise."""
        for part, given in zip(self.data.parts, data.parts, strict=True):
            for name, buffer in part.values.items():
                buffer.copy_(given.values[name])
        self.noise.refill(noise)
        self.replay()
        return self.found[0]


class StepRecorder:
    """Takes the steps of one stage, by replaying them where their signature is known.

    Args:
        capture: how work is recorded.
        update: the step itself, on given rows and noise.
        generators: torch's generators; a step that draws from one is never recorded.
    """

    def __init__(self, capture: Capture, update: Update, generators: Sequence[torch.Generator]) -> None:
        self._capture, self._update, self._generators = capture, update, generators
        self._seen: Counter[Signature] = Counter()
        self._prepared: dict[Signature, tuple[Step, BufferedNoise]] = {}
        self._recorded: dict[Signature, Recording] = {}
        self._given_up = False

    @property
    def recorded(self) -> int:
        """Number of recorded signatures."""
        return len(self._recorded)

    def take(self, stage: str, data: Step, noise: Noise) -> Objective | None:
        """Take the step; None where nothing was done, for it is to be taken as it is.

        The tensors returned are overwritten by the next step of the same signature.
        """
        if self._given_up:
            return None
        key = signature(stage, data)
        if key not in self._recorded:
            self._seen[key] += 1
            if self._seen[key] < SEEN or len(self._recorded) >= MOST:
                return None
            if key not in self._prepared:
                return self._warmed(key, data, noise)
            if not self._record(key):
                return None
        return self._recorded[key].take(data, noise)

    def _warmed(self, key: Signature, data: Step, noise: Noise) -> Objective:
        """Take the step on buffers that are made for it, and see whether torch's generators were used."""
        copies = Step(tuple(Batch({name: x.clone() for name, x in part.values.items()}) for part in data.parts))
        buffers = BufferedNoise(noise)
        found: list[Objective] = []
        before = [source.get_state() for source in self._generators]
        self._capture.warm(lambda: found.append(self._update(copies, buffers)))
        drawn = [not torch.equal(a, b.get_state()) for a, b in zip(before, self._generators, strict=True)]
        self._given_up = any(drawn)
        self._prepared[key] = (copies, buffers)
        return found[0]

    def _record(self, key: Signature) -> bool:
        """Record the step on its buffers without taking it; from a failure on all steps are taken as they are."""
        data, noise = self._prepared.pop(key)
        noise.close()
        found: list[Objective] = []

        def work() -> None:
            found[:] = [self._update(data, noise)]

        try:
            replay = self._capture.record(work)
        except (RuntimeError, _Unrecordable) as error:  # torch raises RuntimeError for work that waits for the device
            log.warning("steps are not recorded but taken as they are: %s", error)
            self._given_up = True
            return False
        self._recorded[key] = Recording(data, noise, found, replay)
        return True
