"""The same random numbers on both sides.

mmbench draws through the `Noise` it is given, by name; `multivae` draws from `torch.distributions`. A `Tape` is our
`Noise`: it makes the numbers of a name when they are first asked for and keeps them. While `Tape.played` is entered,
`Normal.rsample` and `Laplace.rsample` take theirs from the tape, in an order that the test states by name, and
`OneHotCategorical.sample` the index that the test states. Nothing may be left over on either side: a number that only
one of the two drew is an error.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.distributions import Laplace, Normal, OneHotCategorical

from mmbench.seeding import Noise, stream

__all__ = ["Tape", "choosing"]


class Tape(Noise):
    """Standard normal numbers by name, in float64.

    Args:
        given: numbers of some names, instead of drawn ones.
    """

    def __init__(self, seed: int, given: Mapping[str, Tensor] | None = None) -> None:
        self._seed, self._path = seed, ""
        self._held: dict[str, Tensor] = dict(given or {})
        self._asked: set[str] = set()

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        path = self._path + name
        self._asked.add(path)
        if path not in self._held:
            source = torch.Generator().manual_seed(stream(self._seed, path))
            self._held[path] = torch.randn(*shape, generator=source, dtype=torch.float64)
        assert self._held[path].shape == tuple(shape), f"{path}: {list(self._held[path].shape)}, asked {list(shape)}"
        return self._held[path]

    def child(self, name: str) -> "Tape":
        below = Tape(self._seed)
        below._path, below._held, below._asked = f"{self._path}{name}/", self._held, self._asked
        return below

    def __getitem__(self, path: str) -> Tensor:
        """The numbers of a name that the model has asked for."""
        assert path in self._asked, f"mmbench drew nothing by the name {path!r}, only {sorted(self._asked)}"
        return self._held[path]

    @property
    def drawn(self) -> set[str]:
        """The names that the model has asked for."""
        return set(self._asked)

    @contextmanager
    def played(self, *order: str, but: Sequence[str] = ()) -> Iterator[None]:
        """multivae's draws are those of the names in `order`, one after the other.

        Args:
            but: names of draws that multivae has no like of (a choice of components, say).
        """
        assert self.drawn == {*order, *but}, f"mmbench drew {sorted(self.drawn)}, stated are {sorted({*order, *but})}"
        with played([self[path] for path in order]):
            yield


@contextmanager
def played(numbers: Sequence[Tensor]) -> Iterator[None]:
    """multivae's draws are these standard normal numbers `[K, B, D]`, one after the other; all of them."""
    left = list(numbers)

    def taken(distribution: Any, shape: Any) -> Tensor:
        wanted = distribution._extended_shape(torch.Size(shape))
        assert left, f"multivae draws more than mmbench: {list(wanted)}"
        eps = left.pop(0)
        eps = eps[0] if len(eps) == 1 and len(wanted) == eps.dim() - 1 else eps
        assert eps.shape == wanted, f"multivae draws {list(wanted)}, mmbench {list(eps.shape)}"
        return eps

    def normal(self: Normal, sample_shape: Any = ()) -> Tensor:
        return self.loc + self.scale * taken(self, sample_shape)

    def laplace(self: Laplace, sample_shape: Any = ()) -> Tensor:
        uniform = torch.special.erf(taken(self, sample_shape) / math.sqrt(2))  # on (-1, 1)
        return self.loc - self.scale * uniform.sign() * torch.log1p(-uniform.abs())

    with mock.patch.object(Normal, "rsample", normal), mock.patch.object(Laplace, "rsample", laplace):
        yield
    assert not left, f"mmbench drew {len(left)} more than multivae"


@contextmanager
def choosing(index: Tensor) -> Iterator[None]:
    """The one categorical draw of multivae is `index` `[B]`."""

    def sample(self: OneHotCategorical, sample_shape: Any = ()) -> Tensor:
        chosen = torch.nn.functional.one_hot(index, self.probs.shape[-1])
        assert (self.probs[chosen.bool()] > 0).all(), "an index of probability zero was chosen"
        return chosen.to(self.probs.dtype)

    with mock.patch.object(OneHotCategorical, "sample", sample):
        yield
