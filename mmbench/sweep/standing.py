"""Where the runs of a plan stand, by the store: what is done, what ended badly, and what is left to do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmbench.config import RunSpec, content_hash
from mmbench.errors import DataError, DataMissing
from mmbench.results.records import RunRecord
from mmbench.results.store import Store
from mmbench.run.options import RunOptions
from mmbench.sweep.expansion import Entry
from mmbench.sweep.outcome import Ending, Outcome

__all__ = ["Standing", "State", "held_records", "standings"]

State = Ending | Literal["to do", "to score"]


@dataclass(frozen=True)
class Standing:
    """A run of a plan, and where it stands.

    Attributes:
        state: how it ended; `to do` where it is not there or goes on from a checkpoint; `to score` where it is trained
            and lacks metrics.
        run: the id of its record, where there is one.
        reason: one sentence, or the metrics that are missing; empty where there is nothing to say.
    """

    entry: Entry
    state: State
    run: str | None = None
    reason: str = ""

    @property
    def waits(self) -> bool:
        """Whether there is something to carry out."""
        return self.state in ("to do", "to score")

    def after(self, outcome: Outcome) -> "Standing":
        """Where the run stands after it was carried out."""
        return Standing(self.entry, outcome.status, outcome.run or self.run, outcome.error)


def held_records(store: str | Path, *, for_writing: bool = False) -> list[RunRecord]:
    """The current runs of a store, none where there is no store yet; without curves and arrays.

    Args:
        for_writing: bring an older store to the newest schema, as a run does.
    """
    from mmbench.results.location import locate

    path = locate(store).path
    if path is not None and not path.exists():
        return []
    with Store.open(store, create=False) if for_writing else Store.open_readonly(store) as opened:
        return opened.runs()


def standings(
    entries: Iterable[Entry], records: Sequence[RunRecord], options: RunOptions | None = None
) -> list[Standing]:
    """Where each entry stands, in order.

    A run is found by its fit key, which holds the digest of the data: of the data that is there, or, where it is not
    there, of any data that the runs of the store were trained on.

    Args:
        records: the current ones of a store.
        options: `data_root`; with `force` nothing counts as done, with `retry` what failed or diverged is to do.
    """
    options = options or RunOptions()
    current = {record.fit_key: record for record in records}
    digests = _Digests(records, options.data_root)
    return [_standing(entry, current, digests, options) for entry in entries]


def _standing(entry: Entry, current: Mapping[str, RunRecord], digests: "_Digests", options: RunOptions) -> Standing:
    from mmbench.run.specs import fit_key

    if entry.spec is None:
        return Standing(entry, "refused", reason=entry.refusal)
    keys = [fit_key(entry.spec, digest) for digest in digests.of(entry.spec)] if current else []
    held = next((current[key] for key in keys if key in current), None)
    if held is None or options.force or held.status in ("interrupted", "refused"):
        return Standing(entry, "to do")
    if held.status != "done":
        return Standing(entry, "to do") if options.retry else Standing(entry, held.status, held.id, held.error)
    if missing := _missing(entry.spec, held):
        return Standing(entry, "to score", held.id, ", ".join(missing))
    return Standing(entry, "done", held.id)


def _missing(spec: RunSpec, held: RunRecord) -> list[str]:
    """Metrics that the run was not asked for with these settings and has no score of, or one of another plug-in file.

    What was added later counts where it left a score: whoever carries the run out looks at it closely.
    """
    from mmbench.run.outside import outdated

    asked = held.spec["metrics"]
    added = {score.metric for score in held.scores} - set(asked)
    missing = [name for name, given in spec.metrics.items() if name not in added and asked.get(name) != given]
    return [name for name in spec.metrics if name in missing or outdated(name, held)]


class _Digests:
    """Digests of the data that specs are trained on, read once for each dataset and its settings."""

    def __init__(self, records: Sequence[RunRecord], root: Path | None) -> None:
        self._root = root
        self._known: dict[str, list[str]] = {}
        self._recorded: dict[str, list[str]] = {}
        for record in reversed(records):
            digest = str(record.provenance.get("data", {}).get("digest", ""))
            self._recorded.setdefault(record.spec["dataset"], []).append(digest)

    def of(self, spec: RunSpec) -> list[str]:
        key = content_hash([spec.dataset, spec.settings["data"]])
        if key not in self._known:
            self._known[key] = self._read(spec)
        return self._known[key]

    def _read(self, spec: RunSpec) -> list[str]:
        from mmbench.datasets.files import data_root
        from mmbench.run.building import build_dataset

        try:
            return [str(build_dataset(spec, data_root(self._root)).provenance()["digest"])]
        except (DataMissing, DataError):
            return list(dict.fromkeys(self._recorded.get(spec.dataset, [])))
