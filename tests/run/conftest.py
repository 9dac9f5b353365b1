"""The tiny dataset and metric, registered for the length of one test, and a store of the test's own."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mmbench.results.store import Store


@pytest.fixture(scope="session")
def tiny_module() -> ModuleType:
    """The module `tiny_world.py` beside this file."""
    path = Path(__file__).with_name("tiny_world.py")
    spec = importlib.util.spec_from_file_location("run_tiny_world", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny(tiny_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with its dataset and metric registered until the end of the test."""
    tiny_module.register(monkeypatch)
    return tiny_module


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "results.db") as opened:
        yield opened
