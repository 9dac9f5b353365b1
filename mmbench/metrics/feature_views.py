"""Rows of images or vectors as vectors of a size whose covariance can be held, and marks that tell them apart."""

import hashlib
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from mmbench.metrics.base import Skipped
from mmbench.modality import ModalitySpec

__all__ = ["MOST", "Features", "marks"]

MOST = 4096  # values of a row; their covariance takes 134 MB


@dataclass(frozen=True)
class Features:
    """Rows of a vector or image modality as vectors of `MOST` values at most."""

    spec: ModalitySpec

    @property
    def name(self) -> str:
        """What the values are."""
        if self.spec.kind != "image":
            return "values"
        channels, height, width = self.spec.shape
        return f"pixels {channels}x{-(-height // self._side)}x{-(-width // self._side)}"

    def of(self, x: Tensor) -> np.ndarray:
        """Rows x `[B, *shape]` to `[B, D]` in float64."""
        pooled = F.avg_pool2d(x, self._side, ceil_mode=True, count_include_pad=False) if self._side > 1 else x
        return pooled.flatten(1).double().cpu().numpy()

    @property
    def _side(self) -> int:
        """Side of the squares of pixels that are averaged: 1 for none."""
        if self.spec.size <= MOST:
            return 1
        if self.spec.kind != "image":
            raise Skipped(f"modality {self.spec.name!r} has {self.spec.size} values, more than {MOST}.")
        channels, height, width = self.spec.shape
        return next(s for s in range(2, max(height, width) + 1) if channels * -(-height // s) * -(-width // s) <= MOST)


def marks(x: np.ndarray) -> np.ndarray:
    """A number for each row of x `[B, D]` that depends on its content alone: int64 `[B]`."""
    digests = (hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in np.ascontiguousarray(x))
    return np.array([int.from_bytes(digest, "big", signed=True) for digest in digests], dtype=np.int64)
