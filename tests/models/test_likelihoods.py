"""Closed forms of the likelihoods against torch.distributions; sums, not means; weights stay out."""

import pytest
import torch
from torch import distributions as td

from mmbench.errors import CannotBear
from mmbench.modality import ModalitySpec, Tokens
from mmbench.models.likelihoods import CategoricalLikelihood, likelihood_of, output_shape, rescaling
from mmbench.testing.checks import noise, within

IMAGE = ModalitySpec("image", "image", (1, 4, 5))
VECTOR = ModalitySpec("vector", "vector", (6,))


def output(spec: ModalitySpec) -> torch.Tensor:
    return torch.randn(3, 2, *spec.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("spec", [IMAGE, VECTOR], ids=["image", "vector"])
@pytest.mark.parametrize(("family", "kind"), [("laplace", td.Laplace), ("normal", td.Normal)])
def test_log_prob_is_the_sum_over_the_event_of_torchs(spec, family, kind):
    raw, x = output(spec), torch.rand(2, *spec.shape, dtype=torch.float64)
    found = likelihood_of(spec, family, 0.3, raw)
    mean = raw.sigmoid() if spec.kind == "image" else raw
    assert torch.equal(found.mean, mean)
    assert torch.allclose(found.log_prob(x), kind(mean, 0.3).log_prob(x).flatten(2).sum(-1), atol=1e-10)
    assert found.log_prob(x).shape == (3, 2)


def test_bernoulli_takes_logits_and_accepts_grey_values():
    raw, x = output(IMAGE), torch.rand(2, *IMAGE.shape, dtype=torch.float64)
    found = likelihood_of(IMAGE, "bernoulli", 1.0, raw)
    reference = td.Bernoulli(logits=raw, validate_args=False).log_prob(x).flatten(2).sum(-1)
    assert torch.allclose(found.log_prob(x), reference, atol=1e-10)
    assert torch.equal(found.mean, raw.sigmoid())
    extreme = likelihood_of(IMAGE, "bernoulli", 1.0, torch.full_like(raw, 1000.0))
    assert extreme.log_prob(torch.ones_like(x)).abs().max() < 1e-6


def test_channels_last_outputs_give_the_same_number():
    spec = ModalitySpec("colour", "image", (3, 4, 4))
    raw, x = output(spec), torch.rand(2, *spec.shape, dtype=torch.float64)
    turned = raw.flatten(0, 1).to(memory_format=torch.channels_last).reshape(raw.shape)
    for family in ("laplace", "normal", "bernoulli"):
        pair = [likelihood_of(spec, family, 1.0, r).log_prob(x) for r in (raw, turned)]
        assert torch.allclose(*pair, atol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("family", ["laplace", "normal", "bernoulli"])
def test_samples_have_the_likelihoods_mean(family):
    raw = output(IMAGE)[:1, :1].expand(20_000, 1, *IMAGE.shape)
    found = likelihood_of(IMAGE, family, 0.2, raw)
    assert within(found.sample(noise()), found.mean[0])


def test_what_has_no_such_likelihood_is_refused():
    with pytest.raises(CannotBear, match="'vector' is a vector: use normal"):
        likelihood_of(VECTOR, "bernoulli", 1.0, output(VECTOR))


def test_rescaling_gives_the_ratios_of_mmvae():
    mnist, svhn = ModalitySpec("mnist", "image", (1, 28, 28)), ModalitySpec("svhn", "image", (3, 32, 32))
    weights = rescaling([mnist, svhn], "largest")
    assert weights["svhn"] == 1.0
    assert weights["mnist"] == pytest.approx(3072 / 784)
    assert set(rescaling([mnist, svhn], "none").values()) == {1.0}


def test_tokens_are_categorical_at_each_place():
    spec = ModalitySpec("text", "tokens", (4,), Tokens(5))
    assert output_shape(spec) == (4, 5)
    raw = torch.randn(3, 2, 4, 5, dtype=torch.float64)
    x = torch.randint(5, (2, 4), dtype=torch.int16)
    found = likelihood_of(spec, "laplace", 0.1, raw)
    assert torch.allclose(found.log_prob(x), td.Categorical(logits=raw).log_prob(x.long()).sum(-1), atol=1e-12)
    assert torch.equal(found.mean, raw.argmax(-1))
    assert torch.allclose(found.error(x), -found.log_prob(x) / 4)


def test_padding_counts_nothing_whatever_is_predicted_there():
    raw = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    x = torch.tensor([[2, 3, 0, 0], [1, 0, 0, 0], [4, 4, 4, 4]])
    plain = td.Categorical(logits=raw).log_prob(x)
    found = CategoricalLikelihood(raw, ignored=0)
    assert torch.allclose(found.log_prob(x), (plain * (x != 0)).sum(-1), atol=1e-12)
    other = raw.clone()
    other[:, 0, 2:] += torch.randn(2, 2, 5, dtype=torch.float64)
    assert torch.equal(CategoricalLikelihood(other, ignored=0).log_prob(x)[:, 0], found.log_prob(x)[:, 0])
    assert found.counted(x).tolist() == [2, 1, 4]
    assert torch.allclose(found.error(x), -found.log_prob(x) / torch.tensor([2, 1, 4]))
    assert CategoricalLikelihood(raw, ignored=0).error(torch.zeros(3, 4, dtype=torch.int16)).abs().max() == 0


@pytest.mark.statistical
def test_tokens_are_drawn_in_proportion():
    scores = torch.randn(1, 1, 2, 4, dtype=torch.float64)
    drawn = CategoricalLikelihood(scores.expand(20_000, 1, 2, 4)).sample(noise())
    shown = torch.nn.functional.one_hot(drawn, 4).double()
    assert within(shown, scores.softmax(-1)[0])


@pytest.mark.parametrize("spec", [IMAGE, VECTOR], ids=["image", "vector"])
def test_the_error_is_the_mean_squared_one(spec):
    raw, x = output(spec), torch.rand(2, *spec.shape, dtype=torch.float64)
    found = likelihood_of(spec, "normal", 0.3, raw)
    assert torch.allclose(found.error(x), (found.mean - x).square().reshape(3, 2, -1).mean(-1))
