"""The linear-Gaussian oracle with private latents: x_m = U_m z + V_m w_m + b_m + e, all Gaussian, all known exactly.

    z ~ N(0, I),  w_m ~ N(0, I),  e ~ N(0, s^2 I),  and [U_m V_m] has orthogonal columns,

so that p(z, w_m | x_m) is diagonal: modality by modality this is `LinearGaussian` over [z | w_m], whose encoders and
decoders it takes. The posterior of z given several modalities is diagonal too, but that of w_m given them is not
independent of z. Everything is float64.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks import Coder
from mmbench.testing.linear_gaussian import LinearGaussian

__all__ = ["PrivateLinearGaussian"]


@dataclass(frozen=True)
class PrivateLinearGaussian:
    """An oracle with the given modality sizes, each at least `shared + private`.

    Attributes:
        sizes: modality -> D_m.
        shared, private: dimensions of z and of each w_m.
        noise: s, the standard deviation of every modality's noise.
        seed: decides weights and offsets.
    """

    sizes: Mapping[str, int] = field(default_factory=lambda: {"s": 3, "t": 4})
    shared: int = 2
    private: int = 1
    noise: float = 0.7
    seed: int = 0

    @property
    def each(self) -> LinearGaussian:
        """The oracle over [z | w_m] that every modality is by itself."""
        return LinearGaussian(self.sizes, self.shared + self.private, self.noise, self.seed)

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities, in order."""
        return self.each.names

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        """The modalities as vectors."""
        return self.each.modalities

    @property
    def arch(self) -> Architecture:
        """Architecture settings that give the oracle's likelihood: the latent is [z | w_1 .. w_M]."""
        dim = self.shared + self.private * len(self.sizes)
        return Architecture(latent_dim=dim, likelihood="normal", scale=self.noise)

    def coders(self, *, encoder: str = "posterior") -> dict[str, Coder]:
        """As `LinearGaussian.coders`: encoders of [z | w_m] given x_m alone, and decoders from there."""
        return self.each.coders(encoder=encoder)

    def sample(self, rows: int, seed: int = 0) -> dict[str, Tensor]:
        """Rows of the joint distribution: modality -> `[rows, D_m]`."""
        source = torch.Generator().manual_seed(seed)

        def normal(size: int) -> Tensor:
            return torch.randn(rows, size, generator=source, dtype=torch.float64)

        z = normal(self.shared)
        return {
            m: torch.cat([z, normal(self.private)], -1) @ self.each.weight(m).T
            + self.each.bias(m)
            + self.noise * normal(self.sizes[m])
            for m in self.names
        }

    def log_marginal(self, values: Mapping[str, Tensor]) -> Tensor:
        """log p(x_S), exact, `[B]`: the private parts add V_m V_m^T to the covariance of x_m alone."""
        weights = {m: self.each.weight(m) for m in values}
        shared = torch.cat([w[:, : self.shared] for w in weights.values()])
        own = torch.block_diag(*(w[:, self.shared :] @ w[:, self.shared :].T for w in weights.values()))
        covariance = shared @ shared.T + own + self.noise**2 * torch.eye(len(shared), dtype=torch.float64)
        centred = torch.cat([x - self.each.bias(m) for m, x in values.items()], -1)
        whitened: Tensor = torch.linalg.solve(covariance, centred.unsqueeze(-1)).squeeze(-1)
        log_det: Tensor = torch.linalg.slogdet(covariance).logabsdet
        return -0.5 * ((centred * whitened).sum(-1) + log_det + len(shared) * math.log(2 * math.pi))
