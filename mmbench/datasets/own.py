"""What datasets made of the user's own files share: where they are looked up, how rows are divided, what is recorded.

Row i of every modality belongs to row i of the others. Rows are put into one random order, the same for every run, and
the test split is taken from it: a share of the rows or a number of them (`data.test`), of each class alike where rows
have classes; or the rows that the data itself says. Nothing is held out for validation.

Without classes nothing is paired anew, and what needs classes (coherence, latent accuracy, scheme `mnar`) is skipped or
refused with that reason. There is no published content to compare with: the status in records is `own`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmbench.config import setting
from mmbench.datasets.base import Dataset, DatasetSettings, Pairing, Split, SplitName
from mmbench.datasets.cache import arrays_digest
from mmbench.datasets.files import DATA_VARIABLE, data_root
from mmbench.errors import DataError, DataMissing, InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["Content", "OwnData", "OwnSettings", "check_name", "division", "find", "listed", "standardised"]

SEED = 20261127
FEWEST = 2  # rows of a split: some metrics compare a row with another one
SPLITS: tuple[SplitName, ...] = ("train", "test")
ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


@dataclass(frozen=True)
class OwnSettings(DatasetSettings):
    """Settings that one's own data has, whatever it is read from (section `data`)."""

    pairs: int = setting(1, low=1, help="How often rows are paired anew within their class; only 1 without classes.")
    test: float = setting(
        0.2,
        above=0.0,
        help="The test split, where the data does not say it: a share of the rows, or from 1 on a number.",
    )


@dataclass(frozen=True)
class Content:
    """All rows, before they are divided.

    Attributes:
        arrays: modality -> `[N, *shape]` in its storage type; not standardised yet.
        labels: class of each row `[N]`, numbers or words; None where there are none.
        test: which rows are the test split `[N]`, bool; None where the data does not say.
        notes: what else the record shall say, as JSON.
    """

    arrays: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    test: np.ndarray | None = None
    notes: Mapping[str, Any] | None = None


class OwnData(Dataset):
    """Rows of the user's own files. Final classes are made by a family, one for each name.

    Class attributes:
        place: the file or folder as it was typed behind the family's prefix.
    """

    place: ClassVar[str]
    shapes_in_files: ClassVar[bool] = True
    terms: ClassVar[str] = "The user's own data."
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "small", "latent_dim": 16, "likelihood": "laplace", "scale": 0.1, "rescale": "largest"},
        "train": {"batch_size": 128, "lr": 1e-3, "steps": 1400},
    }
    settings: OwnSettings

    @cached_property
    def path(self) -> Path:
        """Where the file or folder is. Raises `DataMissing`."""
        return find(self.place, self.root, name=self.name)

    @property
    @abstractmethod
    def labels(self) -> np.ndarray | None:
        """Class of each row `[N]`, or None; read without the modalities. Raises `DataMissing` or `DataError`."""

    @abstractmethod
    def content(self) -> Content:
        """All rows, read anew. Raises `DataMissing` or `DataError`."""

    @property
    def classes(self) -> int | None:
        return None if self.labels is None else len(np.unique(self.labels))

    def split(self, which: SplitName) -> Split:
        return self._divided[0][which]

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        """Row i of every modality belongs to row i of the others, whatever the seed."""
        names = tuple(spec.name for spec in self.modalities)
        rows = len(self.split(which).arrays[names[0]])
        return Pairing(names, np.stack([np.arange(rows)] * len(names), axis=1))

    def provenance(self) -> Mapping[str, Any]:
        return self._divided[1]

    @classmethod
    def fetch(cls, root: Path | None) -> str:
        return f"{cls.name} is your own: there is nothing to fetch."

    @classmethod
    def verify(cls, root: Path | None) -> str:
        """Read all of it under the default settings; says what is in it."""
        dataset = cls(cls.Settings(), root)
        facts, specs = dataset.provenance(), dataset.modalities
        counts = {which: facts["counts"][which][specs[0].name] for which in SPLITS}
        classes = "no classes, so that metrics which need them are skipped"
        if dataset.classes is not None:
            classes = f"{dataset.classes} class{'es' if dataset.classes != 1 else ''}"
        return (
            f"{cls.name} is well formed: {sum(counts.values()):,} rows ({counts['train']:,} train, {counts['test']:,} "
            f"test) of {listed([_described(spec) for spec in specs])}; {classes}; digest {facts['digest']}; "
            f"read from {dataset.path}."
        )

    @cached_property
    def _divided(self) -> tuple[dict[SplitName, Split], Mapping[str, Any]]:
        """Both splits, and the facts for the record; what was read is not kept beside them."""
        content, names = self.content(), [spec.name for spec in self.modalities]
        rows = division(len(content.arrays[names[0]]), content, self.settings.test, name=self.name)
        classes = None if content.labels is None else np.unique(content.labels, return_inverse=True)[1].astype(np.int64)
        splits = {
            which: Split(
                {name: content.arrays[name][chosen] for name in names},
                {} if classes is None else dict.fromkeys(names, classes[chosen]),
            )
            for which, chosen in rows.items()
        }
        splits = self._prepared(splits)
        contents = {f"{which}-{name}": array for which in SPLITS for name, array in splits[which].arrays.items()}
        contents |= {f"{which}-targets": s.targets[names[0]] for which, s in splits.items() if s.targets}
        facts = {
            "status": "own",
            "counts": {which: dict.fromkeys(names, len(chosen)) for which, chosen in rows.items()},
            "digest": arrays_digest(contents)[:16],
            **(content.notes or {}),
        }
        return splits, facts

    def _prepared(self, splits: dict[SplitName, Split]) -> dict[SplitName, Split]:
        """The splits as they are kept; vectors are standardised here where that is asked for."""
        return splits


