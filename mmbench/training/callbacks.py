"""What may watch a training: callbacks see numbers, never the model, and cannot change the course of it."""

from collections.abc import Sequence
from pathlib import Path

from mmbench.training.curves import TestTerms, TrainTerms

__all__ = ["Callback", "Callbacks"]


class Callback:
    """Hooks that do nothing; a callback overrides those it needs."""

    def started(self, step: int, total: int) -> None:
        """Training begins after `step` steps (0, or where the checkpoint stands) of `total`."""

    def stepped(self, step: int, rows: int) -> None:
        """Step `step` (from 1) is done; it took in `rows` rows."""

    def trained(self, terms: TrainTerms) -> None:
        """A window of training terms is closed."""

    def tested(self, terms: TestTerms) -> None:
        """Terms on held-out rows were measured."""

    def saved(self, path: Path) -> None:
        """A checkpoint was written."""

    def ended(self) -> None:
        """Training is over, by whatever cause."""


class Callbacks(Callback):
    """Several callbacks as one, called in order."""

    def __init__(self, members: Sequence[Callback]) -> None:
        self._members = tuple(members)

    def started(self, step: int, total: int) -> None:
        for member in self._members:
            member.started(step, total)

    def stepped(self, step: int, rows: int) -> None:
        for member in self._members:
            member.stepped(step, rows)

    def trained(self, terms: TrainTerms) -> None:
        for member in self._members:
            member.trained(terms)

    def tested(self, terms: TestTerms) -> None:
        for member in self._members:
            member.tested(terms)

    def saved(self, path: Path) -> None:
        for member in self._members:
            member.saved(path)

    def ended(self) -> None:
        for member in self._members:
            member.ended()
