"""What a store promises, over every database that it may live in.

PostgreSQL takes part where MMBENCH_TEST_POSTGRES names a database by its URL (`pytest -m postgres`).
"""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text

from mmbench.errors import InvalidSetting, StoreError, UnknownName
from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score
from mmbench.results.rows import score_key
from mmbench.results.store import Store

Make = Callable[..., RunRecord]
Same = Callable[[RunRecord, RunRecord], None]


@pytest.fixture(params=["file", "no-wal", "memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the store of a test lives."""
    path = tmp_path / "results.db"
    fixed = {
        "file": str(path),
        "no-wal": f"sqlite:///file:{path}?vfs=unix-dotfile&uri=true",  # has no shared memory, so no WAL
        "memory": ":memory:",
    }
    if request.param in fixed:
        yield fixed[request.param]
    else:
        yield from _postgres_schema()


def _postgres_schema() -> Iterator[str]:
    server = os.environ.get("MMBENCH_TEST_POSTGRES")
    if not server:
        pytest.skip("needs PostgreSQL: set MMBENCH_TEST_POSTGRES to the URL of a database")
    engine, schema = create_engine(server, isolation_level="AUTOCOMMIT"), f"test_{uuid.uuid4().hex}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        url = make_url(server).update_query_dict({"options": f"-csearch_path={schema}"})
        yield url.render_as_string(hide_password=False)
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with Store.open(place) as opened:
        yield opened


@pytest.fixture
def failing_arrays() -> Iterator[None]:
    """The database fails at the moment when arrays come in, after run, scores and curves."""

    def fail(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO arrays"):
            raise RuntimeError("injected")

    event.listen(Engine, "before_cursor_execute", fail)
    yield
    event.remove(Engine, "before_cursor_execute", fail)


class TestAdd:
    def test_a_record_comes_back_whole(self, store: Store, make_record: Make, same: Same) -> None:
        record = make_record()
        store.add(record)
        same(store.get(record.id), record)
        found = store.find(record.fit_key)
        assert found is not None
        same(found, record)

    def test_numpy_numbers_and_tuples_come_back_as_plain_values(self, store: Store, make_record: Make) -> None:
        record = make_record(timings={"steps": np.int64(3), "s": np.float32(0.5), "ok": np.bool_(True), "l": (1, 2)})
        store.add(record)
        assert store.get(record.id).timings == {"steps": 3, "s": 0.5, "ok": True, "l": [1, 2]}

    def test_a_moment_of_another_zone_stays_that_moment(self, store: Store, make_record: Make) -> None:
        moment = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        store.add(make_record(created=moment))
        assert store.runs()[0].created == moment
        assert store.runs()[0].created.tzinfo == UTC

    @pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", "int64", "bool", "<U5", ">f4"])
    def test_arrays_keep_dtype_and_shape(self, store: Store, make_record: Make, dtype: str) -> None:
        value = np.ones((2, 0, 3) if dtype == "int64" else (2, 3), dtype=dtype)
        store.add(make_record(arrays=(ArrayRecord("m", "a", value),)))
        (found,) = store.arrays("mvae-digits-s0-aaaa")
        assert (found.value.dtype, found.value.shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(found.value, value)

    def test_the_later_record_of_a_fit_key_supersedes_the_earlier(self, store: Store, make_record: Make) -> None:
        for run_id, fit_key in (("a", "k1"), ("b", "k2"), ("c", "k1")):
            store.add(make_record(run_id, fit_key))
        assert [run.id for run in store.runs()] == ["b", "c"]
        everything = store.runs(include_superseded=True)
        assert [(run.id, run.superseded) for run in everything] == [("a", True), ("b", False), ("c", False)]
        current = store.find("k1")
        assert current is not None
        assert current.id == "c"
        assert store.get("a").scores == current.scores

    def test_an_id_is_never_taken_twice(self, store: Store, make_record: Make, same: Same) -> None:
        store.add(make_record("a", "k1"))
        with pytest.raises(StoreError, match="a run with the id 'a' is in the store"):
            store.add(make_record("a", "k1", status="failed", scores=()))
        same(store.get("a"), make_record("a", "k1"))

    @pytest.mark.usefixtures("failing_arrays")
    def test_a_failure_in_the_middle_leaves_nothing(self, store: Store, make_record: Make) -> None:
        store.add(make_record("a", "k1", arrays=()))
        with pytest.raises(RuntimeError, match="injected"):
            store.add(make_record("b", "k1"))
        assert [(run.id, run.superseded) for run in store.runs(include_superseded=True)] == [("a", False)]
        with pytest.raises(UnknownName):
            store.curves("b")

    def test_runs_show_scores_and_leave_out_curves_and_arrays(self, store: Store, make_record: Make) -> None:
        store.add(make_record())
        (outline,) = store.runs()
        assert outline == replace(make_record(), curves=(), arrays=())
        assert [curve.name for curve in store.curves(outline.id)] == ["loss", "kl"]
        assert [array.metric for array in store.arrays(outline.id)] == ["samples", "relatedness"]
        assert [array.metric for array in store.arrays(outline.id, "relatedness")] == ["relatedness"]

    def test_there_is_nothing_in_a_new_store(self, store: Store) -> None:
        assert store.runs() == []
        assert store.find("k") is None


class TestRefusedValues:
    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"timings": {"a": {"b": float("nan")}}}, r"timings\.a\.b is nan"),
            ({"facts": {"a": [0.0, float("inf")]}}, r"facts\.a\.1 is inf"),
            ({"provenance": {"path": Path("x")}}, r"provenance\.path is a .*Path; the store keeps JSON"),
            ({"spec": {1: 2}}, r"spec has the key 1; keys must be text"),
            ({"scores": (Score("m", 1, "", "", float("nan")),)}, r"the value of score m .* is nan"),
            ({"scores": (Score("m", 1, "", "", 0.5, float("nan")),)}, r"the standard error of score m .* is nan"),
            ({"scores": (Score("m", 1, "", "", None),)}, "needs a value, or the status 'skipped'"),
            ({"scores": (Score("m", 1, "", "", 0.5),) * 2}, "2 scores of one record are the same"),
            (
                {"scores": (Score("m", 1, "", "", 0.5), Score("m", 1, "", "", 0.5, details={"ess": 2.0}))},
                "2 scores of one record are the same",
            ),
            (
                {"scores": (Score("m", 1, "", "", 0.5, details={"ess": float("nan")}),)},
                r"details of score m .*\.ess is nan",
            ),
            ({"arrays": (ArrayRecord("m", "a", np.array([None])),)}, "array of Python objects"),
            ({"arrays": (ArrayRecord("m", "a", np.zeros(1)),) * 2}, "2 arrays of one record are the same"),
            ({"curves": (Curve("c", np.arange(2), np.zeros(3)),)}, "2 steps and 3 values"),
            ({"curves": (Curve("c", np.zeros((2, 1)), np.zeros((2, 1))),)}, "must be a vector of numbers"),
            ({"created": datetime(2026, 1, 1)}, "created with a time zone"),
            ({"status": "perfect"}, "has the status 'perfect'"),
            ({"superseded": True}, "superseded=False"),
        ],
    )
    def test_are_named_and_nothing_is_stored(
        self, store: Store, make_record: Make, changes: dict[str, object], sentence: str
    ) -> None:
        with pytest.raises(InvalidSetting, match=sentence):
            store.add(make_record(**changes))
        assert store.runs(include_superseded=True) == []

    def test_in_results_leave_the_run_as_it_was(self, store: Store, make_record: Make, same: Same) -> None:
        store.add(make_record("a"))
        with pytest.raises(InvalidSetting, match="the value of score m"):
            store.add_results("a", [Score("n", 1, "", "", 1.0), Score("m", 1, "", "", float("inf"))])
        same(store.get("a"), make_record("a"))


