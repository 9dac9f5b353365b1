"""mmbench's networks in the classes that multivae asks for.

An encoder here gives a location and a positive scale; one of multivae gives a location and a raw number, from which the
model makes the scale by the family of its posteriors. `raw` is the inverse of that, so that a scale passes unchanged
(but for multivae's 1e-6): the log variance; a softplus undone; or the logarithm, of which its softmax makes D times the
scale's share of the sum of all D scales. With `arch.posterior_scale=softmax` they sum to D already.

A decoder here gives raw outputs; one of multivae gives what its likelihood takes: an image's mean is the sigmoid of the
output, a vector's mean and the scores of tokens are the output itself.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from mmbench.modality import ModalitySpec
from mmbench.models.bridge.inputs import tokens_of
from mmbench.models.bridge.package import load
from mmbench.models.likelihoods import output_shape

__all__ = ["decoder", "encoder", "joint_encoder", "message", "multilatent_encoder", "plain_decoder", "raw"]


def raw(scale: Tensor, family: str) -> Tensor:
    """What multivae's families make `scale` of."""
    if family == "laplace_with_softmax":
        return scale.log()
    if family == "normal_with_softplus":
        return scale + (-torch.expm1(-scale)).log()
    return 2 * scale.log()


def encoder(network: nn.Module, dim: int, *, family: str = "normal", spec: ModalitySpec | None = None) -> Any:
    """An encoder to `dim` dimensions."""
    return _classes()["encoder"](network, dim, dim, family, spec)


def multilatent_encoder(network: nn.Module, shared: int, dim: int, *, family: str, spec: ModalitySpec) -> Any:
    """An encoder to [z | w_m], `dim` dimensions of which the first `shared` are z."""
    return _classes()["multilatent"](network, shared, dim, family, spec)


def message(network: nn.Module, dim: int) -> Any:
    """An encoder to `dim` numbers that have no scale."""
    return _classes()["message"](network, dim)


def joint_encoder(network: nn.Module, dim: int, modalities: Mapping[str, ModalitySpec]) -> Any:
    """An encoder of all modalities at once."""
    return _classes()["joint"](network, dim, modalities)


def decoder(network: nn.Module, dim: int, spec: ModalitySpec) -> Any:
    """A decoder of a modality from `dim` dimensions, under a likelihood that takes a mean, or scores of tokens."""
    return _classes()["decoder"](network, dim, output_shape(spec), spec.kind == "image")


def plain_decoder(network: nn.Module, dim: int, size: int) -> Any:
    """A decoder to `size` unbounded numbers."""
    return _classes()["decoder"](network, dim, (size,), False)


@cache
def _classes() -> dict[str, Any]:
    """The subclasses of multivae's bases, by role; made once the package is there.

    One long function, because the bases exist only after the package is imported, which is when it is called.
    """
    load()
    from multivae.models.nn import base_architectures as nets
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import base_architectures as bases

    class Coding(nn.Module):
        """Location and raw scale from one of our encoders."""

        def __init__(self, network: nn.Module, shared: int, dim: int, family: str, spec: ModalitySpec | None) -> None:
            super().__init__()
            self.network, self.latent_dim, self.style_dim = network, shared, dim - shared
            self.family, self.spec = family, spec

        def coded(self, x: Tensor) -> tuple[Tensor, Tensor]:
            location, scale = self.network(_as_ours(self.spec, x))
            return location, scale

    class Encoder(Coding, bases.BaseEncoder):  # type: ignore[misc]  # pythae has no types
        def forward(self, x: Tensor) -> Any:
            location, scale = self.coded(x)
            return ModelOutput(embedding=location, log_covariance=raw(scale, self.family))

    class Multilatent(Coding, nets.BaseMultilatentEncoder):  # type: ignore[misc]  # multivae has no types
        def forward(self, x: Tensor) -> Any:
            location, scale = self.coded(x)
            z, w = slice(0, self.latent_dim), slice(self.latent_dim, None)
            return ModelOutput(
                embedding=location[:, z],
                log_covariance=raw(scale[:, z], self.family),
                style_embedding=location[:, w],
                style_log_covariance=raw(scale[:, w], self.family),
            )

    class Message(bases.BaseEncoder):  # type: ignore[misc]  # pythae has no types
        def __init__(self, network: nn.Module, dim: int) -> None:
            super().__init__()
            self.network, self.latent_dim = network, dim

        def forward(self, x: Tensor) -> Any:
            return ModelOutput(embedding=self.network(x))

    class Joint(nets.BaseJointEncoder):  # type: ignore[misc]  # multivae has no types
        def __init__(self, network: nn.Module, dim: int, modalities: Mapping[str, ModalitySpec]) -> None:
            super().__init__()
            self.network, self.latent_dim, self.modalities = network, dim, dict(modalities)

        def forward(self, x: Mapping[str, Tensor]) -> Any:
            location, scale = self.network({name: _as_ours(self.modalities[name], value) for name, value in x.items()})
            return ModelOutput(embedding=location, log_covariance=raw(scale, "normal"))

    class Decoder(bases.BaseDecoder):  # type: ignore[misc]  # pythae has no types
        def __init__(self, network: nn.Module, dim: int, shape: tuple[int, ...], bounded: bool) -> None:
            super().__init__()
            self.network, self.latent_dim, self.shape, self.bounded = network, dim, shape, bounded

        def forward(self, z: Tensor) -> Any:
            flat = self.network(z.reshape(-1, z.shape[-1]))
            found = flat.reshape(*z.shape[:-1], *self.shape).contiguous()
            return ModelOutput(reconstruction=found.sigmoid() if self.bounded else found)

    return {
        "decoder": Decoder,
        "encoder": Encoder,
        "joint": Joint,
        "message": Message,
        "multilatent": Multilatent,
    }


def _as_ours(spec: ModalitySpec | None, x: Tensor) -> Tensor:
    """A modality's rows as our networks take them; latents (no spec) stay as they are."""
    return x if spec is None or spec.tokens is None else tokens_of(spec, x)
