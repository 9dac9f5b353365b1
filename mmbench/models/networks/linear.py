"""Linear networks for any modality: the exact ones where the data are linear-Gaussian.

There the exact posterior mean is linear in x, its covariance is the same for every x (see the dataset
`linear-gaussian`), and the decoder's mean is linear in z. Tokens are a linear map of their one-hot form.
"""

from torch import nn

from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks.base import NETWORKS, Coder, Encoder
from mmbench.models.networks.tokens import TokenEmbedding, vocabulary_of

__all__ = ["linear"]

TOKEN_WIDTH = 32


@NETWORKS.register("linear")
def linear(spec: ModalitySpec, arch: Architecture) -> Coder:
    """Location and raw scale of z, and the raw outputs of x, as affine maps of the flattened row and of z."""
    if spec.kind == "tokens":
        trunk = nn.Sequential(TokenEmbedding(spec, TOKEN_WIDTH), nn.Flatten())
        decoder = nn.Linear(arch.latent_dim, spec.size * vocabulary_of(spec))
        return Coder(Encoder(trunk, spec.size * TOKEN_WIDTH, arch, floor=1e-4), decoder)
    return Coder(Encoder(nn.Flatten(), spec.size, arch, floor=1e-4), nn.Linear(arch.latent_dim, spec.size))
