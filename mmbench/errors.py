"""One tree of errors: every error that a user's input can cause is an `MMBenchError` with a one-sentence message.

The message says what was wrong, where, and what to do instead. The command line prints it and exits with code 2.
Children also inherit the closest built-in, so that library users may catch either.
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "CannotBear",
    "CheckpointError",
    "DataError",
    "DataMissing",
    "Diverged",
    "InvalidSetting",
    "MMBenchError",
    "StorageFull",
    "StoreError",
    "UnknownName",
]


class MMBenchError(Exception):
    """Base of all errors that mmbench raises on purpose."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class UnknownName(MMBenchError, KeyError):
    """A name that no registered component or setting has; lists the nearest and the known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = get_close_matches(name, self.known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
        listing = ", ".join(self.known) or "none"
        super().__init__(f"unknown {kind} {name!r}; {hint}Known: {listing}.")


class InvalidSetting(MMBenchError, ValueError):
    """A setting of the wrong type or outside its range."""


class CannotBear(MMBenchError, ValueError):
    """A model, dataset, scheme or metric was asked for what it cannot do; says why and what instead."""


class DataMissing(MMBenchError, FileNotFoundError):
    """Files of a dataset are not there; says how to get them."""


class DataError(MMBenchError, ValueError):
    """Files of a dataset are truncated, unreadable or contradict themselves."""


class StoreError(MMBenchError):
    """The results store is absent, not a database, read-only, locked, or of a newer schema."""


class StorageFull(StoreError, OSError):
    """The disk or the database's quota is full; what was stored before is intact."""


class CheckpointError(MMBenchError):
    """A checkpoint is torn, or belongs to another spec."""


class Diverged(MMBenchError, ArithmeticError):
    """A loss or one of its terms became NaN or infinite; names the step and the term."""

    def __init__(self, step: int, term: str, value: float) -> None:
        self.step, self.term, self.value = step, term, value
        super().__init__(f"training diverged at step {step}: {term} is {value}; try a smaller train.lr.")
