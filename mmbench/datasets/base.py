"""What a dataset is: arrays of originals with their classes, and a table that pairs them.

A dataset never shuffles, downloads in its constructor, or knows a device. `split` gives the originals of each modality;
`pairing` says, as a pure function of a seed, which originals form a row. Downloading and checking are separate.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from mmbench.config import setting
from mmbench.modality import ModalitySpec
from mmbench.registry import Registry

__all__ = ["DATASETS", "Dataset", "DatasetSettings", "Pairing", "Pattern", "Reader", "Split", "SplitName"]

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class Split:
    """The originals of one split.

    Attributes:
        arrays: modality -> array `[N_m, *shape]`; uint8 for images, floats for vectors, a signed integer type for
            tokens. `N_m` may differ.
        targets: modality -> int64 class of each original `[N_m]`; empty where the dataset has no classes.
    """

    arrays: Mapping[str, np.ndarray]
    targets: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Pairing:
    """Which originals form a row: `table[i, m]` is the index of row i's original in modality `names[m]`.

    In the base table each original stands at most once, so that a scheme over its rows is a scheme over originals.
    Where an original stands in several rows by nature (a photograph with ten captions), `groups` `[n]` says which rows
    belong together: no original stands in two groups, and a scheme is drawn over groups.
    """

    names: tuple[str, ...]
    table: np.ndarray
    groups: np.ndarray | None = None

    @property
    def checksum(self) -> str:
        """Digest of the content, for the record."""
        digest = hashlib.sha256(",".join(self.names).encode())
        for part in (self.table, self.groups):
            if part is not None:
                digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Pattern:
    """Training rows that share one observation pattern: `table` is `[n, len(names)]`, indices of originals.

    Patterns with `coin` are alternatives of the same rows: for each batch a coin picks the one that is observed.
    """

    names: tuple[str, ...]
    table: np.ndarray
    coin: bool = False


@dataclass(frozen=True)
class Reader:
    """What rows of one modality show, read by rule: the exact judge of generations, where the data have one.

    Real rows are read without error, so that reading a row's input gives its true attributes.

    Attributes:
        attributes: attribute -> its values, in order; the first attribute is the dataset's class.
        read: rows `[B, *shape]` as a model sees them (images in [0, 1], tokens as integers), real or generated, to the
            index of each attribute's value, int64 `[B, len(attributes)]`; -1 where a row shows none of the values.
    """

    attributes: Mapping[str, tuple[str, ...]]
    read: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class DatasetSettings:
    """Settings every dataset has; a dataset extends it."""

    pairs: int = setting(
        1, low=1, help="How often each original of a class is paired anew (MMVAE: 30; the MEME code: 1)."
    )


class Dataset(ABC):
    """A multimodal dataset. Subclasses are final and registered with `@DATASETS.register(name)`.

    Args:
        settings: an instance of the class's own `Settings`.
        root: folder of the data files (`--data-root` or `MMBENCH_DATA`); None where neither is given.
            An embedded dataset ignores it.

    Class attributes:
        name, description: how it is called and one sentence on what it is.
        Settings: frozen dataclass, `DatasetSettings` or an extension of it.
        common: preset `common` on this dataset: section (`arch`, `train`, `loader`) -> values.
        default_metrics: what `mmbench run` computes when no metric is named; None for the metrics marked so.
        references: the sources of the data (authors, title, venue and year), one line each.
        terms: how the data may be used, as far as it is known; empty where it is not.
        shapes_in_files: whether its modalities are known from its files alone, so that no spec is resolved without.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    Settings: ClassVar[type[DatasetSettings]] = DatasetSettings
    common: ClassVar[Mapping[str, Mapping[str, Any]]]
    default_metrics: ClassVar[tuple[str, ...] | None] = None
    references: ClassVar[tuple[str, ...]] = ()
    terms: ClassVar[str] = ""
    shapes_in_files: ClassVar[bool] = False

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        self.settings = settings
        self.root = root

    @property
    @abstractmethod
    def modalities(self) -> tuple[ModalitySpec, ...]:
        """The modalities, in the dataset's order."""

    @property
    @abstractmethod
    def classes(self) -> int | None:
        """Number of classes, or None where rows have no class."""

    @abstractmethod
    def split(self, which: SplitName) -> Split:
        """The originals of a split. Raises `DataMissing` or `DataError`."""

    @abstractmethod
    def pairing(self, which: SplitName, seed: int) -> Pairing:
        """The base table of a split: each original at most once, or in the rows of one group alone."""

    @abstractmethod
    def provenance(self) -> Mapping[str, Any]:
        """JSON facts for the record: `status`, `counts`, `digest`.

        The status is `published`, `embedded`, `unverified` (not the published content), or `own` (none is published).
        """

    def log_density(self, values: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """The exact log density in nats of rows of any non-empty set of modalities; None where it is not known.

        Args:
            values: modality -> `[n, *shape]`, floats as a model sees them.

        Returns:
            `[n]`, in float64.
        """
        return None

    def reader(self, name: str) -> Reader | None:
        """What rows of modality `name` show, read by rule; None where that needs a trained classifier."""
        return None

    @classmethod
    def fetch(cls, root: Path | None) -> str:
        """Download the published files below `root`; returns one sentence on what was done.

        Raises `InvalidSetting` where there are files to fetch and no folder was named (`files.folder_to_fill`).
        """
        return f"{cls.name} is embedded: there is nothing to fetch."

    @classmethod
    def verify(cls, root: Path | None) -> str:
        """Check the files below `root`; returns one sentence, raises `DataMissing` or `DataError`."""
        return f"{cls.name} is embedded: there is nothing to verify."


DATASETS: Registry[type[Dataset]] = Registry(
    "dataset", package="mmbench.datasets", group="mmbench.datasets", base=Dataset
)
