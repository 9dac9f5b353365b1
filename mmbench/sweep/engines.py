"""How the runs of a sweep are carried out: one interface, behind which they may run one by one, or several at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

from mmbench.config import RunSpec, content_hash
from mmbench.run.options import RunOptions
from mmbench.sweep.outcome import Outcome
from mmbench.sweep.processes import carry_out
from mmbench.sweep.standing import Standing

__all__ = ["Engine", "Processes", "Serial", "engine_of", "sweep"]


class Engine(Protocol):
    """Carries out runs; what one comes to does not stop the others."""

    def carry_out(
        self, specs: Sequence[RunSpec], store: str | Path, options: RunOptions, told: Callable[[Outcome], None]
    ) -> list[Outcome]:
        """The outcomes, in the order of the specs.

        Args:
            store: where the store is: a path or a database URL.
            options: of every run.
            told: is called with each outcome as it comes, in this thread.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM, after what was running was saved and recorded as interrupted.
        """


@final
@dataclass(frozen=True)
class Serial:
    """One after the other, in this process."""

    def carry_out(
        self, specs: Sequence[RunSpec], store: str | Path, options: RunOptions, told: Callable[[Outcome], None]
    ) -> list[Outcome]:
        return carry_out(specs, store, options, jobs=1, told=told)


@final
@dataclass(frozen=True)
class Processes:
    """`jobs` at once on this machine, each in a process of its own."""

    jobs: int

    def carry_out(
        self, specs: Sequence[RunSpec], store: str | Path, options: RunOptions, told: Callable[[Outcome], None]
    ) -> list[Outcome]:
        return carry_out(specs, store, options, jobs=self.jobs, told=told)


def engine_of(jobs: int) -> Engine:
    """The engine for so many runs at once on this machine."""
    return Serial() if jobs == 1 else Processes(jobs)


def sweep(
    standings: Sequence[Standing],
    engine: Engine,
    store: str | Path,
    options: RunOptions,
    told: Callable[[Standing, Outcome], None],
) -> list[Standing]:
    """Carry out what waits; returns where all of them stand afterwards, in order.

    Args:
        told: is called with where a run stood, and what it came to, as it ends.

    Raises:
        KeyboardInterrupt: as the engine does.
    """
    specs = [each.entry.spec for each in standings if each.waits and each.entry.spec is not None]
    before = {_key(each.entry.spec): each for each in standings if each.entry.spec is not None}
    done = engine.carry_out(specs, store, options, lambda outcome: told(before[_key(outcome.spec)], outcome))
    outcomes = iter(done)
    return [each.after(next(outcomes)) if each.waits else each for each in standings]


def _key(spec: RunSpec) -> str:
    return content_hash(spec.to_dict())
