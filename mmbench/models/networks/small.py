"""Small networks for any modality: one or two hidden layers of 256 units, made to train in a minute on two cores."""

from torch import nn

from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks.base import NETWORKS, Coder, Encoder

__all__ = ["WIDTH", "small"]

WIDTH = 256


@NETWORKS.register("small")
def small(spec: ModalitySpec, arch: Architecture) -> Coder:
    """Two-layer perceptrons of 256 units on the flattened row, for images and vectors of any shape."""
    trunk = nn.Sequential(
        nn.Flatten(), nn.Linear(spec.size, WIDTH), nn.ReLU(inplace=True), nn.Linear(WIDTH, WIDTH), nn.ReLU(inplace=True)
    )
    decoder = nn.Sequential(
        nn.Linear(arch.latent_dim, WIDTH),
        nn.ReLU(inplace=True),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(inplace=True),
        nn.Linear(WIDTH, spec.size),
    )
    return Coder(Encoder(trunk, WIDTH, arch, floor=1e-4), decoder)
