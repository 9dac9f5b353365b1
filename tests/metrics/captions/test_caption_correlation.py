"""Caption correlation: a model that tells what it sees, one that is deaf, real pairs and shuffled ones."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch

from mmbench.metrics.base import METRICS
from mmbench.metrics.feature_views import Features, marks
from mmbench.modality import ModalitySpec, Tokens

NAME = "caption_correlation"


def found(evaluation):
    """(estimator, given, target) -> score."""
    return {(s.estimator, s.given, s.target): s for s in evaluation.scores}


def test_a_model_that_tells_what_it_sees_reaches_the_ground_truth(world):
    scores = found(world.score(world.model(), {NAME: {}}))
    assert set(scores) == {
        ("ground-truth", "", ""),
        ("shuffled", "", ""),
        ("cca", "image", "caption"),
        ("cca", "caption", "image"),
        ("cca", "", ""),
    }
    truth, control = scores["ground-truth", "", ""], scores["shuffled", "", ""]
    there, back, joint = (scores["cca", *way] for way in (("image", "caption"), ("caption", "image"), ("", "")))
    assert truth.value > 0.5
    assert there.value == pytest.approx(truth.value, abs=1e-9)  # it decodes the very captions of the images
    assert there.stderr == pytest.approx(truth.stderr, abs=1e-9)
    assert back.value > truth.value  # its images have no noise
    assert joint.value > 0.3  # signs of prior samples in both
    assert abs(control.value) < 4 * control.stderr
    for score in (there, back, joint):
        assert score.details["ground_truth"] == truth.value
        assert score.details["shuffled"] == control.value
        assert score.details["share"] == pytest.approx(score.value / truth.value)
    assert there.details["mismatched"] == pytest.approx(control.value, abs=1e-9)
    assert abs(back.details["mismatched"]) < 0.1
    assert "mismatched" not in joint.details  # there is no input that could be another's
    assert (truth.n, there.n, back.n, joint.n) == (150, 150, 150, 1000)


def test_a_deaf_model_is_where_shuffled_pairs_are(world):
    scores = found(world.score(world.model(deaf=True), {NAME: {}}))
    truth, control = scores["ground-truth", "", ""], scores["shuffled", "", ""]
    for way in (("image", "caption"), ("caption", "image")):
        score = scores["cca", *way]
        assert abs(score.value - control.value) < 4 * (score.stderr + control.stderr)
        assert score.value < truth.value - 10 * score.stderr
        assert abs(score.value - score.details["mismatched"]) < 4 * score.stderr
    assert scores["cca", "", ""].value > 0.3  # prior samples are whole: both sides come from one z


def test_real_pairs_do_not_depend_on_the_model_nor_scores_on_the_batch(world):
    right, deaf = (found(world.score(world.model(deaf=d), {NAME: {}})) for d in (False, True))
    assert right["ground-truth", "", ""] == deaf["ground-truth", "", ""]
    again = found(world.score(world.model(), {NAME: {}}, batch=37))
    for key, score in right.items():
        assert again[key].value == pytest.approx(score.value, abs=1e-6)
        assert again[key].stderr == pytest.approx(score.stderr, abs=1e-6)


def test_what_it_was_fitted_with_stands_beside_the_score(world):
    score = found(world.score(world.model(), {NAME: {"directions": 3, "components": 6}}))["cca", "image", "caption"]
    assert dict(score.params) == {
        "protocol": "small",
        "components": 6,
        "directions": 3,
        "view": "image",
        "features": "values",
    }
    assert score.details["train_images"] == 200
    assert score.details["solved_in"] == [6, 3]  # four independent choices, less the common component
    assert score.details["directions"] == 3
    assert score.details["held_out"] > 0.5
    assert len(score.details["word_vectors"]) == 16
    joint = found(world.score(world.model(), {NAME: {"samples": 70}}))["cca", "", ""]
    assert joint.params["prior"] == world.model().prior().name
    assert joint.n == 70


def test_captions_of_one_image_are_no_independent_rows(world):
    once, tenfold = world.birds(150, 2), world.birds(150, 2, captions=10)
    few, many = (found(world.score(world.model(), {NAME: {}}, test=t)) for t in (once, tenfold))
    for key in (
        ("ground-truth", "", ""),
        ("shuffled", "", ""),
        ("cca", "image", "caption"),
        ("cca", "caption", "image"),
    ):
        assert many[key].value == pytest.approx(few[key].value, abs=1e-6)
        assert many[key].stderr == pytest.approx(few[key].stderr, rel=1e-3)
        assert many[key].n == 1500


def test_real_pairs_do_not_depend_on_the_order_of_training_pairs(world):
    train = world.birds(200, 1)
    turned = {name: array[::-1].copy() for name, array in train.items()}
    first, second = (found(world.score(world.model(), {NAME: {}}, train=t)) for t in (train, turned))
    truths = [scores["ground-truth", "", ""] for scores in (first, second)]
    assert truths[0].value == pytest.approx(truths[1].value, abs=1e-6)
    assert truths[0].details["word_vectors"] == truths[1].details["word_vectors"]
    assert truths[0].details["ridge"] == truths[1].details["ridge"]


@pytest.mark.parametrize("protocol", ["full", "mmvae"])
def test_protocols_on_all_values_have_their_name_and_no_components(world, protocol):
    scores = found(world.score(world.model(), {NAME: {"protocol": protocol}}, train=world.birds(400, 1)))
    score, truth = scores["cca", "image", "caption"], scores["ground-truth", "", ""]
    assert dict(score.params) == {"protocol": protocol, "directions": 40, "view": "image", "features": "values"}
    assert score.details["solved_in"] == [8, 300]
    assert "held_out" not in score.details
    assert score.value == pytest.approx(truth.value, abs=1e-6)
    assert truth.value > 0.3


def test_the_released_protocol_is_refused_where_images_are_few(world):
    (only,) = world.score(world.model(), {NAME: {"protocol": "mmvae"}}).scores
    assert only.status == "skipped"
    assert "the protocol `mmvae` needs more training images than the views have values" in only.note
    assert "there are 200 images of 8 + 300 values: use the protocol `small`." in only.note


def test_several_views_each_have_their_own_real_pairs(world):
    specs = (*world.specs, ModalitySpec("picture", "image", (2, 2, 2)))

    def with_pictures(arrays):
        return {**arrays, "picture": 1 / (1 + np.exp(-arrays["image"].reshape(-1, 2, 2, 2)))}

    model = world.model()
    third = world.model(specs=specs)
    train, test = (with_pictures(world.birds(count, seed)) for count, seed in ((200, 1), (150, 2)))
    third.encoders["picture"].forward = lambda x: (torch.logit(x).flatten(1), torch.full((len(x), 8), 1e-6).double())
    scores = world.score(third, {NAME: {}}, train=train, test=test).scores
    keys = {(s.estimator, s.given, s.target, s.params["view"]) for s in scores}
    assert len(keys) == len(scores) == 10
    assert ("cca", "picture", "caption", "picture") in keys
    assert {s.params["features"] for s in scores if s.params["view"] == "picture"} == {"pixels 2x2x2"}
    both = {s.params["view"]: s.value for s in scores if s.estimator == "ground-truth"}
    assert both["image"] == found(world.score(model, {NAME: {}}))["ground-truth", "", ""].value
    assert both["picture"] > 0.5


def test_pixels_are_averaged_where_there_are_too_many():
    x = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    features = Features(ModalitySpec("image", "image", (3, 64, 64)))
    assert features.name == "pixels 3x32x32"
    expected = x.reshape(3, 3, 32, 2, 32, 2).mean((3, 5)).flatten(1)
    np.testing.assert_allclose(features.of(x), expected.numpy())
    odd = Features(ModalitySpec("image", "image", (3, 65, 65)))
    assert odd.of(torch.ones(1, 3, 65, 65)).shape == (1, 3 * 33 * 33)
    assert odd.name == "pixels 3x33x33"
    assert (odd.of(torch.ones(1, 3, 65, 65)) == 1).all()
    small = Features(ModalitySpec("image", "image", (1, 4, 4)))
    assert small.of(torch.arange(16.0).reshape(1, 1, 4, 4)).tolist() == [list(range(16))]


def test_marks_tell_rows_apart_by_content():
    x = np.random.default_rng(0).normal(size=(5, 3))
    found = marks(np.concatenate([x, x[:2]]))
    assert len(set(found.tolist())) == 5
    np.testing.assert_array_equal(found[:2], found[5:])


@pytest.mark.parametrize(
    "change, reason",
    [
        ("no-captions", "needs one modality of captions and another"),
        ("alone", "needs one modality of captions and another"),
        ("characters", "the tokens of modality 'caption' are no words."),
        ("nameless", "the tokens of modality 'caption' are no words."),
        ("long", "modality 'image' has 5000 values, more than 4096."),
    ],
)
def test_where_it_does_not_apply_it_says_why(world, change, reason):
    image, caption = world.specs
    specs = {
        "no-captions": (image,),
        "alone": (caption,),
        "characters": (image, dataclasses.replace(caption, tokens=dataclasses.replace(world.tokens, joiner=""))),
        "nameless": (image, dataclasses.replace(caption, tokens=Tokens(15, end=2))),
        "long": (ModalitySpec("image", "vector", (5000,)), caption),
    }[change]
    train = {**world.birds(200, 1), "image": np.zeros((200, 5000))} if change == "long" else None
    (only,) = world.score(world.model(), {NAME: {}}, specs=specs, train=train).scores
    assert only.status == "skipped"
    assert reason in only.note


def test_without_gensim_it_is_skipped_with_the_remedy(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    (only,) = world.score(world.model(), {NAME: {}}).scores
    assert only.note == "word vectors need gensim, which is not installed; pip install 'mmbench[cub]'."


def test_generations_that_are_no_numbers_are_no_result_and_details_stay_json(world):
    model = world.model()
    model.decoders["image"].one.data.fill_(float("nan"))
    scores = found(world.score(model, {NAME: {}}))
    assert scores["cca", "caption", "image"].status == "skipped"
    assert "share" not in scores["cca", "caption", "image"].details
    assert scores["cca", "image", "caption"].status == "ok"
    for score in scores.values():
        json.dumps(dict(score.details), allow_nan=False)


def test_one_image_has_no_shuffled_pair(world):
    scores = found(world.score(world.model(), {NAME: {}}, test=world.birds(1, 2, captions=4)))
    assert scores["shuffled", "", ""].note == "all test rows show the same image."
    assert "shuffled" not in scores["cca", "image", "caption"].details
    assert scores["ground-truth", "", ""].stderr is None


def test_without_rows_it_says_so(world):
    none = {name: array[:0] for name, array in world.birds(3, 1).items()}
    assert (
        world.score(world.model(), {NAME: {}}, train=none).scores[0].note == "the training split has no complete rows."
    )
    assert world.score(world.model(), {NAME: {}}, test=none).scores[0].note == "the test split has no complete rows."


def test_it_is_not_computed_unless_asked_for():
    assert not METRICS[NAME].default
