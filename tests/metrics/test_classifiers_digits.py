"""The classifiers of the embedded dataset are good enough to judge by, and quick enough to wait for."""

import numpy as np
import pytest

from mmbench.datasets import DATASETS
from mmbench.metrics import Classifiers


@pytest.mark.slow
def test_both_classifiers_of_the_digits_are_right_nearly_always(tmp_path):
    kind = DATASETS["digits"]
    digits = kind(kind.Settings())
    train, test = digits.split("train"), digits.split("test")
    classifiers = Classifiers(digits.modalities, digits.classes, train=train, test=test, cache=tmp_path)
    for spec in digits.modalities:
        assert classifiers.get(spec.name).accuracy > 0.95
        chance = np.bincount(test.targets[spec.name]).max() / len(test.targets[spec.name])
        assert chance < 0.2
