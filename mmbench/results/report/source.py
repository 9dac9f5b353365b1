"""What the report asks of a results store: three readings, so that any back-end, or a handful of records, will do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, final

from mmbench.results.records import ArrayRecord, Curve, RunRecord

__all__ = ["Records", "Source"]


class Source(Protocol):
    """The part of `mmbench.results.store.Store` that the report reads; it never writes."""

    def runs(self, *, include_superseded: bool = False) -> Sequence[RunRecord]:
        """The records with their scores, without curves and arrays."""

    def curves(self, run_id: str) -> Sequence[Curve]:
        """Training curves of one run."""

    def arrays(self, run_id: str, metric: str | None = None) -> Sequence[ArrayRecord]:
        """Arrays behind the figures of one run, of one metric or of all."""


@final
@dataclass(frozen=True)
class Records:
    """Whole records as a source."""

    held: Sequence[RunRecord]

    def runs(self, *, include_superseded: bool = False) -> Sequence[RunRecord]:
        return [run for run in self.held if include_superseded or not run.superseded]

    def curves(self, run_id: str) -> Sequence[Curve]:
        return [curve for run in self.held if run.id == run_id for curve in run.curves]

    def arrays(self, run_id: str, metric: str | None = None) -> Sequence[ArrayRecord]:
        return [a for run in self.held if run.id == run_id for a in run.arrays if metric in (None, a.metric)]
