"""Linear networks for any modality: the exact ones where the data are linear-Gaussian.

There the exact posterior mean is linear in x, its covariance is the same for every x (see the dataset
`linear-gaussian`), and the decoder's mean is linear in z.
"""

from torch import nn

from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks.base import NETWORKS, Coder, Encoder

__all__ = ["linear"]


@NETWORKS.register("linear")
def linear(spec: ModalitySpec, arch: Architecture) -> Coder:
    """Location and raw scale of z, and the raw outputs of x, as affine maps of the flattened row and of z."""
    return Coder(Encoder(nn.Flatten(), spec.size, arch, floor=1e-4), nn.Linear(arch.latent_dim, spec.size))
