"""From a plan to its runs: all combinations, each once, in order; and every plan that ships."""

from pathlib import Path

import pytest

from mmbench.errors import InvalidSetting
from mmbench.run import Request, resolve
from mmbench.sweep.expansion import Entry, expand, requests
from mmbench.sweep.plan import overridden, read_plan, ready_plans

# Runs of each plan, counted by hand from the file.
RUNS = {
    "all-models": 18 * 3 + 15 * 3,
    "digits-example": 120 + 6 + 1 + 8 + 9,
    "image-text": 3 + 2 + 10 + 20,
    "paper-fig10": 5,
    "paper-fig19": 3,
    "paper-fig21": 480,
    "paper-fig22": 40,
    "paper-fig3": 13,
    "paper-fig5": 135,
    "paper-fig7": 135,
    "paper-fig8": 15,
    "paper-fig9": 15,
    "paper-table2": 15,
    "paper-table3": 135,
    "paper-table4": 135,
    "paper-table6": 135,
    "paper-table7": 10,
}


@pytest.fixture
def expanded(tmp_path: Path):
    def expand_text(text: str) -> tuple[Entry, ...]:
        (tmp_path / "mine.yaml").write_text(text)
        return expand(read_plan(str(tmp_path / "mine.yaml")))

    return expand_text


def core(entries):
    return [(e.spec.model, e.spec.scheme, e.spec.f, e.spec.seed) for e in entries]


def test_lists_are_crossed_first_seed_first(expanded):
    entries = expanded("""
        defaults: {dataset: digits, metrics: none, seed: [1, 0]}
        grid:
          - {model: [mvae, meme], scheme: split, f: [0.5, 0.25]}
          - {model: mopoe, seed: 2}
    """)
    one = [(model, "split", f) for model in ("mvae", "meme") for f in (0.5, 0.25)]
    assert core(entries) == [(*run, 0) for run in one] + [(*run, 1) for run in one] + [("mopoe", "complete", 1.0, 2)]


def test_a_run_is_what_its_request_resolves_to(expanded):
    (_, second) = expanded(
        "grid: [{model: mvae, scheme: split, f: 0.5, paired_only: true, steps: 7, schedule: alternate,"
        " metrics: [samples], seed: [3, 4], set: {model.beta: 2}}]"
    )
    asked = Request(
        model="mvae", scheme="split", f=0.5, paired_only=True, steps=7, schedule="alternate",
        metrics=("samples",), seed=4, sets={"model.beta": 2},
    )  # fmt: skip
    assert second == Entry(asked, resolve(asked))


def test_settings_are_crossed(expanded):
    entries = expanded("grid: [{model: meme, set: {model.k: [1, 2], model.c: [1, 10]}}]")
    found = [(e.spec.settings["model"]["k"], e.spec.settings["model"]["c"]) for e in entries]
    assert found == [(1, 1.0), (1, 10.0), (2, 1.0), (2, 10.0)]


def test_the_same_run_is_there_once(expanded):
    entries = expanded("""
        defaults: {model: meme, metrics: none}
        grid:
          - {scheme: [complete, split, handwritten-only], f: [1, 0.5]}
          - {set: {model.k: 10}}
          - {paired_only: true}
          - {preset: released, set: {model.kl: mc, model.own: drawn, model.reduction: mean}}
    """)
    assert core(entries) == [
        ("meme", "complete", 1.0, 0),
        ("meme", "complete", 0.5, 0),
        ("meme", "split", 0.5, 0),
        ("meme", "handwritten-only", 0.5, 0),
    ]


def test_the_same_run_has_the_metrics_of_every_block(expanded):
    (entry,) = expanded("grid: [{metrics: [samples]}, {metrics: [latent_accuracy]}]")
    assert list(entry.spec.metrics) == ["latent_accuracy", "samples"]


def test_one_metric_under_two_settings_is_refused(expanded):
    text = "defaults: {metrics: [cross_coherence]}\ngrid: [{}, {set: {metrics.cross_coherence.label: predicted}}]"
    with pytest.raises(InvalidSetting, match=r"grid\[2\] asks for metric 'cross_coherence' .* other settings"):
        expanded(text)


