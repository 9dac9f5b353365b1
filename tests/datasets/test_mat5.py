"""MATLAB level 5 files: the arrays that scipy writes and reads, in every numeric type, and refusals of damage."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from mmbench.datasets.mat5 import numeric_arrays

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


def written(compressed: bool = False, **content: Any) -> bytes:
    file = io.BytesIO()
    savemat(file, content, do_compression=compressed)
    return file.getvalue()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 4), (2, 3, 4), (5, 2, 1, 3), (2, 0)])
def test_arrays_are_those_that_scipy_wrote(kind: str, compressed: bool, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    found = numeric_arrays(written(compressed, first=array, a_second_and_longer_name=array + 1))
    assert list(found) == ["first", "a_second_and_longer_name"]
    assert found["first"].dtype == kind
    assert np.array_equal(found["first"], array)
    assert np.array_equal(found["a_second_and_longer_name"], array + 1)


def test_variables_that_are_no_real_numbers_are_left_out() -> None:
    content = written(text="abc", cell=np.array([1, "a"], object), struct={"a": 1}, z=np.array([1 + 2j]), x=[3.0])
    assert list(numeric_arrays(content)) == ["x"]


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7), compressed=st.booleans())
def test_a_flipped_bit_is_refused_or_read(place: int, bit: int, compressed: bool) -> None:
    content = bytearray(written(compressed, X=np.arange(24, dtype=np.uint8).reshape(2, 3, 4), y=np.ones(3)))
    content[place % len(content)] ^= 1 << bit
    try:
        found = numeric_arrays(bytes(content))
    except ValueError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())


@settings(max_examples=100, deadline=None)
@given(tail=st.binary(max_size=200), mark=st.sampled_from([b"IM", b"MI"]))
def test_arbitrary_elements_raise_nothing_but_value_errors(tail: bytes, mark: bytes) -> None:
    try:
        numeric_arrays(bytes(126) + mark + tail)
    except ValueError:
        return


def test_real_files_read_as_scipy_reads_them(real_data: Path) -> None:
    path = real_data / "SVHN" / "test_32x32.mat"
    ours, theirs = numeric_arrays(path.read_bytes()), loadmat(path)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ("X", "y"))
