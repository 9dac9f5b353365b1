"""Inputs and generations where texts are among them, in words: one direction of each run, or samples from the prior.

Feature vectors have no picture. As an input, the real caption of the same row stands for one; as a generation, the
real caption of the input row that it is nearest to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmbench.results.records import ArrayRecord
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.groups import Variant
from mmbench.results.report.sections.arrays import Held, lack_arrays, pair_of
from mmbench.results.report.sections.exhibits import Kind, caption_of_rows, kind_of, nearest_rows, texts_of

__all__ = ["Written", "has_texts", "written_across", "written_jointly"]


@dataclass(frozen=True)
class Written:
    """One direction of one run, or its samples from the prior: rows of inputs and what was made of them.

    Attributes:
        inputs: a text a row; of images and vectors the caption of the same row, empty where there is none.
        pictures: of the inputs; None where they are no images.
        texts: `[R, G]`: generated texts, or those of the nearest rows; None where images were generated.
        images: `[R, G, C, H, W]`; None where texts were.
        own: share of generated vectors that are nearest to their own row; None where no vectors were generated.
    """

    given: str
    target: str
    kinds: tuple[Kind, Kind]
    inputs: Sequence[str]
    pictures: np.ndarray | None
    texts: np.ndarray | None
    images: np.ndarray | None
    own: float | None = None


def has_texts(held: Held, name: str) -> bool:
    """Whether texts are on either side of the array `name` (`cross/given|target`, `joint/target`) of any run."""
    for _, arrays in held.values():
        if name in arrays:
            given, _ = pair_of(arrays[name])
            ends = [arrays[name], *([arrays[f"input/{given}"]] if f"input/{given}" in arrays else [])]
            if any(kind_of(array) == "text" for array in ends):
                return True
    return False


def written_across(desk: Desk, setting: Setting, held: Held, name: str) -> dict[Variant, Written]:
    """What each run made of its inputs in one direction; runs whose arrays do not fit together are noted as missing."""
    lack_arrays(desk, setting, held, "samples", name)
    found = {}
    for variant, (run, arrays) in held.items():
        if name in arrays:
            if written := _written(arrays, arrays[name]):
                found[variant] = written
            else:
                why = f"inputs and generations of run {run.id} do not fit, or have neither pictures nor texts"
                desk.lacks(f"{name} of {desk.group.names[variant]}, {setting.text}", why)
    return found


def written_jointly(held: Held) -> dict[Variant, dict[str, np.ndarray]]:
    """Of each run the texts `[J]` of its samples from the prior, by modality."""
    found: dict[Variant, dict[str, np.ndarray]] = {}
    for variant, (_, arrays) in held.items():
        for name in sorted(arrays):
            if name.startswith("joint/") and (texts := texts_of(arrays[name])) is not None and texts.ndim == 1:
                found.setdefault(variant, {})[name.removeprefix("joint/")] = texts
    return found


def _written(arrays: Mapping[str, ArrayRecord], array: ArrayRecord) -> Written | None:
    """A direction's inputs and generations; None where they do not fit together."""
    given, target = pair_of(array)
    inputs = arrays.get(f"input/{given}")
    if inputs is None or len(inputs.value) != len(array.value) or not len(array.value):
        return None
    kinds = kind_of(inputs), kind_of(array)
    count = len(inputs.value)
    own = texts_of(inputs)
    real = caption_of_rows(arrays, count)
    lines = own if own is not None else real[1] if real else np.full(count, "", dtype=object)
    texts, share = texts_of(array), None
    if kinds[1] == "vector":
        texts, share = _nearest(arrays, array, lines if real or own is not None else None)
    images = array.value if kinds[1] == "image" and array.value.ndim == 5 else None
    if (texts is None or texts.ndim != 2) and images is None:
        return None
    if kinds[0] == "vector" and real is None:
        return None
    pictures = inputs.value if kinds[0] == "image" else None
    return Written(given, target, kinds, lines.tolist(), pictures, texts if images is None else None, images, share)


def _nearest(
    arrays: Mapping[str, ArrayRecord], array: ArrayRecord, lines: np.ndarray | None
) -> tuple[np.ndarray | None, float | None]:
    """For generated vectors `[R, G, D]` what the nearest input rows are called, and the share that is their own."""
    real = arrays.get(f"input/{pair_of(array)[1]}")
    if real is None or lines is None or array.value.ndim != 3 or real.value.shape != array.value.shape[::2]:
        return None, None
    if not (np.isfinite(real.value).all() and np.isfinite(array.value).all()):
        return None, None
    nearest = nearest_rows(array.value, real.value)
    rows = np.arange(len(nearest))[:, None]
    called = np.array([f"row {row + 1}: {line}" for row, line in enumerate(lines)], dtype=object)[nearest]
    return np.where(nearest == rows, "its own row", called), float((nearest == rows).mean())
