"""Where runs stand by the store, and engines: only what waits is carried out."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mmbench.errors import StoreError
from mmbench.results.records import RunRecord, Score
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, fit_key, resolve
from mmbench.run.building import build_dataset
from mmbench.sweep.engines import Processes, Serial, engine_of, sweep
from mmbench.sweep.expansion import Entry
from mmbench.sweep.outcome import Outcome
from mmbench.sweep.standing import Standing, held_records, standings

ELSEWHERE = "a-digest-of-other-data"


def entry(seed=0, **given) -> Entry:
    request = Request(**{"model": "mvae", "seed": seed, "steps": 3, "metrics": ("samples",), **given})
    return Entry(request, resolve(request))


def record(of: Entry, status="done", *, digest=None, error="") -> RunRecord:
    digest = digest or build_dataset(of.spec, None).provenance()["digest"]
    return RunRecord(
        id=f"run-{of.spec.seed}", fit_key=fit_key(of.spec, digest), spec=of.spec.to_dict(), status=status, error=error,
        provenance={"data": {"digest": digest}}, facts={}, timings={}, created=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def state(of: Entry, *records: RunRecord, **options) -> tuple:
    (found,) = standings([of], records, RunOptions(**options))
    return found.state, found.run, found.reason


@pytest.mark.parametrize(
    ("status", "plain", "retried"),
    [
        ("done", "done", "done"),
        ("failed", "failed", "to do"),
        ("diverged", "diverged", "to do"),
        ("interrupted", "to do", "to do"),
    ],
)
def test_by_how_the_run_ended(status, plain, retried):
    held = record(entry(), status, error="why")
    assert state(entry(), held)[0] == plain
    assert state(entry(), held, retry=True)[0] == retried
    assert state(entry(), held, force=True)[0] == "to do"
    if plain == status != "done":
        assert state(entry(), held) == (status, "run-0", "why")


def test_another_run_counts_for_nothing():
    held = record(entry())
    for other in (entry(1), entry(steps=4), entry(model="meme"), entry(scheme="split", f=0.5)):
        assert state(other, held) == ("to do", None, "")
    assert state(entry()) == ("to do", None, "")


def test_the_preset_and_metrics_are_no_part_of_it():
    held = record(entry(model="meme", preset="released", metrics=("samples",)))
    sets = {"model.kl": "analytic", "model.own": "one", "model.reduction": "sum"}
    assert state(entry(model="meme", sets=sets, metrics=()), held)[0] == "done"


def test_metrics_that_are_missing_are_to_be_scored():
    held = record(entry())
    wanted = entry(metrics=("samples", "latent_accuracy", "cross_coherence"))
    assert state(wanted, held) == ("to score", "run-0", "cross_coherence, latent_accuracy")
    added = replace(held, scores=(Score("latent_accuracy", 1, "", "", 0.5),))
    assert state(wanted, added) == ("to score", "run-0", "cross_coherence")
    other = entry(metrics=("cross_coherence",), sets={"metrics.cross_coherence.label": "predicted"})
    assert state(other, record(entry(metrics=("cross_coherence",))))[0] == "to score"


def test_a_run_on_other_data_is_another_run():
    assert state(entry(), record(entry(), digest=ELSEWHERE)) == ("to do", None, "")


def test_where_the_data_is_not_there_a_run_on_any_data_counts(monkeypatch, tmp_path):
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    there = entry(dataset="mnist-svhn")
    assert state(there, record(there, digest=ELSEWHERE)) == ("done", "run-0", "")
    assert state(there, record(entry(dataset="mnist-svhn", seed=1), digest=ELSEWHERE)) == ("to do", None, "")


def test_what_cannot_be_borne_is_refused():
    assert state(Entry(Request(), None, "it cannot."), record(entry())) == ("refused", None, "it cannot.")


def test_no_store_holds_nothing_and_is_not_made(tmp_path):
    assert held_records(tmp_path / "new" / "r.db") == held_records(tmp_path / "new" / "r.db", for_writing=True) == []
    assert not (tmp_path / "new").exists()
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(StoreError):
        held_records(tmp_path / "text.db")


def test_runs_that_were_superseded_are_not_held(tmp_path):
    with Store.open(tmp_path / "r.db") as store:
        store.add(record(entry(), "failed"))
        store.add(replace(record(entry()), id="again"))
    assert [held.id for held in held_records(tmp_path / "r.db")] == ["again"]


class Backwards:
    """An engine that is done at once, the last run first; a stand-in for one that sends runs elsewhere."""

    def carry_out(self, specs, store, options, told):
        outcomes = [Outcome(replace(spec), "done", f"new-{spec.seed}") for spec in specs]  # equal, not the same
        for outcome in reversed(outcomes):
            told(outcome)
        return outcomes


def test_only_what_waits_is_carried_out_and_all_are_told(tmp_path):
    before = [
        Standing(entry(0), "done", "old-0"),
        Standing(entry(1), "to do"),
        Standing(Entry(Request(), None, "no"), "refused", reason="no"),
        Standing(entry(2), "to score", "old-2", "samples"),
        Standing(entry(3), "failed", "old-3", "why"),
    ]
    told = []
    after = sweep(
        before, Backwards(), tmp_path / "r.db", RunOptions(), lambda run, outcome: told.append((run, outcome.run))
    )
    assert [(each.state, each.run, each.reason) for each in after] == [
        ("done", "old-0", ""), ("done", "new-1", ""), ("refused", None, "no"), ("done", "new-2", ""),
        ("failed", "old-3", "why"),
    ]  # fmt: skip
    assert told == [(before[3], "new-2"), (before[1], "new-1")]


def test_engines_of_this_machine():
    assert engine_of(1) == Serial()
    assert engine_of(3) == Processes(3)
