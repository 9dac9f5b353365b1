"""Three and five modalities, one of them a text: every model that takes them trains under every scheme."""

import os

import pytest

from mmbench.errors import CannotBear
from mmbench.models.base import MODELS
from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, resolve, run

TAKING = [name for name in MODELS if MODELS[name].facts.modalities_max is None]
SCHEMES = {
    "digits-text": ("complete", "text-only", "split", "mcar", "mnar"),
    "polymnist-local": ("complete", "m0-only", "split", "mcar", "mnar"),
    "mnist-svhn-text": ("complete", "text-only", "split", "mcar"),
}
SMALL = {"data.pairs": 1, "train.batch_size": 64, "train.test_rows": 0}


def carried(model: str, dataset: str, scheme: str, store: Store, metrics: tuple[str, ...] = ()) -> str:
    """The status of a run of three steps; "refused" where it is not begun."""
    f = 1.0 if scheme == "complete" else 0.5
    request = Request(model=model, dataset=dataset, scheme=scheme, f=f, steps=3, metrics=metrics, sets=SMALL)
    try:
        spec = resolve(request)
    except CannotBear:
        return "refused"
    options = RunOptions(device="cpu", threads=1, quiet=True, say=lambda sentence: None)
    return run(spec, store, options).status


def expected(model: str, scheme: str) -> str:
    """What the model says of itself."""
    return "done" if scheme == "complete" or MODELS[model].facts.partial_train_holds else "refused"


@pytest.mark.parametrize("model", TAKING)
def test_an_image_another_and_a_text_train_under_split_and_mcar(model, store):
    for scheme in ("split", "mcar"):
        assert carried(model, "digits-text", scheme, store) == expected(model, scheme)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", SCHEMES)
@pytest.mark.parametrize("model", TAKING)
def test_every_scheme_is_trained_or_refused_by_what_the_model_says_of_itself(model, dataset, store):
    if dataset == "mnist-svhn-text" and not os.environ.get("MMBENCH_DATA"):
        pytest.skip("MMBENCH_DATA names no folder with MNIST and SVHN.")
    for scheme in SCHEMES[dataset]:
        assert carried(model, dataset, scheme, store) == expected(model, scheme)


def test_scores_of_a_text_come_from_reading_it(store):
    metrics = ("cross_coherence", "samples", "caption_quality", "relatedness")
    assert carried("mvae", "digits-text", "complete", store, metrics) == "done"
    (record,) = store.runs()
    judged = {s.params["classifier"] for s in record.scores if s.metric == "cross_coherence" and s.target == "text"}
    assert judged == {"exact"}
    givens = {s.given for s in record.scores if s.metric == "cross_coherence" and s.target == "text"}
    assert givens == {"handwritten", "street", "handwritten+street"}
    pairs = {(s.given, s.target) for s in record.scores if s.metric == "relatedness" and s.estimator == "auroc"}
    assert pairs == {("handwritten", "street"), ("handwritten", "text"), ("street", "text")}
    texts = {a.name: a.meta["texts"] for a in store.arrays(record.id, "samples") if "texts" in a.meta}
    assert [text.strip() for text in texts["input/text"]][:3] == ["zero", "one", "two"]
    assert {len(made) for made in texts["cross/street|text"]} == {5}
