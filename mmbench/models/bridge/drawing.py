"""Code that draws from process-wide generators, made a function of our noise.

The generators of torch (of the CPU, and of the model's device) and of numpy are seeded for the time of a block, and
have their old state back afterwards. The seed is a hash of numbers that the noise gives for the rows at hand, so the
same noise gives the same draws, on a CPU to the bit. How a batch's draws fall on its rows is the code's own affair: a
row's numbers depend on the rows beside it. torch's default floating type is the model's for that time, as code of this
kind makes buffers without naming a type.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from mmbench.seeding import Noise

__all__ = ["drawing_from", "seed_of"]


@contextmanager
def drawing_from(noise: Noise, rows: int, *, like: torch.Tensor) -> Iterator[None]:
    """Within the block the global generators are seeded from `noise` for `rows` rows.

    Args:
        like: a tensor of the model's device and floating type.
    """
    seed = seed_of(noise, rows)
    on_gpu = [like.device] if like.device.type == "cuda" else []
    held, dtype = np.random.get_state(), torch.get_default_dtype()
    with torch.random.fork_rng(devices=on_gpu):
        torch.default_generator.manual_seed(seed)
        for gpu in on_gpu:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        np.random.seed(seed % 2**32)
        torch.set_default_dtype(like.dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            np.random.set_state(held)


def seed_of(noise: Noise, rows: int) -> int:
    """A 63-bit seed that depends on the noise of each of the rows."""
    drawn = noise.normal("multivae", (1, rows)).detach().double().cpu().numpy()
    return int.from_bytes(hashlib.sha256(drawn.tobytes()).digest()[:8], "big") >> 1
