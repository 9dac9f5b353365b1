"""The arrays of an `.npz` file: their headers without their content, their content, and what modality each one is.

The type says what an array `[N, ...]` holds:

    uint8      images, `[N, H, W]` (grey), `[N, C, H, W]` or `[N, H, W, C]` with one or three channels
    floats     vectors `[N, D]`; images in [0, 1] in the same three shapes, kept at the 256 levels of 8 bits
    integers   tokens `[N, L]`, from 0 on, of a signed type

Channels are where the axis of one or three is, first or last; where both could be, `data.channels` says it.
Pickled objects are never read.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np

from mmbench.errors import DataError

__all__ = ["Form", "Header", "form_of", "headers", "read", "stored"]

CHANNELS = (1, 3)
LARGEST_VOCABULARY = 1 << 16
OBJECTS = "Python objects, which are never read (they could run code); save an array of numbers"


@dataclass(frozen=True)
class Header:
    """Shape and type of an array, known without reading it."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def text(self) -> str:
        """`uint8 [100, 28, 28]`."""
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Form:
    """What a modality's array is.

    Attributes:
        shape: of one row as a model sees it: `(C, H, W)`, `(D,)` or `(L,)`.
        channels: where they are in the file; `none` for grey images without such an axis, vectors and tokens.
    """

    kind: Literal["image", "vector", "tokens"]
    shape: tuple[int, ...]
    channels: Literal["first", "last", "none"] = "none"


def headers(path: Path) -> dict[str, Header]:
    """Array -> its header, in the order of the file; no content is read.

    Raises:
        DataError: no `.npz` file, nothing in it, an array that stands in it twice, or one of Python objects.
    """
    found: dict[str, Header] = {}
    with _told(path), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(".npy")
            if name == member:
                raise DataError(f"{path} holds {member!r}, which is no array; write the file with numpy.savez.")
            if name in found:
                raise DataError(f"{path} holds the array {name!r} twice; write the file anew.")
            with archive.open(member) as file:
                found[name] = _header(file)
            if found[name].dtype.hasobject:
                raise DataError(f"{path}: the array {name!r} holds {OBJECTS}.")
    if not found:
        raise DataError(f"{path} holds no array; save at least one with numpy.savez.")
    return found


def read(path: Path, name: str) -> np.ndarray:
    """One array. Raises `DataError` where it cannot be read."""
    with _told(path), np.load(path, allow_pickle=False) as file:
        return np.asarray(file[name])


def form_of(name: str, header: Header, *, channels: str, where: Path) -> Form:
    """What an array is, by its type and shape.

    Args:
        channels: `auto`, or `first` or `last` where an image has them.

    Raises:
        DataError: an array of another type or shape, or one that could be two things; says what to save instead.
    """
    shape, kind = header.shape, header.dtype.kind
    told = f"{where}: the array {name!r} is {header.text}"
    if 0 in shape[1:]:
        raise DataError(f"{told}: its rows are empty.")
    if len(shape) == 1:
        raise DataError(f"{told}, one value a row; save vectors as [N, 1], and classes under the name `labels`.")
    if kind == "i":
        if len(shape) != 2:
            raise DataError(f"{told}; integers are tokens, rows [N, L]; save images as uint8 and numbers as floats.")
        return Form("tokens", shape[1:])
    if kind == "f" and len(shape) == 2:
        return Form("vector", shape[1:])
    if not (kind == "f" or header.dtype == np.uint8):
        raise DataError(f"{told}; save images as uint8, vectors as float32 and tokens as int32.")
    if len(shape) == 3:
        return Form("image", (1, *shape[1:]))
    if len(shape) == 4:
        return _with_channels(shape[1:], channels, told)
    raise DataError(
        f"{told}; images are [N, H, W], [N, C, H, W] or [N, H, W, C], vectors floats [N, D]; "
        'reshape it (`x.reshape(len(x), -1).astype("float32")` makes vectors).'
    )


def _with_channels(shape: tuple[int, ...], channels: str, told: str) -> Form:
    first, last = shape[0] in CHANNELS, shape[2] in CHANNELS
    if channels == "auto" and first and last:
        raise DataError(f"{told}, with channels first or last; say which with data.channels=first or last.")
    if not (first if channels == "first" else last if channels == "last" else first or last):
        place = {"auto": "first or last", "first": "first", "last": "last"}[channels]
        raise DataError(f"{told}; images have 1 or 3 channels, {place} in a row; leave the others out.")
    if channels == "first" or (channels == "auto" and first):
        return Form("image", shape, "first")
    return Form("image", (shape[2], *shape[:2]), "last")


def stored(array: np.ndarray, form: Form, *, name: str, where: Path) -> np.ndarray:
    """All rows as they are divided: images uint8 `[N, C, H, W]`, vectors float64, tokens in their own type.

    Raises:
        DataError: values that are not finite, images of floats outside [0, 1], or tokens outside 0 .. 65,535.
    """
    told = f"{where}: the array {name!r}"
    if form.kind == "tokens":
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= LARGEST_VOCABULARY:
            raise DataError(
                f"{told} has integers from {low} to {high}; they are tokens, 0 to {LARGEST_VOCABULARY - 1:,}; "
                "save numbers as floats."
            )
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    rows = array.astype(np.float64, copy=False) if form.kind == "vector" else array
    if rows.dtype != np.uint8 and (bad := int((~np.isfinite(rows)).any(axis=tuple(range(1, rows.ndim))).sum())):
        raise DataError(f"{told} has NaN or infinite values in {bad:,} of {len(rows):,} rows; leave these rows out.")
    return rows if form.kind == "vector" else _image(rows, form, told)


def _image(rows: np.ndarray, form: Form, told: str) -> np.ndarray:
    if rows.dtype != np.uint8:
        low, high = float(rows.min()), float(rows.max())
        if low < 0 or high > 1:
            raise DataError(
                f"{told} has values from {low:g} to {high:g}; images of floats lie in [0, 1]: rescale it, or save its "
                "rows as vectors (`x.reshape(len(x), -1)`)."
            )
        rows = np.rint(rows * 255).astype(np.uint8)
    if form.channels == "last":
        rows = rows.transpose(0, 3, 1, 2)
    return rows.reshape(len(rows), *form.shape)


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file)
    return Header(shape, dtype)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What goes wrong within is a `DataError` that names the file."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is no whole .npz file ({error}); write it with numpy.savez.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
