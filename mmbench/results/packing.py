"""Values to and from the database: plain JSON, packed curves and `.npy` bytes, nothing that could run code.

What cannot be kept exactly is refused by its dotted name: NaN and infinities (JSON has none, and SQLite would keep NaN
as an absent value), object arrays, and objects that are no JSON.
"""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmbench.errors import InvalidSetting, StoreError

__all__ = ["array_bytes", "finite", "json_object", "pack", "read_array", "unpack"]

_SCALARS = (str, bool, int, float, type(None))


def json_object(value: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`value` as plain dicts, lists and scalars; tuples become lists and numpy scalars Python ones.

    Raises:
        InvalidSetting: a value that JSON does not have; names it as `where.key`.
    """
    return {_text_key(key, where): _json_value(item, f"{where}.{key}") for key, item in value.items()}


def finite(value: float | None, where: str) -> float | None:
    """`value` as a Python float; None stays None. Raises `InvalidSetting` for NaN and infinities."""
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise InvalidSetting(f"{where} is {number}, which the store does not keep; leave it out and say why in a note.")
    return number


def pack(values: np.ndarray, dtype: str, where: str) -> bytes:
    """The bytes of a vector `[n]` in the little-endian `dtype`; NaN and infinities are kept."""
    if values.ndim != 1 or values.dtype.hasobject:
        raise InvalidSetting(f"{where} must be a vector of numbers, got shape {values.shape} of {values.dtype}.")
    return values.astype(dtype).tobytes()


def unpack(packed: bytes, dtype: str) -> np.ndarray:
    """The vector `[n]` that `pack` wrote."""
    return np.frombuffer(packed, dtype=dtype).copy()


def array_bytes(value: np.ndarray, where: str) -> bytes:
    """The bytes of an `.npy` file. Raises `InvalidSetting` for an object array."""
    if value.dtype.hasobject:
        raise InvalidSetting(f"{where} is an array of Python objects; the store keeps arrays of numbers only.")
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=False)
    return buffer.getvalue()


def read_array(npy: bytes, where: str) -> np.ndarray:
    """The array in the bytes of an `.npy` file, never a pickled one. Raises `StoreError` where it is damaged."""
    try:
        value: np.ndarray = np.lib.format.read_array(io.BytesIO(npy), allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise StoreError(f"{where} is damaged or is no plain array; evaluate the run again.") from error
    return value


def _json_value(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return json_object(value, where)
    if isinstance(value, (list, tuple)):
        return [_json_value(item, f"{where}.{place}") for place, item in enumerate(value)]
    if isinstance(value, float):
        return finite(value, where)
    if isinstance(value, _SCALARS):
        return value
    raise InvalidSetting(f"{where} is a {type(value).__name__}; the store keeps JSON values only.")


def _text_key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise InvalidSetting(f"{where} has the key {key!r}; keys must be text.")
    return key
