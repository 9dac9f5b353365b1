"""The contract of one component, checked without pytest: each promise with what became of it.

A promise that raises anything but `Broken` or `NotApplicable` is broken too: whoever wrote the component wants to see
where.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmbench.datasets import DATASETS, SCHEMES
from mmbench.errors import InvalidSetting, UnknownName
from mmbench.metrics.base import METRICS
from mmbench.models import MODELS
from mmbench.registry import Registry
from mmbench.testing import for_datasets, for_metrics, for_models, for_schemes
from mmbench.testing.contract import Broken, NotApplicable

__all__ = ["KINDS", "Verdict", "kind_of", "verdicts"]

Check = Callable[[Any], None]

KINDS: Mapping[str, tuple[Registry[Any], Sequence[Check]]] = {
    "model": (MODELS, for_models.CHECKS),
    "dataset": (DATASETS, for_datasets.CHECKS),
    "scheme": (SCHEMES, for_schemes.CHECKS),
    "metric": (METRICS, for_metrics.CHECKS),
}


@dataclass(frozen=True)
class Verdict:
    """What became of one promise; `reason` is why it is broken, or why it is none of the component's."""

    promise: str
    state: Literal["kept", "broken", "left out"]
    reason: str = ""


def kind_of(name: str) -> str:
    """The kind of the component called `name`.

    Raises:
        UnknownName: there is none; names the nearest.
        InvalidSetting: there are several.
    """
    found = [kind for kind, (registry, _) in KINDS.items() if name in registry]
    if not found:
        raise UnknownName("component", name, [known for registry, _ in KINDS.values() for known in registry])
    if len(found) > 1:
        raise InvalidSetting(f"there are a {' and a '.join(found)} named {name!r}; say which with --kind.")
    return found[0]


def verdicts(kind: str, name: str) -> Iterator[Verdict]:
    """Every promise of the kind, one after the other.

    Raises:
        UnknownName, MMBenchError: the component is not there, or cannot be imported.
    """
    registry, checks = KINDS[kind]
    component = registry[name]
    yield _named(component, name)
    for check in checks:
        yield _verdict(check, component)


def _named(component: Any, name: str) -> Verdict:
    """What it calls itself, in scores and messages, is what others call it."""
    own = getattr(component, "template", None) or getattr(component, "name", None)
    told = f"it is registered as {name!r}, and calls itself {own!r}."
    return Verdict("its name is the one that it is registered under", *(("kept",) if own == name else ("broken", told)))


def _verdict(check: Check, component: Any) -> Verdict:
    promise = check.__name__.replace("_", " ")
    try:
        check(component)
    except NotApplicable as reason:
        return Verdict(promise, "left out", str(reason))
    except Broken as reason:
        return Verdict(promise, "broken", str(reason))
    except Exception as error:  # noqa: BLE001  # the component's own mistake, told with its place
        return Verdict(promise, "broken", f"{type(error).__name__}: {error} ({_place(error)})")
    return Verdict(promise, "kept")


def _place(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}, line {last.lineno}"
