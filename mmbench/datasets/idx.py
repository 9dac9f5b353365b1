"""The idx format of the MNIST files: a magic number, the size of each axis, then unsigned bytes in C order.

Magic: two zero bytes, a type byte (0x08 for unsigned bytes) and the number of axes; sizes are big-endian 32-bit
numbers. http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes, Burges).
"""

import hashlib
import math
import struct
from pathlib import Path

import numpy as np

from mmbench.datasets.files import read_exactly
from mmbench.errors import DataError

__all__ = ["read_idx"]

UNSIGNED_BYTE = 0x08
LARGEST = 1 << 30


def read_idx(path: Path, *, axes: int) -> tuple[np.ndarray, str]:
    """Read an idx file of unsigned bytes, gzipped or not.

    Returns:
        The array, of `axes` axes, and the MD5 of the uncompressed file.

    Raises:
        DataError: not an idx file of this kind, larger than 1 GiB, or not as long as its header says.
    """
    start = 4 + 4 * axes

    def total(head: bytes) -> int:
        size = math.prod(_shape(head, axes, path))
        if size > LARGEST:
            raise DataError(f"{path} announces {size} bytes, more than the {LARGEST} that are read.")
        return start + size

    content = read_exactly(path, header=start, total=total)
    values = np.frombuffer(content, np.uint8, offset=start).reshape(_shape(content, axes, path))
    return values, hashlib.md5(content, usedforsecurity=False).hexdigest()


def _shape(head: bytes, axes: int, path: Path) -> tuple[int, ...]:
    zeros, kind, count, *sides = struct.unpack_from(f">HBB{axes}I", head)
    if zeros != 0 or kind != UNSIGNED_BYTE or count != axes:
        raise DataError(f"{path} is not an idx file of unsigned bytes with {axes} axes; fetch it again.")
    return tuple(sides)
