"""Datasets, pairing, observation schemes and the loader: from files to the `Step`s that a model is trained on."""

from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings, Pairing, Pattern, Split
from mmbench.datasets.schemes import SCHEMES, Scheme

__all__ = ["DATASETS", "SCHEMES", "Dataset", "DatasetSettings", "Pairing", "Pattern", "Scheme", "Split"]
