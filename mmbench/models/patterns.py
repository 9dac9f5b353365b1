"""Random sub-patterns of what a row holds, drawn for every row anew, and the rows of a batch grouped by them.

A model that hides known modalities from its own input still keeps to the rule that absent means absent: every group is
a batch of one pattern, which holds nothing of what was hidden.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["full_and_singles", "proper_subsets", "proper_subsets_by_size", "rows_by_pattern", "some_subsets", "subsets"]


def subsets(count: int, like: Tensor) -> Tensor:
    """All 2^count - 1 non-empty subsets of `count` modalities: booleans `[count, n]`, on the device of `like`."""
    return _bits(torch.arange(1, 2**count, device=like.device), count)


def full_and_singles(count: int, like: Tensor) -> Tensor:
    """The full set of `count` modalities and each one alone, each set once: booleans `[count, n]`, where `like` is."""
    single = torch.eye(count, dtype=torch.bool, device=like.device)
    return single if count == 1 else torch.cat([torch.ones_like(single[:, :1]), single], 1)


def some_subsets(count: int, uniform: Tensor) -> Tensor:
    """A non-empty subset of `count` modalities for every row, each as likely as any other.

    Args:
        uniform: numbers on (0, 1), `[B]`; each decides its row's subset.

    Returns:
        booleans `[count, B]`: what the row's subset holds.
    """
    number = 2**count - 1
    return _bits(1 + (uniform * number).long().clamp(max=number - 1), count)


def proper_subsets(count: int, uniform: Tensor) -> Tensor:
    """A non-empty proper subset of `count` >= 2 modalities for every row, each as likely as any other.

    Args:
        uniform: numbers on (0, 1), `[B]`; each decides its row's subset.

    Returns:
        booleans `[count, B]`: what the row's subset holds.
    """
    number = 2**count - 2
    return _bits(1 + (uniform * number).long().clamp(max=number - 1), count)


def proper_subsets_by_size(count: int, size: Tensor, order: Tensor) -> Tensor:
    """A non-empty proper subset of `count` >= 2 modalities for every row: first its size, each as likely as any other.

    Given the size, every subset of it is as likely as any other.

    Args:
        size: numbers on (0, 1), `[B]`; each decides its row's number of modalities, 1 .. count - 1.
        order: numbers on (0, 1), `[count, B]`; the modalities with the smallest ones are in the subset.

    Returns:
        booleans `[count, B]`: what the row's subset holds.
    """
    number = 1 + (size * (count - 1)).long().clamp(max=count - 2)
    return order.argsort(0).argsort(0) < number


def rows_by_pattern(held: Tensor, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Each pattern that occurs, with the indices of its rows; every row is in one group.

    Args:
        held: booleans `[len(names), B]`.
    """
    patterns, member = held.unique(dim=1, return_inverse=True)  # type: ignore[no-untyped-call]  # torch: no types
    for i, pattern in enumerate(patterns.T.tolist()):
        some = tuple(name for name, is_held in zip(names, pattern, strict=True) if is_held)
        yield some, (member == i).nonzero()[:, 0]


def _bits(code: Tensor, count: int) -> Tensor:
    """The last `count` binary digits of whole numbers `[n]`, the last one first: booleans `[count, n]`."""
    held: Tensor = (code & (2 ** torch.arange(count, device=code.device)).unsqueeze(-1)) > 0
    return held
