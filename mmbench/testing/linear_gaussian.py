"""The closed-form oracle: a linear-Gaussian multimodal model whose every posterior and likelihood is known exactly.

    z ~ N(0, I_d),    x_m = W_m z + b_m + e,    e ~ N(0, s^2 I),

with W_m = Q_m D_m (orthonormal columns times a diagonal), so that the posterior of every subset is *diagonal*. Encoders
and decoders are linear modules with these weights, so that a model's own production code computes on the oracle.
Everything is float64. Source of the formulas: Bishop, Pattern Recognition and Machine Learning, 2006, section 2.3.3.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.networks import Coder
from mmbench.models.posteriors import Gaussian

__all__ = ["LinearDecoder", "LinearEncoder", "LinearGaussian", "LinearJointEncoder"]


class LinearEncoder(nn.Module):
    """Location A x + a and a constant scale."""

    def __init__(self, weight: Tensor, bias: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        self.log_scale = nn.Parameter(scale.log())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        location = x @ self.weight.T + self.bias
        return location, self.log_scale.exp().expand_as(location)


class LinearDecoder(nn.Module):
    """W z + b."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.weight.T + self.bias


@dataclass(frozen=True)
class LinearGaussian:
    """An oracle with the given modality sizes.

    Attributes:
        sizes: modality -> D_m, each at least `dim`.
        dim: d, the latent size.
        noise: s, the standard deviation of every modality's noise.
        seed: decides weights and offsets.
    """

    sizes: Mapping[str, int] = field(default_factory=lambda: {"s": 3, "t": 4})
    dim: int = 2
    noise: float = 0.7
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities, in order."""
        return tuple(self.sizes)

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        """The modalities as vectors."""
        return tuple(ModalitySpec(name, "vector", (size,)) for name, size in self.sizes.items())

    @property
    def arch(self) -> Architecture:
        """Architecture settings that give the oracle's likelihood."""
        return Architecture(latent_dim=self.dim, likelihood="normal", scale=self.noise)

    def _draw(self, name: str, shape: Sequence[int]) -> Tensor:
        key = 1000 * self.seed + 10 * self.names.index(name) + len(shape)
        return torch.randn(*shape, generator=torch.Generator().manual_seed(key), dtype=torch.float64)

    def weight(self, name: str) -> Tensor:
        """W_m `[D_m, d]`, with orthogonal columns."""
        orthonormal: Tensor = torch.linalg.qr(self._draw(name, (self.sizes[name], self.dim))).Q
        lengths = torch.linspace(0.6, 1.4, self.dim, dtype=torch.float64)
        return orthonormal * lengths.roll(self.names.index(name))

    def bias(self, name: str) -> Tensor:
        """b_m `[D_m]`."""
        return self._draw(name, (self.sizes[name],))

    def sample(self, rows: int, seed: int = 0) -> dict[str, Tensor]:
        """Rows of the joint distribution: modality -> `[rows, D_m]`."""
        source = torch.Generator().manual_seed(seed)
        z = torch.randn(rows, self.dim, generator=source, dtype=torch.float64)
        return {
            m: z @ self.weight(m).T
            + self.bias(m)
            + self.noise * torch.randn(rows, self.sizes[m], generator=source, dtype=torch.float64)
            for m in self.names
        }

    def expert(self, name: str, x: Tensor) -> Gaussian:
        """The likelihood p(x_m|z) as a Gaussian in z: precision D_m^2 / s^2, no prior."""
        weight = self.weight(name)
        precision = weight.square().sum(0) / self.noise**2
        location = ((x - self.bias(name)) @ weight) / self.noise**2 / precision
        return Gaussian(location, precision.rsqrt().expand_as(location))

    def update(self, prior: Gaussian, values: Mapping[str, Tensor]) -> Gaussian:
        """The exact posterior of z under `prior` given the values."""
        precision = prior.scale**-2
        shift = precision * prior.location
        for name, x in values.items():
            expert = self.expert(name, x)
            precision = precision + expert.scale**-2
            shift = shift + expert.location * expert.scale**-2
        return Gaussian(shift / precision, precision.rsqrt())

    def standard(self, rows: int) -> Gaussian:
        """N(0, I) for `rows` rows."""
        zeros = torch.zeros(rows, self.dim, dtype=torch.float64)
        return Gaussian(zeros, torch.ones_like(zeros))

    def posterior(self, values: Mapping[str, Tensor]) -> Gaussian:
        """p(z | x_S), exact."""
        return self.update(self.standard(len(next(iter(values.values())))), values)

    def evidence(self, prior: Gaussian, values: Mapping[str, Tensor]) -> Tensor:
        """log of the integral of prior(z) prod_m p(x_m|z), exact, `[B]`: log p(x_S) for the standard prior."""
        weight = torch.cat([self.weight(m) for m in values])
        centred = torch.cat([x - self.bias(m) for m, x in values.items()], -1) - prior.location @ weight.T
        noise = self.noise**2 * torch.eye(len(weight), dtype=torch.float64)
        covariance = noise + (weight * prior.scale.square().unsqueeze(1)) @ weight.T
        whitened: Tensor = torch.linalg.solve(covariance, centred.unsqueeze(-1)).squeeze(-1)
        log_det: Tensor = torch.linalg.slogdet(covariance).logabsdet
        return -0.5 * ((centred * whitened).sum(-1) + log_det + len(weight) * math.log(2 * math.pi))

    def log_marginal(self, values: Mapping[str, Tensor]) -> Tensor:
        """log p(x_S), exact, `[B]`."""
        return self.evidence(self.standard(len(next(iter(values.values())))), values)

    def expected_log_likelihood(self, name: str, x: Tensor, q: Gaussian) -> Tensor:
        """E_q[log p(x_m|z)], exact, `[B]`."""
        weight = self.weight(name)
        error = (x - self.bias(name) - q.location @ weight.T).square().sum(-1)
        spread = (weight.square().sum(0) * q.scale.square()).sum(-1)
        constant = self.sizes[name] * math.log(2 * math.pi * self.noise**2)
        return -0.5 * (constant + (error + spread) / self.noise**2)

    def coder(self, name: str, *, encoder: str = "posterior") -> Coder:
        """Networks of a modality: `posterior` encodes p(z|x_m), `expert` the likelihood alone, `rough` neither."""
        weight, bias = self.weight(name), self.bias(name)
        lengths = weight.square().sum(0) / self.noise**2
        precision = {"posterior": lengths + 1, "expert": lengths, "rough": 0.6 * lengths + 0.4}[encoder]
        linear = weight.T / self.noise**2 / precision.unsqueeze(-1)
        offset = -linear @ bias + (0.3 if encoder == "rough" else 0.0)
        return Coder(LinearEncoder(linear, offset, precision.rsqrt()), LinearDecoder(weight, bias))

    def coders(self, *, encoder: str = "posterior") -> dict[str, Coder]:
        """`coder` of every modality."""
        return {name: self.coder(name, encoder=encoder) for name in self.names}


