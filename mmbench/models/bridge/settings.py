"""The settings of a model of multivae: one for each field of its configuration, with its type and its default.

Left out are the fields that mmbench decides: the number, names and shapes of the modalities, the latent size (from
`arch.latent_dim`), likelihoods and their scales (`arch.likelihood`, `arch.scale`), weights (`arch.rescale`), and what
multivae notes down for its own files. A field that maps modalities to numbers is a list here, of `modality=number`, or
of one number for all; a field of sets of modalities is a list of `a+b`.

A warm-up counted in epochs needs to know how many there are. A model sees the share of the training that is done, so
`epochs` says how many that is read as.
"""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmbench.config import setting
from mmbench.errors import InvalidSetting, UnknownName

__all__ = ["DECIDED", "by_modality", "epoch_of", "fields_of", "mapping_fields", "sets_of", "settings_class", "warms_up"]

DECIDED = (
    "name",
    "n_modalities",
    "latent_dim",
    "input_dims",
    "uses_likelihood_rescaling",
    "rescale_factors",
    "decoders_dist",
    "decoder_dist_params",
    "custom_architectures",
)
"""Fields that mmbench fills in."""

PLAIN = (bool, int, float, str)


def fields_of(config: type) -> list[Any]:
    """The fields of a configuration that are settings."""
    return [field for field in dataclasses.fields(config) if field.name not in DECIDED]


def settings_class(name: str, config: type) -> type:
    """A frozen dataclass of a configuration's fields, for `--set model.<field>=<value>`.

    Raises:
        InvalidSetting: a field of a type that no setting has.
    """
    parts = [_part(field, config.__name__) for field in fields_of(config)]
    if warms_up(config):
        about = "Epochs that the training is read as, where multivae counts them (its own default is 100)."
        parts.append(("epochs", int, setting(100, low=1, help=about)))
    made = dataclasses.make_dataclass(f"{name}Settings", parts, frozen=True)
    made.__doc__ = f"The fields of multivae's `{config.__name__}` that mmbench leaves open."
    return made


def warms_up(config: type) -> bool:
    """Whether a part of the training is counted in epochs."""
    return "warmup" in {field.name for field in dataclasses.fields(config)}


def epoch_of(progress: float, epochs: int) -> tuple[int, float]:
    """Multivae's epoch, counted from 1, and the share of it that is done, when `progress` of `epochs` are.

    >>> epoch_of(0.0, 4), epoch_of(0.375, 4), epoch_of(1.0, 4)
    ((1, 0.0), (2, 0.5), (4, 1.0))
    """
    done = progress * epochs
    before = min(int(done), epochs - 1)
    return before + 1, done - before


def by_modality(entries: Sequence[str] | None, names: Iterable[str], *, of: type, where: str) -> dict[str, Any] | None:
    """What `modality=number` entries, or one number for all, say of each modality; None where nothing is said.

    >>> by_modality(["t=1", "s=2.5"], ["s", "t"], of=float, where="model.gammas")
    {'s': 2.5, 't': 1.0}
    >>> by_modality(["3"], ["s", "t"], of=int, where="model.dims")
    {'s': 3, 't': 3}

    Raises:
        UnknownName, InvalidSetting: a modality that is none, a number that is none, or a modality left out.
    """
    if entries is None:
        return None
    ordered = sorted(names)
    if len(entries) == 1 and "=" not in entries[0]:
        return dict.fromkeys(ordered, _number(entries[0], of, where))
    given = dict(entry.partition("=")[::2] for entry in entries)
    for name in given:
        if name not in ordered:
            raise UnknownName(f"modality in {where}", name, ordered)
    if missing := [name for name in ordered if name not in given]:
        raise InvalidSetting(
            f"{where} says nothing of {missing[0]!r}; name every modality, or give one number for all."
        )
    return {name: _number(given[name], of, where) for name in ordered}


def sets_of(entries: Sequence[str] | None, names: Iterable[str], *, where: str) -> list[list[str]] | None:
    """Sets of modalities, each written `a+b`.

    Raises:
        UnknownName: a modality that is none.
    """
    if entries is None:
        return None
    known = sorted(names)
    found = [sorted(entry.split("+")) for entry in entries]
    for name in (name for some in found for name in some):
        if name not in known:
            raise UnknownName(f"modality in {where}", name, known)
    return found


def _part(field: Any, config: str) -> tuple[str, Any, Any]:
    """Name, type and default of one setting."""
    about = f"Field `{field.name}` of multivae's {config}"
    kinds = [kind for kind in _alternatives(field.type) if kind is not type(None)]
    default = None if field.default is dataclasses.MISSING else field.default
    plain = kinds[0] if len(kinds) == 1 else None
    if typing.get_origin(plain) is typing.Literal:
        return field.name, str, setting(default, choices=typing.get_args(plain), help=f"{about}.")
    if plain in PLAIN and default is not None:
        kind: Any = plain
        return field.name, kind, setting(kind(default), help=f"{about}.")
    if plain in PLAIN:
        return field.name, typing.cast(Any, plain) | None, setting(None, help=f"{about}; none: decided by mmbench.")
    origins = {typing.get_origin(kind) or kind for kind in kinds}
    if field.name == "subsets":
        return field.name, tuple[str, ...] | None, setting(None, help=f"{about}: sets of modalities, each as a+b.")
    if origins == {list}:
        return field.name, tuple[str, ...] | None, setting(None, help=f"{about}: modalities.")
    if origins == {dict}:
        words = f"{about}: modality=number of every one, or one number for all."
        return field.name, tuple[str, ...] | None, setting(None, help=words)
    raise InvalidSetting(f"field {field.name!r} of multivae's {config} is of {field.type}, which no setting can hold.")


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _number(text: str, of: type, where: str) -> Any:
    try:
        return of(text)
    except ValueError:
        raise InvalidSetting(f"{where} must hold numbers ({of.__name__}), got {text!r}.") from None


def mapping_fields(config: type) -> Mapping[str, type]:
    """The fields that map modalities to numbers -> the kind of number."""
    found: dict[str, type] = {}
    for field in fields_of(config):
        kinds = [kind for kind in _alternatives(field.type) if kind is not type(None)]
        if {typing.get_origin(kind) or kind for kind in kinds} == {dict}:
            found[field.name] = int if field.name.endswith("dim") else float
    return found