class TestAddResults:
    def test_a_score_supersedes_the_one_of_its_key_only(self, store: Store, make_record: Make) -> None:
        old = [
            Score("c", 1, "a", "b", 0.1, 0.01, 10, "class", {"class": 3, "label": "true"}),
            Score("c", 1, "a", "b", 0.2, 0.01, 10, "class", {"class": 4, "label": "true"}),
            Score("c", 1, "b", "a", 0.3, 0.01, 10, "class", {"class": 3, "label": "true"}),
            Score("c", 1, "a", "b", 0.4, 0.01, 10, "micro", {"class": 3, "label": "true"}),
            Score("c", 2, "a", "b", 0.5, 0.01, 10, "class", {"class": 3, "label": "true"}),
        ]
        new = Score("c", 1, "a", "b", 0.9, None, 20, "class", {"label": "true", "class": 3}, note="again")
        store.add(make_record("x", "k1", scores=tuple(old)))
        store.add(make_record("y", "k2", scores=tuple(old)))
        store.add_results("x", [new])
        assert store.get("x").scores == (*old[1:], new)
        assert store.get("y").scores == tuple(old)

    def test_details_are_no_part_of_the_key(self, store: Store, make_record: Make) -> None:
        old = Score("c", 1, "a", "b", 0.1, 0.01, 10, "iwae-100", {"K": 100}, {"ess": 41.5, "digest": "9f"})
        again = replace(old, value=0.1000001, details={"ess": 41.6, "digest": "a0"})
        other = replace(old, params={"K": 10})
        assert score_key(old) == score_key(again) != score_key(other)
        store.add(make_record("x", scores=(old, other)))
        store.add_results("x", [again])
        assert store.get("x").scores == (other, again)

    def test_a_skip_gives_way_to_any_score_of_its_metric(self, store: Store, make_record: Make) -> None:
        skips = [Score("m", version, "", "", None, status="skipped", note="why") for version in (1, 2)]
        other = Score("other", 1, "", "", None, status="skipped", note="why")
        store.add(make_record("x", scores=(*skips, other)))
        new = Score("m", 1, "a", "b", 0.9, estimator="micro")
        store.add_results("x", [new])
        assert store.get("x").scores == (skips[1], other, new)

    def test_an_array_supersedes_the_one_of_its_name(self, store: Store, make_record: Make, same: Same) -> None:
        record = make_record("x")
        new = ArrayRecord("samples", "cross/handwritten|street", np.zeros(3, np.float32), {"k": 1})
        store.add(record)
        store.add_results("x", [], [new])
        same(store.get("x"), replace(record, arrays=(record.arrays[1], new)))

    @pytest.mark.usefixtures("failing_arrays")
    def test_all_are_added_or_none(self, store: Store, make_record: Make) -> None:
        record = make_record("x", arrays=())
        store.add(record)
        with pytest.raises(RuntimeError, match="injected"):
            store.add_results("x", [replace(record.scores[0], value=0.9)], [ArrayRecord("m", "a", np.zeros(1))])
        assert store.get("x").scores == record.scores

    def test_an_unknown_run_is_refused(self, store: Store, make_record: Make) -> None:
        store.add(make_record("mvae-1"))
        with pytest.raises(UnknownName, match=r"unknown run 'mvae'; .*Known: mvae-1"):
            store.add_results("mvae", [Score("m", 1, "", "", 1.0)])