class LinearJointEncoder(nn.Module):
    """p(z|X) of an oracle, or a `rough` one with another precision and an offset; zeros for missing inputs.

    Its `blocks` W_m^T / s^2 / P `[d, D_m]`, with P = 1 + sum_m D_m^2 / s^2, act on the inputs one beside the other.
    """

    def __init__(self, oracle: LinearGaussian, *, rough: bool = False) -> None:
        super().__init__()
        self.sizes = dict(oracle.sizes)
        lengths = torch.stack([oracle.weight(name).square().sum(0) for name in oracle.names])
        precision = 1 + lengths.sum(0) / oracle.noise**2
        precision = 0.6 * precision + 0.5 if rough else precision
        self.blocks = {m: oracle.weight(m).T / oracle.noise**2 / precision.unsqueeze(-1) for m in oracle.names}
        weight = torch.cat(list(self.blocks.values()), -1)
        offset = -weight @ torch.cat([oracle.bias(name) for name in oracle.names]) + (0.2 if rough else 0.0)
        self.linear = LinearEncoder(weight, offset, precision.rsqrt())

    def forward(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Location and scale `[B, d]` of rows that share one pattern."""
        like = next(iter(values.values()))
        parts = [values.get(name, like.new_zeros(len(like), size)) for name, size in self.sizes.items()]
        found: tuple[Tensor, Tensor] = self.linear(torch.cat(parts, -1))
        return found
