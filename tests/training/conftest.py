"""The tiny model and its data, for every test of the training room."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def trainee() -> ModuleType:
    """The module `trainee.py` beside this file."""
    path = Path(__file__).with_name("trainee.py")
    spec = importlib.util.spec_from_file_location("training_trainee", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
