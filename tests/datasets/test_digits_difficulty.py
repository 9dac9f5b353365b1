"""`digits` is hard but fair: a linear classifier on street pixels stays below 60 %, a small network reaches 90 %."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from mmbench.datasets.digits import Digits, DigitsSettings

SCRIPT = Path(__file__).parents[2] / "scripts" / "digits_difficulty.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_difficulty", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_street_images_are_hard_for_a_linear_classifier_and_easy_for_a_network(script: ModuleType) -> None:
    dataset = Digits(DigitsSettings())
    assert script.linear_accuracy(dataset, "street") < 0.6
    assert script.network_accuracy(dataset, "street") > 0.9
