"""A latent with a shared part and one private to each modality: [z | w_1 .. w_M], the private ones in name order.

Each modality's encoder gives both of its parts at once, [z | w_m], and its decoder reads both.
"""

from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmbench.errors import InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import Layout, MultimodalVAE
from mmbench.models.likelihoods import Likelihood
from mmbench.models.networks import Coder, build
from mmbench.models.slices import divided

__all__ = ["PrivateLatents", "coders_of", "layout_of", "own_part", "size_of"]


class PrivateLatents(MultimodalVAE, ABC):
    """A model whose latent is laid out so: its coders, its layout and its likelihoods.

    Its settings have `private`, the dimensions of each w_m (see `layout_of`).
    """

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: Any,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self._layout = layout_of(self.modalities, arch.latent_dim, model=self.name, private=settings.private)

    @classmethod
    def coders(cls, modalities: Sequence[ModalitySpec], settings: Any, arch: Architecture) -> dict[str, Coder]:
        """Encoders of each x_m to [z | w_m], and decoders from there."""
        names = [spec.name for spec in modalities]
        return coders_of(modalities, arch, layout_of(names, arch.latent_dim, model=cls.name, private=settings.private))

    @property
    def layout(self) -> Layout:
        return self._layout

    def likelihood(self, name: str, z: Tensor) -> Likelihood:
        """p(x_name | z, w_name) at the whole latent `[K, B, D]`."""
        return super().likelihood(name, own_part(self._layout, name, z))


def layout_of(names: Iterable[str], dim: int, *, model: str, private: int | None = None) -> Layout:
    """Half of the `dim` dimensions are shared (fewer where a w_m would get none), the rest private in equal parts.

    Args:
        model: its name, for messages.
        private: dimensions of each w_m in the place of equal parts; 0 for none.

    Raises:
        InvalidSetting: no dimension is left for the shared part, or for a private one.

    >>> layout_of(["t", "s"], 8, model="dmvae")
    Layout(shared=slice(0, 4, None), private={'s': slice(4, 6, None), 't': slice(6, 8, None)})
    >>> layout_of(["t", "s"], 8, model="dmvae", private=1)
    Layout(shared=slice(0, 6, None), private={'s': slice(6, 7, None), 't': slice(7, 8, None)})
    """
    ordered = sorted(names)
    least = 1 + len(ordered) * (1 if private is None else private)
    if dim < least:
        raise InvalidSetting(
            f"arch.latent_dim={dim} is too small for model {model!r} with {len(ordered)} modalities: the shared part "
            f"needs a dimension beside the private ones; use at least {least}."
        )
    shared = min(dim // 2, dim - len(ordered)) if private is None else dim - len(ordered) * private
    if private == 0:
        return Layout(slice(0, shared), {name: slice(shared, shared) for name in ordered})
    return Layout(slice(0, shared), divided(ordered, dim - shared, start=shared))


def coders_of(modalities: Sequence[ModalitySpec], arch: Architecture, layout: Layout) -> dict[str, Coder]:
    """Encoders of each x_m to [z | w_m], and decoders from there."""
    shared = size_of(layout.shared)
    return {
        spec.name: build(spec, replace(arch, latent_dim=shared + size_of(layout.private[spec.name])))
        for spec in modalities
    }


def own_part(layout: Layout, name: str, z: Tensor) -> Tensor:
    """[z | w_name] of `[..., D]`: what the decoder of modality `name` reads."""
    return torch.cat([z[..., layout.shared], z[..., layout.private[name]]], -1)


def size_of(part: slice) -> int:
    """How many dimensions a slice of a layout has."""
    size: int = part.stop - part.start
    return size