class TestGet:
    @pytest.fixture(autouse=True)
    def _three_runs(self, store: Store, make_record: Make) -> None:
        for run_id, fit_key in (("mvae-1", "k1"), ("meme-1", "k2"), ("mvae-123", "k3"), ("meme-2", "k2")):
            store.add(make_record(run_id, fit_key))

    def test_an_id_goes_before_longer_ids_that_begin_with_it(self, store: Store) -> None:
        assert store.get("mvae-1").id == "mvae-1"

    def test_a_prefix_names_the_only_run_that_has_it(self, store: Store) -> None:
        assert store.get("mvae-12").id == "mvae-123"

    def test_a_prefix_prefers_the_current_run(self, store: Store) -> None:
        assert store.get("me").id == "meme-2"

    def test_a_superseded_run_is_found_by_its_id(self, store: Store) -> None:
        assert store.get("meme-1").superseded

    def test_latest_is_the_run_added_last(self, store: Store) -> None:
        assert store.get("latest").id == "meme-2"

    def test_a_prefix_of_several_is_refused_with_their_names(self, store: Store) -> None:
        with pytest.raises(InvalidSetting, match=r"run 'mv' may be any of mvae-1, mvae-123; give more of the id\."):
            store.get("mv")

    @pytest.mark.parametrize("name", ["mvea-1", "MVAE-1", "%", "mvae_1", ""])
    def test_an_unknown_name_lists_what_is_there(self, store: Store, name: str) -> None:
        with pytest.raises(UnknownName, match=r"Known: meme-1, meme-2, mvae-1, mvae-123\."):
            store.get(name)

    def test_of_many_runs_the_nearest_are_listed(self, store: Store, make_record: Make) -> None:
        for number in range(20):
            store.add(make_record(f"jnf-{number:02}", f"n{number}", scores=(), curves=(), arrays=()))
        with pytest.raises(UnknownName, match=r"unknown run \(of 24, the nearest 12 are listed\) 'mvea-1'") as caught:
            store.get("mvea-1")
        assert "mvae-1" in caught.value.known
        assert len(caught.value.known) == 12


def test_an_empty_store_has_no_latest_run(store: Store) -> None:
    with pytest.raises(UnknownName, match=r"unknown run 'latest'; Known: none\."):
        store.get("latest")


def test_two_stores_on_one_database_see_the_same(place: str, make_record: Make, same: Same) -> None:
    if place == ":memory:":
        pytest.skip("a database in memory belongs to one store")
    with Store.open(place) as one, Store.open(place) as two, Store.open_readonly(place) as reader:
        one.add(make_record("a", "k1"))
        two.add(make_record("b", "k1"))
        assert [run.id for run in one.runs()] == [run.id for run in reader.runs()] == ["b"]
        same(reader.get("a"), make_record("a", "k1", superseded=True))


def test_a_store_for_reading_refuses_to_be_written(place: str, make_record: Make) -> None:
    if place == ":memory:":
        pytest.skip("a database in memory cannot be opened twice")
    Store.open(place).close()
    with Store.open_readonly(place) as reader, pytest.raises(StoreError, match="open for reading only"):
        reader.add(make_record())
