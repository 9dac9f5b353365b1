"""The idx format: what is well formed is read byte for byte, what contradicts its header is refused unread."""

import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbench.datasets.idx import read_idx
from mmbench.errors import DataError

ToIdx = Callable[[np.ndarray], bytes]
IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("name, pack", [("a-idx3-ubyte", bytes), ("a-idx3-ubyte.gz", gzip.compress)])
def test_values_and_the_digest_of_the_uncompressed_content(
    tmp_path: Path, to_idx: ToIdx, name: str, pack: Callable[[bytes], bytes]
) -> None:
    content = to_idx(IMAGES)
    (tmp_path / name).write_bytes(pack(content))
    values, digest = read_idx(tmp_path / name, axes=3)
    assert np.array_equal(values, IMAGES)
    assert digest == hashlib.md5(content).hexdigest()


def test_the_documented_header_of_the_mnist_label_file(tmp_path: Path) -> None:
    # 0x00000801 (2049) magic number, 32-bit number of items, then labels: the format's own description
    (tmp_path / "labels").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    assert read_idx(tmp_path / "labels", axes=1)[0].tolist() == [5, 0, 4]


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 10, 15, 16, 17, 39])
@pytest.mark.parametrize("packed", [False, True])
def test_truncated_files_are_refused(tmp_path: Path, to_idx: ToIdx, cut: int, packed: bool) -> None:
    content = to_idx(IMAGES)[:cut]
    path = tmp_path / ("a.gz" if packed else "a")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match="is truncated"):
        read_idx(path, axes=3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keep=st.floats(0, 0.999))
def test_truncated_gzip_streams_are_refused(tmp_path: Path, to_idx: ToIdx, keep: float) -> None:
    whole = gzip.compress(to_idx(IMAGES))
    (tmp_path / "a.gz").write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DataError):
        read_idx(tmp_path / "a.gz", axes=3)


def test_a_flipped_bit_in_a_gzip_stream_is_noticed(tmp_path: Path, to_idx: ToIdx) -> None:
    whole = bytearray(gzip.compress(to_idx(IMAGES)))
    whole[-6] ^= 1  # in the checksum
    (tmp_path / "a.gz").write_bytes(bytes(whole))
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_idx(tmp_path / "a.gz", axes=3)


def test_a_file_that_is_no_gzip_is_refused(tmp_path: Path, to_idx: ToIdx) -> None:
    (tmp_path / "a.gz").write_bytes(to_idx(IMAGES))
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_idx(tmp_path / "a.gz", axes=3)


@pytest.mark.parametrize("packed", [False, True])
def test_content_beyond_the_announced_length_is_refused(tmp_path: Path, to_idx: ToIdx, packed: bool) -> None:
    content = to_idx(IMAGES) + b"x"
    path = tmp_path / ("a.gz" if packed else "a")
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match="goes on after the 40 bytes"):
        read_idx(path, axes=3)


@pytest.mark.parametrize(
    "head",
    [
        struct.pack(">HBB3I", 1, 8, 3, 1, 1, 1),  # does not begin with zeros
        struct.pack(">HBB3I", 0, 13, 3, 1, 1, 1),  # floats
        struct.pack(">HBB3I", 0, 8, 2, 1, 1, 1),  # another number of axes
        b"<!DOCTYPE html><html>",
    ],
)
def test_other_formats_are_refused(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a").write_bytes(head + b"\0")
    with pytest.raises(DataError, match="is not an idx file of unsigned bytes with 3 axes"):
        read_idx(tmp_path / "a", axes=3)


def test_a_header_that_announces_terabytes_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3))
    with pytest.raises(DataError, match="more than the"):
        read_idx(tmp_path / "a", axes=3)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path, axes=3)
