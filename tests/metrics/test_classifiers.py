import logging
from types import SimpleNamespace
from typing import ClassVar

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


class Brightest:
    """Reads which of three values is the largest, and nothing where all are equal."""

    attributes: ClassVar = {"place": ("first", "second", "third"), "much": ("no", "yes")}

    def read(self, x):
        place = np.where(np.ptp(x, axis=1) > 0, x.argmax(1), -1)
        return np.stack([place, x.max(1) > 0.5], axis=1).astype(np.int64)


def bright(rows, kind):
    x = np.random.default_rng(rows).integers(0, 256, (rows, 3))
    targets = x.argmax(1)
    targets[0] = (targets[0] + 1) % 3  # the one row whose class the reader does not say
    return SimpleNamespace(arrays={"x": x.astype(kind)}, targets={"x": targets})


@pytest.mark.parametrize(("kind", "stored"), [("image", np.uint8), ("vector", np.float32), ("tokens", np.int32)])
def test_a_reader_judges_in_place_of_any_classifier(kind, stored, caplog):
    caplog.set_level(logging.INFO)
    spec = ModalitySpec("x", kind, (3,), Tokens(256) if kind == "tokens" else None)
    train, test = bright(50, stored), bright(40, stored)
    held = Classifiers((spec,), 3, train=train, test=test, cache=None, reader=lambda name: Brightest())
    judge = held.get("x")
    assert held.get("x", "strong") is judge
    assert (judge.name, judge.strength, judge.digest, judge.accuracy) == ("x", "exact", "exact", 39 / 40)
    assert held.digests() == {"x/exact": "exact"}
    assert trainings(caplog) == 0
    shown = torch.tensor([[1, 2, 9], [9, 2, 1], [3, 3, 3]])
    assert judge.predict(shown).tolist() == [2, 0, -1]


def test_a_reader_sees_images_in_the_unit_interval():
    seen = []

    def read(x):
        seen.append(x)
        return np.zeros((len(x), 1), np.int64)

    spec, split = ModalitySpec("x", "image", (3,)), bright(40, np.uint8)
    reader = SimpleNamespace(attributes={"place": ("first", "second", "third")}, read=read)
    Classifiers((spec,), 3, train=split, test=split, cache=None, reader=lambda name: reader).get("x")
    assert np.allclose(seen[0] * 255, split.arrays["x"])


def test_modalities_without_a_reader_keep_their_classifiers(data, made):
    held = made(reader=lambda name: Brightest() if name == "b" else None)
    assert [held.get(name).strength for name in "ab"] == ["standard", "exact"]
    assert held.get("a").digest == made().get("a").digest


def test_tokens_without_a_reader_and_readers_without_classes_judge_nothing():
    spec, split = ModalitySpec("x", "tokens", (3,), Tokens(256)), bright(40, np.int32)
    with pytest.raises(Skipped, match="holds tokens"):
        Classifiers((spec,), 3, train=split, test=split, cache=None).get("x")
    with pytest.raises(Skipped, match="no classes"):
        Classifiers((spec,), None, train=split, test=split, cache=None, reader=lambda name: Brightest()).get("x")


def test_an_unknown_strength_is_named(classifiers):
    with pytest.raises(UnknownName, match="unknown classifier 'stronk'; did you mean 'strong'"):
        classifiers.get("a", "stronk")
