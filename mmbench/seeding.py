"""One integer seed gives independent named streams; the noise of a model is asked for by name.

`stream(seed, "scheme")` never changes when something else draws more or fewer numbers, so changing the number of
epochs does not change the split. A training step's noise is keyed by (seed, step), so a resumed run needs no generator
state; evaluation noise is keyed by (seed, row), so a score depends neither on the batch size nor on other metrics.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Noise", "RowNoise", "StepNoise", "generator", "stream"]


def stream(seed: int, *names: object) -> int:
    """A 63-bit key that depends on `seed` and on every name."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: object) -> np.random.Generator:
    """A numpy generator of its own for the named stream."""
    return np.random.default_rng(stream(seed, *names))


class Noise(ABC):
    """The only source of randomness that a model sees, so that a test can inject it."""

    @abstractmethod
    def normal(self, name: str, shape: Sequence[int]) -> "Tensor":
        """Standard normal numbers of `shape`; axis 1 is the batch axis (`[K, B, ...]`).

        The same name gives the same numbers: a model names each role once a step.
        """

    @abstractmethod
    def child(self, name: str) -> "Noise":
        """Noise for a part of the computation: all its names are independent of its siblings'."""

    def uniform(self, name: str, shape: Sequence[int]) -> "Tensor":
        """Numbers uniform on (0, 1), made from `normal` through its distribution function."""
        import torch

        value: Tensor = torch.special.ndtr(self.normal(name, shape))
        tiny = torch.finfo(value.dtype).eps
        return value.clamp(tiny, 1 - tiny)


class StepNoise(Noise):
    """Noise of one training step, keyed by a stream key."""

    def __init__(self, key: int, *, device: "torch.device | str" = "cpu", dtype: "torch.dtype | None" = None) -> None:
        self._key, self._device, self._dtype = key, device, dtype

    def normal(self, name: str, shape: Sequence[int]) -> "Tensor":
        import torch

        source = torch.Generator(self._device).manual_seed(stream(self._key, name))
        return torch.randn(*shape, generator=source, device=self._device, dtype=self._dtype)

    def child(self, name: str) -> "StepNoise":
        return StepNoise(stream(self._key, "child", name), device=self._device, dtype=self._dtype)


class RowNoise(Noise):
    """Noise of evaluation rows: row `b`'s numbers depend on the key, the name and `rows[b]` alone, never on the batch.

    Drawn on the CPU and moved, so that CPU and CUDA evaluate with the same noise.
    """

    def __init__(
        self,
        key: int,
        rows: Sequence[int],
        *,
        device: "torch.device | str" = "cpu",
        dtype: "torch.dtype | None" = None,
    ) -> None:
        self._key, self._rows, self._device, self._dtype = key, rows, device, dtype

    def normal(self, name: str, shape: Sequence[int]) -> "Tensor":
        import torch

        if len(shape) < 2 or shape[1] != len(self._rows):
            raise ValueError(f"row noise needs shape [K, B={len(self._rows)}, ...], got {list(shape)}")
        dtype = self._dtype or torch.get_default_dtype()
        held = np.empty((shape[1], shape[0], *shape[2:]), np.float32 if dtype == torch.float32 else np.float64)
        for value, drawn in zip(held, self._drawn(name, held.shape[1:]), strict=True):
            value[...] = drawn
        return torch.from_numpy(held).to(self._device, dtype).transpose(0, 1)

    def _drawn(self, name: str, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
        """Each row's numbers in float64, in one array that the next row overwrites.

        They are those of a generator `Generator(Philox(key=...))` made for the row alone. One generator is rewound to
        its start with the row's key instead: made anew, it would first ask the operating system for entropy.
        """
        bits = np.random.Philox(key=0)
        source, start, value = np.random.Generator(bits), bits.state, np.empty(shape)
        for row in self._rows:
            start["state"]["key"][0] = stream(self._key, name, int(row))
            bits.state = start
            yield source.standard_normal(out=value)

    def child(self, name: str) -> "RowNoise":
        return RowNoise(stream(self._key, "child", name), self._rows, device=self._device, dtype=self._dtype)