def find(place: str, root: Path | None, *, name: str) -> Path:
    """The file or folder `place`: below the current folder, else below the data root.

    Args:
        place: as typed; `~` is the home folder.
        root: the data root; None for `MMBENCH_DATA`.
        name: of the dataset, for messages.

    Raises:
        DataMissing: it is in neither place.
    """
    typed, root = Path(place).expanduser(), data_root(root)
    candidates = [Path.cwd() / typed, *([] if root is None else [root / typed])]
    for path in candidates:
        if path.exists():
            return path
    places = " or ".join(str(path) for path in dict.fromkeys(candidates))
    raise DataMissing(
        f"{name} needs {places}, which is not there; name it as seen from the current folder or from the data root "
        f"(--data-root or {DATA_VARIABLE}), or by its whole path."
    )


def check_name(modality: str, where: Path | str) -> None:
    """Raise `DataError` where a modality's name cannot be part of the names of schemes and scores."""
    if not modality or not set(modality) <= ALLOWED:
        raise DataError(
            f"{where} has a modality {modality!r}; a name is of lower-case letters, digits, `-` and `_`: rename it."
        )


def division(rows: int, content: Content, test: float, *, name: str) -> dict[SplitName, np.ndarray]:
    """Which rows are in which split, each in a random order that is always the same.

    Args:
        rows: N.
        test: a share below 1, or a whole number of rows; not looked at where the content says its own.

    Raises:
        InvalidSetting: a number of test rows that is not whole.
        DataError: a split of fewer than two rows.
    """
    order = generator(SEED, "rows").permutation(rows)
    if content.test is not None:
        chosen = content.test[order]
    else:
        if test >= 1 and test != int(test):
            raise InvalidSetting(f"data.test is a share below 1 or a whole number of rows, got {test:g}.")
        count = int(test) if test >= 1 else round(test * rows)
        chosen = np.zeros(rows, bool)
        if count:
            chosen[_spread(None if content.labels is None else content.labels[order], rows, min(count, rows))] = True
    found: dict[SplitName, np.ndarray] = {"train": order[~chosen], "test": order[chosen]}
    for which, held in found.items():
        if len(held) < FEWEST:
            remedy = "change its array `split`" if content.test is not None else "set data.test, or add rows"
            raise DataError(
                f"{name} has {rows} row{'s' if rows != 1 else ''}, of which {len(held)} would be in the {which} split, "
                f"which needs {FEWEST} at least; {remedy}."
            )
    return found


def _spread(labels: np.ndarray | None, rows: int, count: int) -> np.ndarray:
    """Positions of `count` of `rows` rows: the first ones, or equally far apart when sorted by their class."""
    if labels is None:
        return np.arange(count)
    places = ((np.arange(count) + 0.5) * rows / count).astype(np.int64)
    return np.argsort(labels, kind="stable")[places]


def standardised(splits: Mapping[SplitName, np.ndarray]) -> dict[SplitName, np.ndarray]:
    """Vectors `[n, D]` of both splits less the mean of the training rows, over their standard deviation, in float64.

    A value that is the same in all training rows is centred only.
    """
    train = splits["train"].astype(np.float64)
    mean = train.mean(axis=0)
    divisor = np.where(np.ptp(train, axis=0) > 0, train.std(axis=0), 1.0)  # rounding gives equal values a spread
    return {which: (array - mean) / divisor for which, array in splits.items()}


def _described(spec: ModalitySpec) -> str:
    """`face (image 1x16x16)`, `caption (tokens 12 of a vocabulary of 30)`."""
    vocabulary = "" if spec.tokens is None else f" of a vocabulary of {spec.tokens.vocabulary:,}"
    return f"{spec.name} ({spec.kind} {'x'.join(map(str, spec.shape))}{vocabulary})"


def listed(items: list[str]) -> str:
    """Items as the end of a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
