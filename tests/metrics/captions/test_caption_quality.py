"""Caption quality: perplexities that are put in, n-grams by hand, and characters."""

import dataclasses
import math

import numpy as np
import pytest

from mmbench.metrics.base import METRICS
from mmbench.metrics.caption_quality import distinct, perplexity, written

NAME = "caption_quality"


def found(evaluation):
    return {(s.estimator, s.given, s.target): s for s in evaluation.scores}


def test_perplexity_by_hand():
    """A row of two tokens at 1/2 each and one of one token at 1/8: (2 log 2 + log 8) / 3 = 5/3 log 2."""
    value, _ = perplexity(np.log([0.25, 0.125]), np.array([2, 1]))
    assert value == pytest.approx(2 ** (5 / 3))


@pytest.mark.statistical
def test_the_error_of_a_perplexity_is_its_spread_over_draws():
    random = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(1500):
        counts = random.integers(3, 12, 200)
        rates = random.gamma(4, 0.5, 200)
        value, error = perplexity(-rates * counts, counts)
        values.append(value)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.06)


def test_rows_that_are_all_alike_have_no_error_and_one_row_an_unknown_one():
    assert perplexity(np.full(5, -3.0), np.full(5, 2))[1] == pytest.approx(0, abs=1e-12)
    assert perplexity(np.array([-3.0]), np.array([2])) == (pytest.approx(math.exp(1.5)), None)
    assert perplexity(np.array([-1e6, -1.0]), np.array([2, 1])) == (math.inf, None)


def test_distinct_by_hand():
    captions = [[3, 4, 3, 4], [4, 3], [5]]  # 7 words, 3 different; pairs 34 43 34 43: 4, 2 different
    assert distinct(captions, 1) == pytest.approx(3 / 7)
    assert distinct(captions, 2) == pytest.approx(2 / 4)
    assert distinct([[1], []], 2) is None
    assert distinct([[1, 2, 3]], 1) == 1


def test_what_is_written_ends_at_the_end_mark(world):
    assert written(np.array([[3, 1, 4, 2, 3], [2, 3, 3, 3, 3], [0, 3, 3, 3, 3]]), world.tokens) == [
        [3, 4],
        [],
        [0, 3, 3, 3, 3],
    ]
    endless = dataclasses.replace(world.tokens, end=None)
    assert written(np.array([[3, 1, 4, 2, 3]]), endless) == [[3, 4, 3]]


def test_a_model_that_is_right_with_probability_p_has_perplexity_one_over_p(world):
    """Nine tokens are counted of eleven: padding is not."""
    scores = found(world.score(world.model(p=0.8), {NAME: {}}))
    for given in ("image", "caption"):
        score = scores["perplexity", given, "caption"]
        assert score.value == pytest.approx(1 / 0.8)
        assert score.stderr == pytest.approx(0, abs=1e-9)
        assert score.n == 150
        assert dict(score.details) == {"tokens": 150 * 9, "length": 9.0, "vocabulary": 15}


def test_a_deaf_model_guesses_four_of_nine_words(world):
    """Each of the four choices is right half the time: mean log p = (7 log p + 2 log q) / 9."""
    p, other = 0.8, 0.2 / 14
    expected = (7 * math.log(p) + 2 * math.log(other)) / 9
    score = found(world.score(world.model(deaf=True, p=p), {NAME: {}}))["perplexity", "image", "caption"]
    assert abs(score.value - math.exp(-expected)) < 4 * score.stderr
    assert score.value > 2 * (1 / p)
    assert score.stderr < 0.2 * score.value


def test_faithful_captions_are_as_varied_as_real_ones(world):
    scores = found(world.score(world.model(), {NAME: {}}))
    for n in (1, 2):
        score = scores[f"distinct-{n}", "image", "caption"]
        assert score.value == score.details["real"]
        assert score.details["length"] == score.details["real_length"] == 8
        assert score.stderr is None
        assert score.n == 150
    assert scores["distinct-1", "image", "caption"].value == pytest.approx(12 / (150 * 8))
    prior = scores["distinct-1", "", "caption"]
    assert (prior.n, prior.value) == (150, pytest.approx(12 / (150 * 8)))
    assert prior.params["prior"] == world.model().prior().name
    assert ("distinct-1", "caption", "caption") not in scores


def test_a_model_that_always_says_the_same_repeats_itself(world):
    model = world.model()
    model.decoders["caption"].forward = lambda z: world.model().decoders["caption"](z * 0 + 1)
    score = found(world.score(model, {NAME: {}}))["distinct-2", "image", "caption"]
    assert score.value == pytest.approx(7 / (150 * 7))
    assert score.value < 0.5 * score.details["real"]


def test_prior_samples_stand_beside_as_many_real_captions_taken_evenly(world):
    test = world.birds(150, 2)
    score = found(world.score(world.model(), {NAME: {"samples": 10}}, test=test))["distinct-2", "", "caption"]
    own = written(test["caption"][::15], world.tokens)
    assert score.n == 10
    assert score.details["real"] == distinct(own, 2)


def test_silent_captions_have_lengths_and_no_variety(world):
    """A decoder that begins with the end mark."""
    model = world.model()
    writer = model.decoders["caption"]

    def silent(z):
        logits = type(writer).forward(writer, z)
        logits[:, 0] = 0
        logits[:, 0, 2] = 9.0
        return logits

    writer.forward = silent
    score = found(world.score(model, {NAME: {}}))["distinct-1", "image", "caption"]
    assert (score.status, score.note) == ("skipped", "the generated captions have no 1-grams.")


def test_characters_have_a_perplexity_and_no_words(world):
    image, caption = world.specs
    letters = dataclasses.replace(world.tokens, joiner="", ignored=None)
    specs = (image, dataclasses.replace(caption, tokens=letters))
    scores = found(world.score(world.model(specs=specs, p=0.5), {NAME: {}}))
    assert set(scores) == {("perplexity", "image", "caption"), ("perplexity", "caption", "caption")}
    score = scores["perplexity", "caption", "caption"]
    assert score.value == pytest.approx(2)
    assert score.details["length"] == 11  # nothing is ignored


def test_values_do_not_depend_on_the_batch(world):
    few, many = (found(world.score(world.model(deaf=True), {NAME: {}}, batch=b)) for b in (7, 150))
    assert set(few) == set(many)
    for key, score in few.items():
        assert many[key].value == pytest.approx(score.value, rel=1e-9)
        assert many[key].stderr == (None if score.stderr is None else pytest.approx(score.stderr, rel=1e-9))


def test_without_tokens_or_rows_it_says_why(world):
    (only,) = world.score(world.model(), {NAME: {}}, specs=world.specs[:1]).scores
    assert only.note == "no modality of this dataset holds tokens."
    none = {name: array[:0] for name, array in world.birds(3, 1).items()}
    (only,) = world.score(world.model(), {NAME: {}}, test=none).scores
    assert only.note == "the test split has no complete rows."


def test_captions_of_which_nothing_counts_have_no_perplexity(world):
    test = world.birds(5, 2)
    test["caption"][:] = 1
    model = world.model(deaf=True)
    score = found(world.score(model, {NAME: {}}, test=test))["perplexity", "image", "caption"]
    assert score.note == "the likelihood counts no token of the real captions."


def test_it_is_not_computed_unless_asked_for():
    assert not METRICS[NAME].default
