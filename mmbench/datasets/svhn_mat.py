"""The cropped SVHN files: MATLAB, images `X` (32 x 32 x 3 x N, bytes) and labels `y` (1 to 10, 10 is digit 0)."""

import hashlib
from pathlib import Path

import numpy as np

from mmbench.datasets.mat5 import numeric_arrays
from mmbench.errors import DataError

__all__ = ["read_svhn"]

SHAPE = (32, 32, 3)
CLASSES = 10
LARGEST = 1 << 30


def read_svhn(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Read one `.mat` file.

    Returns:
        Images `[N, 3, 32, 32]` uint8, digits `[N]` int64 in 0..9, and the MD5 of the file.

    Raises:
        DataError: not a readable MATLAB file, or its parts are missing or contradict each other.
    """
    content = _content(path)
    try:
        arrays = numeric_arrays(content)
    except ValueError as error:
        raise DataError(f"{path} is not a whole MATLAB file: {error}; fetch it again.") from error
    if not {"X", "y"} <= arrays.keys():
        raise DataError(f"{path} has no arrays 'X' and 'y'; the cropped digits (format 2) of SVHN are needed.")
    images, labels = arrays["X"], arrays["y"].reshape(-1)
    _check(path, images, labels)
    digits = labels.astype(np.int64) % CLASSES
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), digits, digest


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path} is larger than the {LARGEST} bytes that are read.")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _check(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.shape[:3] != SHAPE or images.ndim != 4:
        raise DataError(f"{path}: X must be bytes of shape 32x32x3xN, got {images.dtype} {list(images.shape)}.")
    if images.shape[3] != len(labels) or len(labels) == 0:
        raise DataError(f"{path} contradicts itself: {images.shape[3]} images in X, {len(labels)} labels in y.")
    allowed = range(1, CLASSES + 1)
    wrong = [f"{label}" for label in labels.tolist() if label not in allowed]
    if wrong:
        raise DataError(f"{path}: labels must be whole numbers from 1 to {CLASSES}, got {', '.join(wrong[:3])}.")
