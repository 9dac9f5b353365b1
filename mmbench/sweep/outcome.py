"""One run of many: whatever becomes of it is an outcome, so that the others go on."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmbench.config import RunSpec
from mmbench.errors import CheckpointError, MMBenchError, StorageFull, StoreError
from mmbench.run.options import RunOptions

__all__ = ["Ending", "Outcome", "carried"]

log = logging.getLogger(__name__)

Ending = Literal["done", "diverged", "failed", "interrupted", "refused", "killed"]


@dataclass(frozen=True)
class Outcome:
    """What became of a spec.

    Attributes:
        status: as the run was recorded; `refused` where bad input kept it from starting, of which there is no record;
            `killed` where its process ended without a word, of which there is none either.
        run: the id of its record; None where there is none.
        error: one sentence; empty where the run is done.
    """

    spec: RunSpec
    status: Ending
    run: str | None = None
    error: str = ""


def carried(spec: RunSpec, store: str | Path, options: RunOptions) -> Outcome:
    """Carry out one run in this process.

    Args:
        store: where the store is; it is opened, and made where there is none, once device and data are found.
    """
    from mmbench.results.store import Store
    from mmbench.run import run

    try:
        with ExitStack() as opened:
            record = run(spec, lambda: opened.enter_context(Store.open(store, create=True)), options)
    except KeyboardInterrupt:
        return Outcome(spec, "interrupted", _recorded(spec, store), "interrupted; the same command goes on.")
    except (CheckpointError, StorageFull) as error:
        return Outcome(spec, "failed", _recorded(spec, store), str(error))
    except MMBenchError as error:
        found = _recorded(spec, store)
        return Outcome(spec, "failed" if found else "refused", found, str(error))
    except Exception as error:  # the run is recorded as failed; the traceback is for the log, the others go on
        log.exception("a run failed")
        return Outcome(spec, "failed", _recorded(spec, store), f"{type(error).__name__}: {error}".splitlines()[0])
    return Outcome(spec, record.status, record.id, record.error)


def _recorded(spec: RunSpec, store: str | Path) -> str | None:
    """The id under which a run that raised was recorded, if it was."""
    from mmbench.results.store import Store

    try:
        with Store.open_readonly(store) as opened:
            same = [record.id for record in opened.runs() if record.spec == spec.to_dict()]
    except StoreError:
        return None
    return same[-1] if same else None
