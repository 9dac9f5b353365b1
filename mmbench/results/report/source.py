"""What the report asks of a results store: three readings, so that any back-end, or a handful of records, will do."""

from collections.abc import Sequence
from typing import Protocol

from mmbench.results.records import ArrayRecord, Curve, RunRecord

__all__ = ["Source"]


class Source(Protocol):
    """The part of `mmbench.results.store.Store` that the report reads; it never writes."""

    def runs(self, *, include_superseded: bool = False) -> Sequence[RunRecord]:
        """The records with their scores, without curves and arrays."""

    def curves(self, run_id: str) -> Sequence[Curve]:
        """Training curves of one run."""

    def arrays(self, run_id: str, metric: str | None = None) -> Sequence[ArrayRecord]:
        """Arrays behind the figures of one run, of one metric or of all."""
