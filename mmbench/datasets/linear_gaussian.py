"""A synthetic dataset whose every density is known: rows of a linear-Gaussian model with any number of modalities.

    z ~ N(0, I_d),    x_m = W_m z + b_m + e,    e ~ N(0, s^2 I),    m = 1..M,

so that for every set S of modalities, stacked,

    x_S ~ N(b_S, W_S W_S^T + s^2 I)    (Bishop, Pattern Recognition and Machine Learning, 2006, section 2.3.3).

The entries of W_m are drawn from N(0, 1/d) and those of b_m from N(0, 1): the signal in every value has variance one on
average. The columns of W_m are not orthogonal, so that the posteriors of z have full covariances. A model with linear
decoders, d latent dimensions and a normal likelihood of scale s holds the truth, but a diagonal posterior only up to a
rotation of z that suits one set S. The metric `truth_gap` prints how far a trained model is from the truth.

Content is a pure function of the settings: the rows are the same for every run, and smaller settings of `rows` and
`modalities` give a part of what larger ones give.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmbench.config import setting
from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Split, SplitName
from mmbench.datasets.cache import arrays_digest
from mmbench.errors import InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.seeding import generator

__all__ = ["LinearGaussianData", "LinearGaussianSettings"]

SEED = 20221123
TEST_ROWS = 1000


@dataclass(frozen=True)
class LinearGaussianSettings(DatasetSettings):
    """Settings of `linear-gaussian` (section `data`)."""

    pairs: int = setting(1, low=1, high=1, help="Only 1: rows have no classes to be paired anew within.")
    modalities: int = setting(3, low=2, high=8, help="M, the modalities m1..mM.")
    dim: int = setting(8, low=1, help="D_m, the values of each modality.")
    latent: int = setting(4, low=1, help="d, the dimensions of z; arch.latent_dim is the model's own number.")
    noise: float = setting(0.5, above=0.0, help="s; the model's likelihood fits where arch.scale has the same value.")
    rows: int = setting(5000, low=1, help="Training rows; there are always 1,000 test rows.")


@DATASETS.register("linear-gaussian")
class LinearGaussianData(Dataset):
    """Rows of a linear-Gaussian model."""

    name = "linear-gaussian"
    description = (
        "vectors x_m = W_m z + b_m + noise with exact log p of every set of modalities; no classes, no download"
    )
    Settings = LinearGaussianSettings
    references: ClassVar[tuple[str, ...]] = (
        "Bishop, Pattern Recognition and Machine Learning, Springer 2006 (section 2.3.3)",
    )
    terms: ClassVar[str] = "Made by mmbench."
    common: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "arch": {"networks": "linear", "latent_dim": 4, "likelihood": "normal", "scale": 0.5},
        "train": {"batch_size": 128, "lr": 1e-2, "steps": 1500},
    }
    default_metrics: ClassVar[tuple[str, ...] | None] = ("log_likelihood", "relatedness", "truth_gap")
    settings: LinearGaussianSettings

    def __init__(self, settings: DatasetSettings, root: Path | None = None) -> None:
        super().__init__(settings, root)
        self._made: dict[SplitName, dict[str, np.ndarray]] = {}

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return tuple(ModalitySpec(name, "vector", (self.settings.dim,)) for name in self._names)

    @property
    def classes(self) -> None:
        return None

    def split(self, which: SplitName) -> Split:
        if which not in self._made:
            self._made[which] = self._drawn(which)
        return Split(arrays=self._made[which], targets={})

    def pairing(self, which: SplitName, seed: int) -> Pairing:
        """Row i of every modality belongs to row i of the others, whatever the seed."""
        return Pairing(self._names, np.stack([np.arange(self._count(which))] * len(self._names), axis=1))

    def provenance(self) -> Mapping[str, Any]:
        splits: tuple[SplitName, ...] = ("train", "test")
        arrays = {f"{which}-{name}": a for which in splits for name, a in self.split(which).arrays.items()}
        counts = {which: dict.fromkeys(self._names, self._count(which)) for which in splits}
        return {"status": "embedded", "counts": counts, "digest": arrays_digest(arrays)[:16]}

    def weight(self, name: str) -> np.ndarray:
        """W_m `[D_m, d]`."""
        s = self.settings
        return generator(SEED, "weight", name).normal(0.0, s.latent**-0.5, (s.dim, s.latent))

    def bias(self, name: str) -> np.ndarray:
        """b_m `[D_m]`."""
        return generator(SEED, "bias", name).normal(size=self.settings.dim)

    def log_density(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """log p(x_S) `[n]` of rows `[n, D_m]`, exact.

        Raises:
            InvalidSetting: no modality, or one that the dataset has not.
        """
        names = [name for name in self._names if name in values]
        if not names or len(names) != len(values):
            raise InvalidSetting(f"the density needs a non-empty set of {list(self._names)}, got {sorted(values)}.")
        weight = np.concatenate([self.weight(name) for name in names])
        centred = np.concatenate([np.asarray(values[name], np.float64) - self.bias(name) for name in names], axis=1)
        return _log_normal(centred, weight @ weight.T + self.settings.noise**2 * np.eye(len(weight)))

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(f"m{m}" for m in range(1, self.settings.modalities + 1))

    def _count(self, which: SplitName) -> int:
        return self.settings.rows if which == "train" else TEST_ROWS

    def _drawn(self, which: SplitName) -> dict[str, np.ndarray]:
        s, rows = self.settings, self._count(which)
        z = generator(SEED, which, "z").normal(size=(rows, s.latent))
        return {name: self._values(name, z, generator(SEED, which, "noise", name)) for name in self._names}

    def _values(self, name: str, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = self.settings.noise * rng.normal(size=(len(z), self.settings.dim))
        values: np.ndarray = z @ self.weight(name).T + self.bias(name) + noise
        return values.astype(np.float32)


def _log_normal(centred: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """log N(x; 0, covariance) of rows `[n, D]`, by a Cholesky factor: `[n]`."""
    factor = np.linalg.cholesky(covariance)
    squared = (np.linalg.solve(factor, centred.T) ** 2).sum(axis=0)
    log_det = 2 * float(np.log(np.diag(factor)).sum())
    return np.asarray(-0.5 * (squared + log_det + len(covariance) * math.log(2 * math.pi)))
