"""A flat latent cut into one slice a modality, in the order of the modalities' names.

The order in which a dataset declares its modalities does not matter: a slice belongs to a name, not to a position.
"""

from collections.abc import Iterable

from mmbench.errors import InvalidSetting

__all__ = ["divided"]


def divided(names: Iterable[str], dim: int, *, start: int = 0) -> dict[str, slice]:
    """Slices of the dimensions `start .. start + dim`, as equal as can be; the first in name order get what is left.

    Raises:
        InvalidSetting: fewer dimensions than modalities.

    >>> divided(["t", "s"], 5)
    {'s': slice(0, 3, None), 't': slice(3, 5, None)}
    """
    ordered = sorted(names)
    if dim < len(ordered):
        raise InvalidSetting(
            f"arch.latent_dim leaves {dim} dimensions for the slices of {len(ordered)} modalities; "
            f"raise it by at least {len(ordered) - dim}."
        )
    each, left = divmod(dim, len(ordered))
    edges = [start + i * each + min(i, left) for i in range(len(ordered) + 1)]
    return {name: slice(edges[i], edges[i + 1]) for i, name in enumerate(ordered)}
