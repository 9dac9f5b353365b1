"""The oracle, and a way to build a model with exact networks on it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mmbench.models import MODELS, MultimodalVAE
from mmbench.testing.linear_gaussian import LinearGaussian


@pytest.fixture
def oracle() -> LinearGaussian:
    return LinearGaussian()


@pytest.fixture
def make() -> Callable[..., MultimodalVAE]:
    """`make("meme", oracle, encoder="rough", k=3)`: a model in float64 on the oracle's networks."""

    def build(name: str, oracle: LinearGaussian, *, encoder: str = "posterior", **settings: Any) -> MultimodalVAE:
        kind = MODELS[name]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = kind(oracle.modalities, kind.Settings(**settings), oracle.arch, oracle.coders(encoder=encoder))
        return model.double()

    return build
