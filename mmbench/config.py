"""Strict settings: frozen dataclasses whose fields know their help text, range and choices, and the complete `RunSpec`.

An unknown key is an error that names the nearest known one; a value of the wrong type or outside its range is an error
that names the setting by its dotted name. A spec is content: its canonical JSON gives the keys of the store.
"""

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from mmbench.errors import InvalidSetting, UnknownName

__all__ = ["RunSpec", "as_dict", "canonical_json", "content_hash", "parse_settings", "setting"]

S = TypeVar("S")

SECTIONS = ("model", "arch", "data", "loader", "train")


def setting(
    default: Any,
    *,
    help: str,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field with a help text and, where they apply, bounds (`low <= x <= high`, `x > above`) or choices."""
    meta = {"help": help, "low": low, "high": high, "above": above, "choices": choices}
    return field(default=default, metadata=meta)


def parse_settings(cls: type[S], values: Mapping[str, Any], where: str, *, owner: str | None = None) -> S:
    """Build the settings dataclass `cls` from plain values (JSON types, or strings as typed on a command line).

    Args:
        where: dotted prefix for messages, e.g. `"train"`.
        owner: whose settings they are, where that says more than the prefix, e.g. `"dataset 'digits'"`.

    Raises:
        UnknownName: a key that `cls` has not.
        InvalidSetting: a value of the wrong type or outside its range.
    """
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    parsed = {}
    for name, value in values.items():
        if name not in fields:
            raise UnknownName(f"setting of {owner or repr(where)}", name, fields)
        dotted = f"{where}.{name}"
        parsed[name] = _checked(_converted(value, hints[name], dotted), fields[name].metadata, dotted)
    return cls(**parsed)


def as_dict(settings: Any) -> dict[str, Any]:
    """Plain JSON values of a settings dataclass (tuples become lists)."""
    return {f.name: _plain(getattr(settings, f.name)) for f in dataclasses.fields(settings)}


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)  # json.dumps would make one a call


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same content gives the same text."""
    return _ENCODER.encode(_plain(value))


def content_hash(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run, complete and resolved: no default is left to be filled in later.

    `settings` maps each section (`model`, `arch`, `data`, `loader`, `train`) to its plain values;
    `metrics` maps each metric to its plain values. Device, threads and paths are no part of it.
    """

    model: str
    preset: str
    dataset: str
    scheme: str
    f: float
    seed: int
    paired_only: bool
    settings: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        for name in ("settings", "metrics"):
            frozen = {k: MappingProxyType(dict(v)) for k, v in getattr(self, name).items()}
            object.__setattr__(self, name, MappingProxyType(frozen))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `RunSpec.from_dict` takes them back."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunSpec":
        """Read back what `to_dict` wrote; missing or unknown keys are errors."""
        names = {f.name for f in dataclasses.fields(cls)}
        for name in values:
            if name not in names:
                raise UnknownName("key of a run spec", name, names)
        if missing := sorted(names - set(values)):
            raise InvalidSetting(
                f"a run spec needs the key {missing[0]!r}; `mmbench run --dry-run` prints a whole one."
            )
        return cls(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float)):  # nearly always, and asking for a Mapping takes longer
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return value


def _converted(value: Any, hint: Any, dotted: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if type(None) in options and (value is None or value == "none"):
        return None
    kind = next(o for o in options if o is not type(None))
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise _wrong_type(dotted, "a list", value)
        return tuple(_converted(item, inner, dotted) for item in items)
    convert = {bool: _bool, int: _int, float: _float, str: _str}[kind]
    return convert(value, dotted)


def _bool(value: Any, dotted: str) -> bool:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if word in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        return word in ("true", "yes", "on", "1")
    raise _wrong_type(dotted, "true or false", value)


def _int(value: Any, dotted: str) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise _wrong_type(dotted, "a whole number", value) from None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _wrong_type(dotted, "a whole number", value)


def _float(value: Any, dotted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _wrong_type(dotted, "a number", value)
    try:
        number = float(value)
    except ValueError:
        raise _wrong_type(dotted, "a number", value) from None
    if not math.isfinite(number):
        raise _wrong_type(dotted, "a finite number", value)
    return number


def _str(value: Any, dotted: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(dotted, "a word", value)
    return value


def _wrong_type(dotted: str, expected: str, value: Any) -> InvalidSetting:
    return InvalidSetting(f"{dotted} must be {expected}, got {value!r}.")


def _checked(value: Any, meta: Mapping[str, Any], dotted: str) -> Any:
    choices = meta.get("choices")
    for item in value if isinstance(value, tuple) else (value,):
        if choices and item is not None and item not in choices:
            raise UnknownName(f"value of {dotted}", str(item), choices)
        if item is None or isinstance(item, (str, bool)):
            continue
        low, high, above = meta.get("low"), meta.get("high"), meta.get("above")
        if (low is not None and item < low) or (high is not None and item > high):
            raise InvalidSetting(f"{dotted} must lie in [{_side(low)}, {_side(high)}], got {item}.")
        if above is not None and item <= above:
            raise InvalidSetting(f"{dotted} must be greater than {above}, got {item}.")
    return value


def _side(bound: float | None) -> str:
    return "..." if bound is None else f"{bound:g}"
