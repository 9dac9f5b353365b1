"""Random sub-patterns of what a row holds, drawn for every row anew, and the rows of a batch grouped by them.

A model that hides known modalities from its own input still keeps to the rule that absent means absent: every group is
a batch of one pattern, which holds nothing of what was hidden.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["proper_subsets", "rows_by_pattern"]


def proper_subsets(count: int, uniform: Tensor) -> Tensor:
    """A non-empty proper subset of `count` >= 2 modalities for every row, each as likely as any other.

    Args:
        uniform: numbers on (0, 1), `[B]`; each decides its row's subset.

    Returns:
        booleans `[count, B]`: what the row's subset holds.
    """
    subsets = 2**count - 2
    code = 1 + (uniform * subsets).long().clamp(max=subsets - 1)
    bits = 2 ** torch.arange(count, device=uniform.device)
    held: Tensor = (code & bits.unsqueeze(-1)) > 0
    return held


def rows_by_pattern(held: Tensor, names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Each pattern that occurs, with the indices of its rows; every row is in one group.

    Args:
        held: booleans `[len(names), B]`.
    """
    patterns, member = held.unique(dim=1, return_inverse=True)  # type: ignore[no-untyped-call]  # torch: no types
    for i, pattern in enumerate(patterns.T.tolist()):
        some = tuple(name for name, is_held in zip(names, pattern, strict=True) if is_held)
        yield some, (member == i).nonzero()[:, 0]
