"""Tests of the bridge need the package multivae. Without it they are skipped with the reason; where `CI=true` that is a
failure.
"""

import os
from collections.abc import Iterator

import pytest
import torch

from mmbench.models.base import MODELS, MultimodalVAE
from mmbench.models.bridge.kinds import KINDS
from mmbench.models.bridge.package import READ, installed

PARTIAL = sorted(name for name, kind in KINDS.items() if kind.facts.partial_train_holds)


@pytest.fixture(scope="session", autouse=True)
def package() -> None:
    """multivae, in the version whose source was read."""
    if installed() != READ:
        reason = f"the bridge's tests need multivae {READ}, found {installed()}."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)  # which says what is missing


@pytest.fixture(autouse=True)
def plain_default_type() -> Iterator[None]:
    """No test leaves another default floating type behind."""
    before = torch.get_default_dtype()
    yield
    assert torch.get_default_dtype() == before


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> type[MultimodalVAE]:
    """Every model of the family."""
    return MODELS[f"multivae:{request.param}"]


@pytest.fixture(params=PARTIAL)
def partial_kind(request: pytest.FixtureRequest) -> type[MultimodalVAE]:
    """Every model of the family that takes rows with missing modalities."""
    return MODELS[f"multivae:{request.param}"]
