import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmbench.errors import UnknownName
from mmbench.metrics import Classifiers, Skipped, classifier_networks
from mmbench.metrics.classifier_networks import Protocol, network_for, protocol_for
from mmbench.modality import ModalitySpec, Tokens


@pytest.fixture
def made(data, tmp_path, monkeypatch):
    """Makes the data's classifiers with a short protocol and a cache; counts trainings."""
    protocol = Protocol("perceptron", epochs=1, steps_low=20, steps_high=20)
    monkeypatch.setattr(classifier_networks, "protocol_for", lambda spec, strength: protocol)

    def make(cache=tmp_path / "cache", **changes):
        splits = {"train": data.splits["train"], "test": data.splits["test"], **changes}
        return Classifiers(data.modalities, 4, cache=cache, **splits)

    return make


def trainings(caplog):
    return sum("training the" in r.message for r in caplog.records)


@pytest.mark.parametrize(
    ("shape", "strength", "network"),
    [
        ((1, 28, 28), "standard", "lenet"),
        ((3, 32, 32), "standard", "lenet"),
        ((1, 8, 8), "standard", "small"),
        ((3, 16, 16), "standard", "small"),
        ((3, 5, 3), "standard", "small"),
        ((3, 32, 32), "strong", "deep"),
        ((1, 8, 8), "strong", "deep"),
    ],
)
def test_networks_take_their_images(shape, strength, network):
    spec = ModalitySpec("x", "image", shape)
    protocol = protocol_for(spec, strength)
    assert protocol.network == network
    assert network_for(protocol, spec, 10)(torch.rand(3, *shape)).shape == (3, 10)


def test_the_lenet_has_the_sources_sizes():
    """conv5x5-10, conv5x5-20, then 320-50-10 for MNIST and 500-50-10 for SVHN (MMVAE code)."""
    for shape, flat in (((1, 28, 28), 320), ((3, 32, 32), 500)):
        layers = network_for(Protocol("lenet"), ModalitySpec("x", "image", shape), 10)
        sizes = [tuple(p.shape) for p in layers.parameters() if p.dim() > 1]
        assert sizes == [(10, shape[0], 5, 5), (20, 10, 5, 5), (50, flat), (10, 50)]


def test_steps_are_epochs_held_between_two_bounds():
    protocol = Protocol("x", epochs=30, steps_low=600, steps_high=3000, batch_size=256)
    assert [protocol.steps(n) for n in (100, 10_000, 60_000)] == [600, 1200, 3000]


def test_a_trained_classifier_is_right_and_says_how_often(classifiers, data):
    judge = classifiers.get("a")
    test = data.splits["test"]
    right = judge.predict(torch.tensor(test.arrays["a"])) == test.targets["a"]
    assert judge.accuracy == pytest.approx(right.mean())
    assert judge.accuracy > 0.6
    assert classifiers.get("a") is judge
    assert classifiers.digests()["a/standard"] == judge.digest


def test_uint8_images_are_seen_as_floats_in_the_unit_interval(tmp_path):
    random = np.random.default_rng(0)
    targets = np.arange(200) % 2
    images = (random.integers(0, 100, (200, 1, 8, 8)) + 120 * targets[:, None, None, None]).astype(np.uint8)
    split = SimpleNamespace(arrays={"x": images}, targets={"x": targets})
    spec = ModalitySpec("x", "image", (1, 8, 8))
    judge = Classifiers((spec,), 2, train=split, test=split, cache=None).get("x")
    assert judge.accuracy == 1
    assert (judge.predict(torch.from_numpy(images).double() / 255) == targets).all()


def test_the_cache_serves_the_same_weights(made, caplog):
    caplog.set_level(logging.INFO)
    first, again = made().get("a"), made().get("a")
    assert trainings(caplog) == 1
    assert (first.digest, first.accuracy) == (again.digest, again.accuracy)


def test_training_again_gives_the_same_weights(made):
    assert made(cache=None).get("a").digest == made(cache=None).get("a").digest


def test_training_leaves_the_global_generator_alone(made):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    made(cache=None).get("a")
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "pickle", "other weights", "other shapes"])
def test_a_damaged_cache_is_replaced(made, tmp_path, caplog, damage):
    caplog.set_level(logging.INFO)
    right = made().get("a").digest
    (path,) = (tmp_path / "cache").glob("*.pt")
    content = torch.load(path, weights_only=True)
    if damage == "pickle":
        torch.save({"weights": SimpleNamespace()}, path)
    elif damage == "other weights":
        next(iter(content["weights"].values())).add_(1)
        torch.save(content, path)
    elif damage == "other shapes":
        torch.save({**content, "weights": {}}, path)
    else:
        good = path.read_bytes()
        path.write_bytes({"garbage": b"x" * 99, "truncated": good[: len(good) // 2], "empty": b""}[damage])
    assert made().get("a").digest == right
    assert trainings(caplog) == 2
    assert made().get("a").digest == right
    assert trainings(caplog) == 2


@pytest.mark.parametrize("changed", ["arrays", "targets", "test"])
def test_other_data_have_other_cache_entries(made, data, caplog, changed):
    caplog.set_level(logging.INFO)
    made().get("a")
    which = "test" if changed == "test" else "train"
    split = data.splits[which]
    parts = {"arrays": dict(split.arrays), "targets": dict(split.targets)}
    key = "arrays" if changed == "test" else changed
    parts[key]["a"] = parts[key]["a"][::-1].copy()
    made(**{which: SimpleNamespace(**parts)}).get("a")
    assert trainings(caplog) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(made, tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert made(cache=blocked / "cache").get("a").accuracy > 0
    assert "cannot be cached" in caplog.text


def test_no_temporary_file_is_left(made, tmp_path):
    made().get("a")
    assert [p.suffix for p in (tmp_path / "cache").glob("*.pt")] == [".pt"]


def test_tokens_and_datasets_without_classes_have_none(data):
    with pytest.raises(Skipped, match="holds tokens"):
        protocol_for(ModalitySpec("caption", "tokens", (32,), Tokens(9)), "standard")
    splits = data.splits
    with pytest.raises(Skipped, match="no classes"):
        Classifiers(data.modalities, None, train=splits["train"], test=splits["test"], cache=None).get("a")


def test_an_unknown_strength_is_named(classifiers):
    with pytest.raises(UnknownName, match="unknown classifier 'stronk'; did you mean 'strong'"):
        classifiers.get("a", "stronk")
