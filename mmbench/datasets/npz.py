"""`npz:FILE`, one's own arrays: each array of the file is a modality under its name, row i with row i of the others.

Which array is what is told by its type and shape (see `npz_arrays`). Some names are not modalities:

    labels         class of each row `[N]`, numbers or words, in sorted order: without it rows have no classes
    split          `train` or `test` for each row `[N]`, in place of `data.test`
    <name>.words   text of each token `[V]` of modality <name>; without it tokens are shown by their numbers

Vectors are standardised by mean and standard deviation of the training rows (`data.standardise`), so that likelihoods
of vectors are those of standardised values. Of the file only headers, tokens, labels and words are read before a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from mmbench.config import setting
from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Split, SplitName
from mmbench.datasets.npz_arrays import Form, Header, form_of, headers, read, stored
from mmbench.datasets.own import Content, OwnData, OwnSettings, check_name, standardised
from mmbench.errors import DataError, DataMissing, InvalidSetting
from mmbench.modality import ModalitySpec, Tokens

__all__ = ["NpzData", "NpzSettings", "npz"]

LABELS, SPLIT, WORDS = "labels", "split", ".words"
EXAMPLE = "npz:faces.npz"


@dataclass(frozen=True)
class NpzSettings(OwnSettings):
    """Settings of `npz:FILE` (section `data`)."""

    channels: str = setting(
        "auto", choices=("auto", "first", "last"), help="Where images with three axes a row have their channels."
    )
    standardise: bool = setting(
        True, help="Vectors less the mean of the training rows, over their standard deviation, value by value."
    )
    padding: int | None = setting(None, low=0, help="The token that likelihoods of tokens pass over; none: all count.")


class NpzData(OwnData):
    """The arrays of an `.npz` file. Final classes are made by `npz`."""

    Settings: ClassVar[type[DatasetSettings]] = NpzSettings
    settings: NpzSettings

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return tuple(
            ModalitySpec(name, form.kind, form.shape, self._tokens[name] if form.kind == "tokens" else None)
            for name, form in self._forms.items()
        )

    @cached_property
    def labels(self) -> np.ndarray | None:
        if LABELS not in self._headers:
            return None
        labels = read(self.path, LABELS)
        if labels.ndim != 1 or labels.dtype.kind not in "iuU":
            raise DataError(
                f"{self.path}: the array 'labels' is {self._headers[LABELS].text}; it needs one whole number or word a "
                "row, [N]."
            )
        return labels

    def content(self) -> Content:
        arrays = {name: self._stored(name) for name in self._forms}
        return Content(arrays, self.labels, self._test(), {"file": self.path.name})

    def _prepared(self, splits: dict[SplitName, Split]) -> dict[SplitName, Split]:
        arrays = {which: dict(split.arrays) for which, split in splits.items()}
        for name in (name for name, form in self._forms.items() if form.kind == "vector"):
            vectors = {which: held[name] for which, held in arrays.items()}
            for which, rows in (standardised(vectors) if self.settings.standardise else vectors).items():
                arrays[which][name] = self._in_single_precision(rows, name)
        return {which: Split(arrays[which], split.targets) for which, split in splits.items()}

    @cached_property
    def _headers(self) -> Mapping[str, Header]:
        if not self.path.is_file():
            raise DataMissing(
                f"{self.name} needs a file, and {self.path} is none; a folder of images is images:FOLDER."
            )
        return headers(self.path)

    @cached_property
    def _forms(self) -> Mapping[str, Form]:
        """Modality -> what it is; all arrays have one number of rows."""
        forms, rows = {}, {}
        for name, header in self._headers.items():
            if name.endswith(WORDS):
                continue
            if not header.shape:
                raise DataError(f"{self.path}: the array {name!r} is a single number; arrays have rows, [N, ...].")
            rows[name] = header.shape[0]
            if name not in (LABELS, SPLIT):
                check_name(name, self.path)
                forms[name] = form_of(name, header, channels=self.settings.channels, where=self.path)
        if not forms:
            raise DataError(f"{self.path} holds no modality: there is no array beside {', '.join(self._headers)}.")
        if len(set(rows.values())) > 1:
            told = ", ".join(f"{name} {count:,}" for name, count in rows.items())
            raise DataError(f"{self.path}: its arrays differ in their number of rows ({told}); row i is one example.")
        if not next(iter(rows.values())):
            raise DataError(f"{self.path}: its arrays have no rows.")
        return forms

    @cached_property
    def _tokens(self) -> Mapping[str, Tokens]:
        return {name: self._vocabulary(name) for name, form in self._forms.items() if form.kind == "tokens"}

    def _vocabulary(self, name: str) -> Tokens:
        highest = int(self._stored(name).max())
        words = tuple(map(str, range(highest + 1)))
        if (key := f"{name}{WORDS}") in self._headers:
            array = read(self.path, key)
            if array.ndim != 1 or array.dtype.kind != "U" or len(array) <= highest:
                raise DataError(
                    f"{self.path}: the array {key!r} is {self._headers[key].text}; it needs a word for each token of "
                    f"{name!r}, which are 0 to {highest}."
                )
            words = tuple(array.tolist())
        padding = self.settings.padding
        if padding is not None and padding >= len(words):
            raise InvalidSetting(f"data.padding={padding} is no token of {name!r}, which are 0 to {len(words) - 1}.")
        hidden = frozenset() if padding is None else frozenset({padding})
        return Tokens(len(words), ignored=padding, words=words, hidden=hidden)

    def _stored(self, name: str) -> np.ndarray:
        return stored(read(self.path, name), self._forms[name], name=name, where=self.path)

    def _in_single_precision(self, rows: np.ndarray, name: str) -> np.ndarray:
        with np.errstate(over="ignore"):
            single = rows.astype(np.float32)
        if not np.isfinite(single).all():
            raise DataError(f"{self.path}: the array {name!r} has values too large for single precision; rescale it.")
        return single

    def _test(self) -> np.ndarray | None:
        if SPLIT not in self._headers:
            return None
        split = read(self.path, SPLIT)
        if split.ndim != 1 or split.dtype.kind != "U" or not np.isin(split, ("train", "test")).all():
            raise DataError(
                f"{self.path}: the array 'split' is {self._headers[SPLIT].text}; it needs the word train or test for "
                "each row, [N]."
            )
        return np.asarray(split == "test")


@DATASETS.family("npz", offers=lambda: "your own arrays: NAME is an .npz file, and each array in it a modality")
def npz(file: str) -> type[Dataset]:
    """The dataset of an `.npz` file; it is looked for when it is used."""
    if not file.endswith(".npz") or Path(file).name == ".npz":
        raise InvalidSetting(f"dataset 'npz:{file}' must name a file that ends in .npz, e.g. {EXAMPLE}.")

    class Npz(NpzData):
        """The arrays of one file."""

        name = f"npz:{file}"
        description = f"the arrays of {file}"
        place = file

    return Npz
