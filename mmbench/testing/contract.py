"""How a contract is written: functions that check one promise of one component, collected by a decorator.

`for_models`, `for_datasets`, `for_schemes` and `for_metrics` hold the promises of each kind. A test runs every check
over every registered component; a plug-in author runs them over one:

    import pytest
    from mmbench.testing import for_models

    @pytest.mark.parametrize("check", for_models.CHECKS, ids=lambda check: check.__name__)
    def test_my_model_keeps_the_contract(check):
        check(MyModel)

A check raises `Broken`, an `AssertionError`, where the promise is broken, and `NotApplicable` where it is none of the
component's.
"""

from collections.abc import Callable
from typing import TypeVar

__all__ = ["Broken", "NotApplicable", "collector", "promise"]

C = TypeVar("C", bound=Callable[..., None])


class Broken(AssertionError):
    """A component breaks its contract; the message says which promise and how."""


class NotApplicable(Exception):
    """A promise that this component does not make; the message says why."""


def collector() -> tuple[list[Callable[..., None]], Callable[[C], C]]:
    """A list of checks and the decorator that adds to it."""
    checks: list[Callable[..., None]] = []

    def add(check: C) -> C:
        checks.append(check)
        return check

    return checks, add


def promise(kept: object, sentence: str) -> None:
    """Raise `Broken` with the sentence unless `kept` is true."""
    if not kept:
        raise Broken(sentence)
