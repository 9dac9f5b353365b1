"""Where `multivae` is not installed, these tests are skipped with the reason; with `CI=true` that is a failure.

Everything is float64, also what multivae makes in torch's default type.
"""

import os
from collections.abc import Iterator

import pytest
import torch

from tests.parity.shells import library


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """Load multivae once."""
    try:
        library()
    except ImportError as error:
        reason = f"multivae cannot be imported ({error}); `make parity` makes an environment that has it."
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the parity tests: {reason}")
        pytest.skip(reason)  # which says what is missing


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """float64 for the length of a test."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
