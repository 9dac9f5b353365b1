"""The cropped SVHN files: layout and labels as published, and refusals of what is damaged or contradicts itself."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from mmbench.datasets.svhn_mat import read_svhn
from mmbench.errors import DataError

IMAGES = np.random.default_rng(0).integers(256, size=(32, 32, 3, 4)).astype(np.uint8)
LABELS = np.array([[1], [10], [9], [2]], np.uint8)


def saved(path: Path, **content: Any) -> Path:
    savemat(path / "x.mat", content, do_compression=True)
    return path / "x.mat"


def test_axes_are_reordered_and_ten_is_the_digit_zero(tmp_path: Path) -> None:
    path = saved(tmp_path, X=IMAGES, y=LABELS)
    images, digits, digest = read_svhn(path)
    assert digest == hashlib.md5(path.read_bytes()).hexdigest()
    assert digits.tolist() == [1, 0, 9, 2]
    assert images.shape == (4, 3, 32, 32)
    assert images.dtype == np.uint8
    assert images[3, 2, 5, 7] == IMAGES[5, 7, 2, 3]


@pytest.mark.parametrize(
    "content, sentence",
    [
        ({"X": IMAGES}, "no arrays 'X' and 'y'"),
        ({"y": LABELS}, "no arrays 'X' and 'y'"),
        ({"X": IMAGES, "y": LABELS[:3]}, "4 images in X, 3 labels in y"),
        ({"X": IMAGES[..., :0], "y": LABELS[:0]}, "contradicts itself"),
        ({"X": IMAGES.astype(float), "y": LABELS}, "X must be bytes"),
        ({"X": IMAGES[:31], "y": LABELS}, "X must be bytes of shape 32x32x3xN"),
        ({"X": IMAGES[..., 0], "y": LABELS}, "X must be bytes"),
        ({"X": IMAGES, "y": LABELS + 1}, "from 1 to 10, got 11"),
        ({"X": IMAGES, "y": LABELS - 1}, "from 1 to 10, got 0"),
        ({"X": IMAGES, "y": LABELS + 0.5}, "whole numbers"),
        ({"X": IMAGES, "y": np.array([1, np.nan, 2, 3])}, "got nan"),
        ({"X": IMAGES, "y": np.array(["1", "2", "3", "4"])}, "no arrays"),
    ],
)
def test_files_that_contradict_themselves_are_refused(tmp_path: Path, content: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_svhn(saved(tmp_path, **content))


@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_files_are_refused(tmp_path: Path, compressed: bool) -> None:
    savemat(tmp_path / "whole.mat", {"X": IMAGES, "y": LABELS}, do_compression=compressed)
    whole = (tmp_path / "whole.mat").read_bytes()
    for cut in np.linspace(0, len(whole) - 1, 25).astype(int):
        (tmp_path / "cut.mat").write_bytes(whole[:cut])
        with pytest.raises(DataError):
            read_svhn(tmp_path / "cut.mat")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", bytes(1000), bytes(range(256)) * 8])
def test_other_formats_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mat").write_bytes(content)
    with pytest.raises(DataError, match="is not a whole MATLAB file"):
        read_svhn(tmp_path / "x.mat")


def test_flipped_bits_are_refused_or_harmless(tmp_path: Path) -> None:
    savemat(tmp_path / "whole.mat", {"X": IMAGES, "y": LABELS}, do_compression=False)
    whole = (tmp_path / "whole.mat").read_bytes()
    rng = np.random.default_rng(1)
    for place in [*range(120, 260), *range(len(whole) - 70, len(whole)), *rng.integers(len(whole), size=20)]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        (tmp_path / "x.mat").write_bytes(bytes(flipped))
        try:
            images, digits, _ = read_svhn(tmp_path / "x.mat")
        except DataError:
            continue
        assert images.shape == (4, 3, 32, 32)
        assert set(digits.tolist()) <= set(range(10))