@pytest.mark.parametrize(
    ("keys", "schemes"),
    [
        ("dataset: digits", ["handwritten-only", "street-only"]),
        ("dataset: mnist-svhn", ["mnist-only", "svhn-only"]),
        ("dataset: linear-gaussian, model: mvae, set: {data.modalities: 3}", ["m1-only", "m2-only", "m3-only"]),
    ],
)
def test_a_scheme_of_each_modality(expanded, keys, schemes):
    entries = expanded(f'grid: [{{scheme: "<modality>-only", f: 0.5, {keys}}}]')
    assert [entry.spec.scheme for entry in entries] == schemes


def test_a_scheme_of_another_dataset_says_what_to_write(expanded):
    with pytest.raises(InvalidSetting) as caught:
        expanded("grid: [{dataset: digits, scheme: svhn-only, f: 0.5}]")
    assert "mine.yaml, grid[1]: unknown scheme 'svhn-only'" in str(caught.value)
    assert str(caught.value).endswith("<modality>-only stands for that scheme of every modality of the dataset.")


def test_what_a_model_cannot_bear_is_an_entry_with_the_reason(expanded):
    entries = expanded("grid: [{model: [mvae, jmvae], scheme: split, f: 0.5}]")
    assert [entry.spec is None for entry in entries] == [False, True]
    assert "cannot learn from rows that hold only handwritten" in entries[1].refusal
    assert (entries[1].request.model, entries[0].refusal) == ("jmvae", "")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("model: memee", "grid[1]: unknown model 'memee'; did you mean"),
        ("model: [mvae, meme], set: {model.k: 3}", "grid[1]: unknown setting of 'model' 'k'"),
        ("f: 0", "grid[1]: f must lie in (0, 1], got 0"),
        ("f: half", "grid[1]: f must be a number in (0, 1], got 'half'."),
        ("model: null", "grid[1]: model must be a name, got None."),
        ("metrics: [coherence]", "grid[1]: unknown metric 'coherence'"),
        ("dataset: digit, scheme: <modality>-only", "grid[1]: unknown dataset 'digit'"),
    ],
)
def test_what_does_not_exist_is_an_error_of_its_block(expanded, block, words):
    with pytest.raises(InvalidSetting) as caught:
        expanded(f"grid: [{{{block}}}]")
    assert words in str(caught.value)


def test_too_many_runs_are_refused_before_they_are_made(expanded):
    with pytest.raises(InvalidSetting, match=r"plan mine asks for 100,100 runs, more than 100,000; split it up\."):
        expanded(f"grid: [{{seed: {list(range(1001))}, set: {{model.k: {list(range(100))}}}}}]")


def test_requests_of_a_plan_need_nothing_resolved(tmp_path):
    (tmp_path / "mine.yaml").write_text("grid: [{model: nobody, seed: [1, 0]}]")
    found = requests(read_plan(str(tmp_path / "mine.yaml")))
    assert [request for _, request in found] == [Request(model="nobody", seed=0), Request(model="nobody", seed=1)]


def test_every_ready_plan_is_counted():
    assert set(RUNS) == set(ready_plans())


@pytest.mark.parametrize("name", RUNS)
def test_every_run_of_a_ready_plan_resolves(name):
    plan = read_plan(name)
    entries = expand(plan)
    assert len(entries) == RUNS[name]
    assert not [entry.refusal for entry in entries if entry.refusal]
    if name == "image-text":  # its settings are those of its datasets
        return
    elsewhere = expand(overridden(plan, dataset="digits", seeds=[0]))
    assert {entry.spec.dataset for entry in elsewhere} == {"digits"}


def test_runs_that_figures_share_are_the_same():
    def specs(name):
        return {repr(entry.spec.to_dict()) for entry in expand(read_plan(name))}

    table = specs("paper-table3")
    for name in ("paper-table4", "paper-fig5", "paper-fig7"):
        assert read_plan(name).blocks == read_plan("paper-table3").blocks
    for name in ("paper-fig3", "paper-fig8", "paper-fig9", "paper-fig19"):
        assert specs(name) <= table
    assert len(specs("paper-table2") & table) == len(specs("paper-table7") & table) == 5
    assert len(specs("paper-fig22") & table) == 20
