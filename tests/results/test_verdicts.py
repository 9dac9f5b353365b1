"""Verdicts beside printed numbers: a run as the paper states it, and each way in which one may differ from it."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from mmbench.results.comparability import differences
from mmbench.results.published import PublishedScore, published_rows
from mmbench.results.published.counterparts import counterparts
from mmbench.results.records import RunRecord, Score
from mmbench.results.verdicts import ONE_SEED, Verdict, place, verdict

Make = Callable[..., RunRecord]
Finish = Callable[[dict[str, Any]], None]

STATED_SPEC = {
    "model": "meme",
    "preset": "common",
    "dataset": "mnist-svhn",
    "scheme": "complete",
    "f": 1.0,
    "seed": 0,
    "paired_only": False,
    "settings": {
        "model": {"direction": "both", "k": 10},
        "arch": {"networks": "paper", "likelihood": "laplace", "latent_dim": 20},
        "data": {"pairs": 1},
        "loader": {},
        "train": {
            "steps": None,
            "epochs": 100,
            "batch_size": 128,
            "optimizer": "adam",
            "lr": 5e-4,
            "beta1": 0.9,
            "beta2": 0.999,
            "amsgrad": False,
        },
    },
    "metrics": {},
}
COUNTS = {"train": {"mnist": 60000, "svhn": 73257}, "test": {"mnist": 10000, "svhn": 26032}}
ORIGIN = {"data": {"status": "published", "counts": COUNTS, "digest": "d"}, "rows": {"mnist+svhn": 56068}}
COHERENCE = Score("cross_coherence", 1, "mnist", "svhn", 0.625, 0.005, 10000, "micro", {"classifier": "standard"})


def _row(**wanted: Any) -> PublishedScore:
    wanted = {"table": "Table 3", "model": "meme", "scheme": "complete", "given": "mnist", **wanted}
    (found,) = [row for row in published_rows() if all(getattr(row, name) == value for name, value in wanted.items())]
    return found


@pytest.fixture
def run(make_record: Make) -> Callable[..., RunRecord]:
    """A run as the paper states it, changed by a function of its parts, with one score."""

    def make(value: float | None = 0.625, seed: int = 0, change: Finish | None = None, **score: Any) -> RunRecord:
        parts = deepcopy({"spec": STATED_SPEC, "provenance": ORIGIN, "timings": {"steps": 43_900}})
        parts["spec"]["seed"] = seed
        if change:
            change(parts)
        found = replace(COHERENCE, value=value, status="skipped" if value is None else "ok", **score)
        return make_record(f"r{seed}", f"k{seed}", scores=(found,), **parts)

    return make


def _set(path: str, value: Any) -> Finish:
    """A change of one leaf of the record: `spec.f`, or `spec.settings.train.lr`."""

    def change(parts: dict[str, Any]) -> None:
        *folders, leaf = path.split(".")
        for name in folders:
            parts = parts[name]
        if value is KeyError:
            del parts[leaf]
        else:
            parts[leaf] = value

    return change


class TestPlace:
    @pytest.mark.parametrize(
        ("values", "word", "mean"),
        [
            ((0.620, 0.628), "inside", 0.624),
            ((0.632,), "inside", 0.632),
            ((0.618,), "inside", 0.618),
            ((0.640, 0.626), "above", 0.633),
            ((0.6179, 0.6178), "below", 0.61785),
        ],
    )
    def test_our_mean_against_the_papers_interval(
        self, run: Callable[..., RunRecord], values: tuple[float, ...], word: str, mean: float
    ) -> None:
        """MEME, MNIST to SVHN, f = 1: .625 +- .007, ends included."""
        found = verdict(_row(), [run(value, seed) for seed, value in enumerate(values)])
        assert (found.verdict, found.reasons) == (word, ())
        assert found.ours.mean == pytest.approx(mean)
        assert (found.ours.n, found.published.mean, found.published.sd) == (len(values), 0.625, 0.007)

    def test_negative_numbers(self) -> None:
        assert [place(value, -0.002, 0.001) for value in (-0.0031, -0.003, -0.001, 0.0)] == [
            "below",
            "inside",
            "inside",
            "above",
        ]

    def test_our_spread_is_the_sample_one_and_one_seed_has_none(self, run: Callable[..., RunRecord]) -> None:
        two, one = verdict(_row(), [run(0.62, 0), run(0.63, 1)]), verdict(_row(), [run(0.62)])
        assert two.ours.sd == pytest.approx(0.01 / math.sqrt(2))
        assert (one.ours.sd, one.notes, two.notes) == (None, (ONE_SEED,), ())
        assert one.verdict == "inside"


class TestDifferences:
    @pytest.mark.parametrize(
        ("path", "value", "reason"),
        [
            ("spec.dataset", "digits", "another dataset: digits (the paper's: mnist-svhn)"),
            ("spec.f", 0.5, "another f: 0.5 (the paper's: 1.0)"),
            ("spec.settings.data.pairs", 13, "another pairing: data.pairs 13 (the released code's: 1)"),
            ("spec.settings.arch.networks", "small", "other networks: small (the paper's: paper, its Table 8)"),
            ("spec.settings.arch.networks", KeyError, "other networks: not recorded (the paper's: paper, its Table 8)"),
            ("spec.settings.arch.likelihood", "normal", "another likelihood: normal (the paper's: laplace)"),
            ("spec.settings.model.direction", "s->t", "another model.direction: s->t (the paper's: both)"),
            ("spec.settings.train.lr", 1e-3, "another optimiser: lr 0.001 (the paper's: 0.0005)"),
            (
                "timings.steps",
                2000,
                "fewer steps: 2,000 (the paper's 100 epochs over 56,068 pairs are 43,900 in batches of 128)",
            ),
            (
                "timings.steps",
                43_901,
                "more steps: 43,901 (the paper's 100 epochs over 56,068 pairs are 43,900 in batches of 128)",
            ),
            ("timings.steps", KeyError, "its number of steps is not recorded"),
            ("provenance.data.status", "unverified", "the data is not known to be the published one (unverified)"),
            ("provenance.data", {}, "the data is not known to be the published one (not recorded)"),
            (
                "provenance.data",
                {"status": "unverified", "counts": {**COUNTS, "train": {"mnist": 60000, "svhn": 4434}}},
                "a subset of the data (train: svhn 4,434 of 73,257)",
            ),
        ],
    )
    def test_each_alone_is_the_only_reason(
        self, run: Callable[..., RunRecord], path: str, value: Any, reason: str
    ) -> None:
        found = verdict(_row(), [run(0.625, 0), run(0.625, 1, _set(path, value))])
        assert (found.verdict, found.reasons) == ("not comparable", (reason,))

    def test_all_are_listed_each_once(self, run: Callable[..., RunRecord]) -> None:
        """The committed study on a subset of SVHN: preset `common`, two seeds."""

        def study(parts: dict[str, Any]) -> None:
            counts = {"train": {"mnist": 60000, "svhn": 4434}, "test": {"mnist": 10000, "svhn": 1000}}
            _set("provenance.data", {"status": "unverified", "counts": counts})(parts)
            _set("spec.settings.data.pairs", 13)(parts)
            _set("spec.settings.arch.networks", "released")(parts)
            _set("spec.settings.train.lr", 1e-3)(parts)
            _set("timings.steps", 2000)(parts)

        found = verdict(_row(), [run(0.4, 0, study), run(0.42, 1, study)])
        assert found.verdict == "not comparable"
        assert [reason.split(":")[0] for reason in found.reasons] == [
            "a subset of the data (train",
            "another pairing",
            "other networks",
            "another optimiser",
            "fewer steps",
        ]
        assert "train: svhn 4,434 of 73,257; test: svhn 1,000 of 26,032" in found.reasons[0]
        assert found.ours.mean == pytest.approx(0.41)

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"timings.steps": 60_000}, ""),
            ({"timings.steps": 43_899}, "fewer steps"),
            ({"timings.steps": 60_000, "spec.settings.train.epochs": 101}, "more steps"),
            ({"timings.steps": 60_000, "spec.paired_only": True}, "trained on the paired rows alone"),
        ],
    )
    def test_with_unpaired_rows_an_epoch_is_at_least_so_long(
        self, run: Callable[..., RunRecord], changes: dict[str, Any], word: str
    ) -> None:
        def change(parts: dict[str, Any]) -> None:
            for path, value in {"spec.scheme": "split", "spec.f": 0.5, **changes}.items():
                _set(path, value)(parts)

        found = verdict(_row(scheme="split", f=0.5), [run(0.625, change=change)])
        assert [reason.split(":")[0] for reason in found.reasons] == ([word] if word else [])

    def test_planned_steps_serve_where_none_were_counted(self, run: Callable[..., RunRecord]) -> None:
        def change(parts: dict[str, Any]) -> None:
            parts["timings"] = {}
            parts["spec"]["settings"]["train"] |= {"steps": 43_900, "epochs": None}

        assert verdict(_row(), [run(change=change)]).reasons == ()

    def test_another_judge(self, run: Callable[..., RunRecord]) -> None:
        (reason,) = verdict(_row(), [run(params={"classifier": "strong"})]).reasons
        assert reason == "another classifier: strong (the literature's: standard)"

    def test_another_estimator(self) -> None:
        parts = {"spec": STATED_SPEC, "provenance": ORIGIN, "timings": {"steps": 43_900}}
        assert differences(_row(), **parts, estimator="micro") == ()
        (reason,) = differences(_row(), **parts, estimator="macro")
        assert reason == "another estimator: macro (the paper's: micro)"

    def test_nothing_recorded_is_everything_different(self) -> None:
        found = differences(_row(), spec={"dataset": "mnist-svhn"}, provenance={}, timings={})
        assert len(found) == 10
        assert sum("not recorded" in reason or "None" in reason for reason in found) == 10

    def test_cub_has_epochs_but_no_counts_here(self) -> None:
        row = _row(table="Table 5", given="image")
        arch = {"networks": "paper", "likelihood": "laplace"}
        train = {**STATED_SPEC["settings"]["train"], "lr": 1e-4, "epochs": 300, "steps": None}
        spec = {**STATED_SPEC, "dataset": "cub", "settings": {"model": {"direction": "both"}, "arch": arch}}
        spec["settings"] = {**spec["settings"], "train": train, "data": {"features": "resnet101"}}
        data = {"data": {"status": "published"}}
        assert differences(row, spec=spec, provenance=data, timings={"steps": 10}) == ()
        train["epochs"] = 30
        (reason,) = differences(row, spec=spec, provenance=data, timings={"steps": 10})
        assert reason == "another budget: 10 steps (the paper's: 300 epochs)"

    def test_other_features_a_subset_and_another_cca_are_reasons(self) -> None:
        row = _row(table="Table 5", given="image")
        data = {"data": {"status": "unverified", "subset": "18 of 200 classes"}}
        spec = {"dataset": "cub", "settings": {"data": {"features": "pixels"}}}
        found = differences(row, spec=spec, provenance=data, timings={}, estimator="cca", params={"protocol": "small"})
        assert "another data.features: pixels (the paper's: resnet101)" in found
        assert "a subset of the data (18 of 200 classes)" in found
        assert found[-1] == "another protocol: small (the paper's: mmvae)"

    def test_real_pairs_hang_on_data_and_protocol_alone(self) -> None:
        row = _row(table="Table 5", model="ground-truth", scheme="", given="")
        spec = {"dataset": "cub", "model": "mvae", "f": 0.5, "settings": {"data": {"features": "resnet101"}}}
        published = {"data": {"status": "published"}}
        told = {"spec": spec, "timings": {}, "estimator": "ground-truth"}
        assert differences(row, **told, provenance=published, params={"protocol": "mmvae"}) == ()
        (reason,) = differences(row, **told, provenance={}, params={"protocol": "mmvae"})
        assert reason == "the data is not known to be the published one (not recorded)"


class TestUnknownProtocols:
    def test_table_7(self, run: Callable[..., RunRecord]) -> None:
        """Either of two scores of ours stands beside it, and neither can be compared."""
        row = _row(table="Table 7", model="mmvae", given="", target="svhn")

        def laplace(parts: dict[str, Any]) -> None:
            parts["spec"] |= {"model": "mmvae"}
            parts["spec"]["settings"]["model"] = {"family": "laplace"}

        accuracy, coherence = counterparts(row)
        found = verdict(row, [run(0.65, change=laplace)], coherence)
        assert (found.verdict, found.ours.mean) == ("not comparable", 0.65)
        assert found.reasons == (
            "the protocol of Table 7 is unknown: it is labelled coherence, without a direction, and may be latent "
            "accuracy",
            "the paper prints no standard deviation",
        )
        assert row.note in found.notes
        assert verdict(row, [run(0.65, change=laplace)]).counterpart == accuracy

    def test_table_2_by_the_direction_of_training(self, run: Callable[..., RunRecord]) -> None:
        row = _row(table="Table 2", given="svhn", own_settings="model.direction=s->t")
        fields = {"metric": "log_likelihood", "given": "svhn", "target": "mnist", "estimator": "conditional-iwae-100"}
        straight = _set("spec.settings.model.direction", "s->t")
        found = verdict(row, [run(-616.0, change=straight, params={}, **fields)])
        assert [reason.split(":")[0] for reason in found.reasons] == [
            "the protocol of Table 2 is unknown",
            "the paper prints no standard deviation",
        ]
        both = verdict(row, [run(-616.0, params={}, **fields)])
        assert both.reasons[0] == "another model.direction: both (the paper's: s->t)"

    def test_the_second_value_of_a_repeated_cell_comes_along(self, run: Callable[..., RunRecord]) -> None:
        row = _row(table="Table 6", given="mnist")
        fields = {"metric": "predictive_information", "given": "mnist", "target": "mnist", "estimator": "svgp"}
        found = verdict(row, [run(0.05, seed, params={}, **fields) for seed in (0, 1)])
        assert (found.verdict, found.notes) == ("below", ("printed .073 in another row of the same run",))


class TestNotMeasured:
    def _nothing(self, found: Verdict, reason: str) -> None:
        assert (found.verdict, found.reasons) == ("not measured", (reason,))
        assert (math.isnan(found.ours.mean), found.ours.sd, found.ours.n) == (True, None, 0)

    def test_no_runs(self) -> None:
        self._nothing(verdict(_row(), []), "no run has cross_coherence by the estimator micro")

    def test_failed_skipped_and_otherwise_estimated(self, run: Callable[..., RunRecord]) -> None:
        failed, skipped, macro = replace(run(), status="failed"), run(None), run(estimator="macro")
        self._nothing(verdict(_row(), [failed, skipped, macro]), "no run has cross_coherence by the estimator micro")
        assert verdict(_row(), [failed, run(0.62, 1)]).ours.n == 1

    def test_a_metric_that_is_not_there(self, run: Callable[..., RunRecord]) -> None:
        row = replace(_row(table="Table 5", given="image"), metric="beauty")
        self._nothing(verdict(row, [run()]), "mmbench has no metric for beauty")


def test_the_newest_version_and_the_standard_judge_are_taken(run: Callable[..., RunRecord]) -> None:
    scores = (
        replace(COHERENCE, value=0.1),
        replace(COHERENCE, version=2, value=0.2, params={"classifier": "strong"}),
        replace(COHERENCE, version=2, value=0.3),
    )
    for order in (scores, scores[::-1]):
        assert verdict(_row(), [replace(run(), scores=order)]).ours.mean == 0.3
