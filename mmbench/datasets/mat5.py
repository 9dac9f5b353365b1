"""Numeric arrays of MATLAB level 5 files, with every length checked before it is used.

The format is MathWorks' "MAT-File Format", chapter 1: a header of 128 bytes, then elements, each a tag (type and size)
and data padded to 8 bytes; a matrix element holds flags, dimensions, a name and the values in Fortran order, and may be
wrapped in a zlib stream. scipy's reader knows far more of the format, but a single flipped bit makes it crash the
process (scipy 1.17.1), where a damaged file shall be one sentence.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["numeric_arrays"]

HEADER = 128
LARGEST = 1 << 30  # bytes of one decompressed element
COMPRESSED, MATRIX, INT32 = 15, 14, 5
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", INT32: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
COMPLEX = 0x0800


@dataclass(frozen=True)
class Element:
    """One element: its type, and its data without padding."""

    kind: int
    data: memoryview


def numeric_arrays(content: bytes) -> dict[str, np.ndarray]:
    """The real numeric arrays of a file by name; other variables (text, cells, structures) are left out.

    Raises:
        ValueError: not a level 5 file, or an element that is cut off or contradicts its sizes.
    """
    marks = {b"IM": "<", b"MI": ">"}
    if len(content) < HEADER or content[126:128] not in marks:
        raise ValueError("it does not begin with the header of a MATLAB 5 file")
    order = marks[content[126:128]]
    named = (_variable(element, order) for element in _elements(memoryview(content)[HEADER:], order))
    return dict(item for item in named if item is not None)


def _elements(data: memoryview, order: str) -> Iterator[Element]:
    """The elements that follow one another in `data`."""
    while data:
        if len(data) < 8:
            raise ValueError("it ends within a tag")
        first, second = struct.unpack_from(f"{order}2I", data)
        small = first >> 16  # a small element holds its size there and up to 4 bytes in place of the size
        kind, start, size = (first & 0xFFFF, 4, small) if small else (first, 8, second)
        if size > len(data) - start or (small and size > 4):
            raise ValueError(f"an element of {size} bytes is cut off")
        yield Element(kind, data[start : start + size])
        data = data[8 if small else start + (size if kind == COMPRESSED else -(-size // 8) * 8) :]


def _variable(element: Element, order: str) -> tuple[str, np.ndarray] | None:
    if element.kind == COMPRESSED:
        parts = list(_elements(memoryview(_decompressed(element.data)), order))
        if len(parts) != 1:
            raise ValueError(f"a compressed element holds {len(parts)} elements instead of one")
        element = parts[0]
    return _array(element, order) if element.kind == MATRIX else None


def _decompressed(data: memoryview) -> bytes:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError(f"a compressed element is damaged ({error})") from error
    if not stream.eof:
        raise ValueError(f"a compressed element is cut off or larger than {LARGEST} bytes")
    return content


def _array(matrix: Element, order: str) -> tuple[str, np.ndarray] | None:
    """Name and values of a matrix element; None unless it is real and numeric."""
    parts = list(_elements(matrix.data, order))
    if not parts or len(parts[0].data) < 4:
        raise ValueError("a matrix has no flags")
    (flags,) = struct.unpack_from(f"{order}I", parts[0].data)
    if flags & 0xFF not in CLASSES or flags & COMPLEX:
        return None
    if len(parts) != 4 or parts[1].kind != INT32 or len(parts[1].data) % 4:
        raise ValueError("a matrix does not consist of flags, dimensions, name and values")
    shape = tuple(np.frombuffer(parts[1].data, f"{order}i4").tolist())
    name = bytes(parts[2].data).decode("latin-1")
    return name, _values(parts[3], shape, order).astype(CLASSES[flags & 0xFF], copy=False)


def _values(part: Element, shape: tuple[int, ...], order: str) -> np.ndarray:
    """Values are stored in the smallest type that holds them, whatever the class of the matrix."""
    if part.kind not in STORED:
        raise ValueError(f"values are of the unknown type {part.kind}")
    kind = np.dtype(order + STORED[part.kind])
    if min(shape, default=-1) < 0 or math.prod(shape) * kind.itemsize != len(part.data):
        raise ValueError(f"{len(part.data)} bytes of {kind} do not fill the dimensions {list(shape)}")
    return np.frombuffer(part.data, kind).reshape(shape, order="F")
