"""The latents of multivae's models in one flat vector of `arch.latent_dim` dimensions.

A model with private latents has [z | w_1 .. w_M], the w_m in the order of the modalities' names, so that a comparison
with mmbench's own models is one of equal sizes: multivae's `latent_dim`, the size of z alone, is what the w_m leave.
Where `modalities_specific_dim` is not set, half of the dimensions are private, in equal parts.

Nexus has a latent above the latents of the modalities. The flat vector is that upper one; the lower ones, of
`modalities_specific_dim` or else `arch.latent_dim` dimensions each, are integrated out by sampling on the way in and
replaced by their mean on the way out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmbench.errors import InvalidSetting
from mmbench.models.base import Layout
from mmbench.models.bridge.kinds import Kind
from mmbench.models.bridge.settings import by_modality

__all__ = ["layout_of", "lower_sizes", "private_sizes"]

FIELD = "modalities_specific_dim"


def layout_of(kind: Kind, settings: Any, names: Sequence[str], dim: int) -> Layout:
    """Where the shared and the private latents stand.

    Raises:
        InvalidSetting: no dimension is left for a part.
    """
    sizes = private_sizes(kind, settings, names, dim)
    if sizes is None:
        return Layout()
    shared = dim - sum(sizes.values())
    if shared < 1 or min(sizes.values()) < 1:
        raise InvalidSetting(
            f"arch.latent_dim={dim} is too small for model 'multivae:{kind.name}' with private latents of "
            f"{', '.join(f'{n} dimensions ({name})' for name, n in sizes.items())}; z needs one beside them."
        )
    private, start = {}, shared
    for name, size in sizes.items():
        private[name] = slice(start, start + size)
        start += size
    return Layout(slice(0, shared), private)


def private_sizes(kind: Kind, settings: Any, names: Sequence[str], dim: int) -> dict[str, int] | None:
    """Dimensions of each w_m by name; None for a model without."""
    if kind.private == "none":
        return None
    ordered, asked = sorted(names), getattr(settings, FIELD)
    if isinstance(asked, int):
        return dict.fromkeys(ordered, asked)
    if asked is not None:
        return by_modality(asked, ordered, of=int, where=f"model.{FIELD}")
    return None if kind.private == "some" else dict.fromkeys(ordered, max(1, dim // 2 // len(ordered)))


def lower_sizes(settings: Any, names: Sequence[str], dim: int) -> Mapping[str, int]:
    """Dimensions of the lower latents of Nexus by name."""
    asked = by_modality(getattr(settings, FIELD), names, of=int, where=f"model.{FIELD}")
    return asked or dict.fromkeys(sorted(names), dim)
