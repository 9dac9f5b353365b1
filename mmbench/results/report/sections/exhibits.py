"""What the arrays of the metric `samples` show: pictures, texts, or vectors, of which there is no picture.

Texts stand in an array's `meta["texts"]`, strings nested as its leading axes are. A generated vector is told by the
real row that it is nearest to.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from mmbench.results.records import ArrayRecord
from mmbench.results.report.drawing.grids import is_images

__all__ = ["Kind", "caption_of_rows", "kind_of", "nearest_rows", "texts_of"]

Kind = Literal["image", "text", "vector"]
Arrays = Mapping[str, ArrayRecord]


def kind_of(array: ArrayRecord) -> Kind:
    """What rows of the array are; tokens without readable texts are vectors."""
    if texts_of(array) is not None:
        return "text"
    return "image" if is_images(array.value) else "vector"


def texts_of(array: ArrayRecord) -> np.ndarray | None:
    """The array's texts `[..]`, shaped as `value` without its last axis; None where it has none, or others.

    Characters that no page should hold (control characters, lone surrogates, changes of direction) are replaced.
    """
    try:
        texts = np.array(array.meta.get("texts"), dtype=object)
    except ValueError:  # ragged
        return None
    if array.value.ndim < 2 or texts.shape != array.value.shape[:-1] or not texts.size:
        return None
    if not all(isinstance(text, str) for text in texts.ravel()):
        return None
    return np.array([_printable(text) for text in texts.ravel()], dtype=object).reshape(texts.shape)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def caption_of_rows(arrays: Arrays, rows: int) -> tuple[str, np.ndarray] | None:
    """A modality of texts and the real text of each input row `[R]`; None where no modality has texts."""
    for name in sorted(arrays):
        if name.startswith("input/") and (texts := texts_of(arrays[name])) is not None and texts.shape == (rows,):
            return name.removeprefix("input/"), texts
    return None


def nearest_rows(generated: np.ndarray, real: np.ndarray) -> np.ndarray:
    """The row of `real` `[R, D]` that each of `generated` `[.., D]` is nearest to, by cosine about the mean of `real`.

    >>> nearest_rows(np.array([[2.0, 0.1], [0.1, 3.0]]), np.eye(2)).tolist()
    [0, 1]
    """
    middle = real.mean(axis=0)
    units = [_units(values.astype(np.float64) - middle) for values in (generated, real)]
    return np.asarray((units[0] @ units[1].T).argmax(axis=-1))


def _units(values: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0))
