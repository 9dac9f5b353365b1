"""`polymnist-local`: five backgrounds, every digit once in each modality, and no word of being the published set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from mmbench.datasets import DATASETS, polymnist_local
from mmbench.datasets.digits import handwritten
from mmbench.datasets.loader import observe
from mmbench.datasets.polymnist_local import (
    BACKGROUNDS,
    PolyMnistLocal,
    PolyMnistLocalSettings,
    make,
    shuffled_within_class,
)
from mmbench.errors import DataMissing

NAMES = ("m0", "m1", "m2", "m3", "m4")


@pytest.fixture(scope="module")
def dataset() -> PolyMnistLocal:
    return PolyMnistLocal(PolyMnistLocalSettings())


def stencils(images: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """Where the images `[N, 3, 28, 28]` are no patch of the photograph: their ink `[N, 28, 28]`.

    Found by comparing with every patch: that of the fewest wrong pixels is the one that was drawn on.
    """
    patches = np.lib.stride_tricks.sliding_window_view(photograph, (28, 28), axis=(0, 1))
    patches = patches.reshape(-1, *patches.shape[2:])
    found = []
    for image in images:
        wrong = (patches != image).any(axis=1)
        found.append(wrong[wrong.sum(axis=(1, 2)).argmin()])
    return np.stack(found)


def test_five_modalities_of_colour_images_with_one_class_for_each_original(dataset: PolyMnistLocal) -> None:
    assert tuple(spec.name for spec in dataset.modalities) == NAMES
    for which, n in (("train", 1438), ("test", 359)):
        split = dataset.split(which)
        for spec in dataset.modalities:
            assert spec.shape == (3, 28, 28)
            assert split.arrays[spec.name].shape == (n, 3, 28, 28)
            assert split.arrays[spec.name].dtype == np.uint8
            assert np.array_equal(split.targets[spec.name], handwritten(28)[which][1])


def test_the_ink_is_that_of_originals_of_the_class_in_an_order_of_each_modality(
    dataset: PolyMnistLocal,
) -> None:
    digits, labels = handwritten(28)["test"]
    some = np.flatnonzero(labels == 4)[:8]
    known = {(digit > 128).tobytes() for digit in digits[labels == 4]}
    found = {}
    for name, photograph, background in (("m1", "china.jpg", BACKGROUNDS[1]), ("m3", "flower.jpg", BACKGROUNDS[3])):
        left, top, right, bottom = background.box
        ink = stencils(dataset.split("test").arrays[name][some], load_sample_image(photograph)[top:bottom, left:right])
        found[name] = [one.tobytes() for one in ink]
        assert set(found[name]) <= known
        assert len(set(found[name])) == len(some)
    assert sum(one == other for one, other in zip(found["m1"], found["m3"], strict=True)) <= 2


def test_an_order_within_classes_is_a_permutation_that_keeps_the_class_of_every_place() -> None:
    labels = np.arange(300) % 7
    orders = [shuffled_within_class(labels, np.random.default_rng(seed)) for seed in range(2)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(300))
        assert np.array_equal(labels[order], labels)
    # two permutations of 43 agree at one place on average
    assert (orders[0] == orders[1]).sum() < 30


def test_backgrounds_are_apart_from_one_another() -> None:
    assert len(BACKGROUNDS) == 5
    for a, one in enumerate(BACKGROUNDS):
        left, top, right, bottom = one.box
        assert min(right - left, bottom - top) >= 3 * 28
        for other in BACKGROUNDS[:a]:
            apart = right <= other.box[0] or other.box[2] <= left or bottom <= other.box[1] or other.box[3] <= top
            assert one.file != other.file or apart


def test_rows_join_five_originals_of_one_class_under_every_scheme(dataset: PolyMnistLocal) -> None:
    pairing, targets = dataset.pairing("train", 2), dataset.split("train").targets
    assert pairing.names == NAMES
    assert len(pairing.table) == 1438
    classes = [targets[name][pairing.table[:, m]] for m, name in enumerate(NAMES)]
    assert all(np.array_equal(classes[0], others) for others in classes[1:])
    assert observe(dataset, "split", 0.5, seed=0).counts.keys() == {"m0+m1+m2+m3+m4", *NAMES}
    assert observe(dataset, "m3-only", 0.5, seed=0).counts == {"m0+m1+m2+m3+m4": 7190, "m3": 7190}
    assert sum(observe(dataset, "mcar", 0.5, seed=0).counts.values()) == 14380


def test_made_again_it_is_the_same_and_says_that_it_is_not_polymnist(dataset: PolyMnistLocal) -> None:
    again = make(handwritten(28))
    for which in ("train", "test"):
        for name in NAMES:
            assert np.array_equal(dataset.split(which).arrays[name], again[f"{which}-{name}"])
    facts = dataset.provenance()
    assert facts["status"] == "embedded"
    assert facts["counts"]["test"] == dict.fromkeys(NAMES, 359)
    assert "not comparable" in facts["note"]
    assert "not comparable" in PolyMnistLocal.description
    assert DATASETS["polymnist-local"] is PolyMnistLocal


def test_a_photograph_that_a_package_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = replace(BACKGROUNDS[4], file="mpl-data/sample_data/nobody.jpg")
    monkeypatch.setattr(polymnist_local, "BACKGROUNDS", (*BACKGROUNDS[:4], lost))
    with pytest.raises(DataMissing, match=r"the photograph .*nobody\.jpg, which the installed matplotlib does not"):
        make(handwritten(28))


def test_with_digits_of_mnist_files_it_says_whose_they_are(tiny_root: Path) -> None:
    dataset = PolyMnistLocal(PolyMnistLocalSettings(digits="mnist"), tiny_root)
    split = dataset.split("train")
    assert split.arrays["m0"].shape == (30, 3, 28, 28)
    assert split.targets["m4"].tolist() == [i % 10 for i in range(30)]
    facts = dataset.provenance()
    assert facts["status"] == "unverified"
    assert set(facts["files"]) >= {"train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}
    with pytest.raises(DataMissing, match="no folder was named"):
        PolyMnistLocal(PolyMnistLocalSettings(digits="mnist")).split("train")


@pytest.mark.slow
def test_with_the_published_mnist_every_image_is_used(real_data: Path) -> None:
    facts = PolyMnistLocal(PolyMnistLocalSettings(digits="mnist"), real_data).provenance()
    assert facts["counts"] == {"train": dict.fromkeys(NAMES, 60000), "test": dict.fromkeys(NAMES, 10000)}
    assert facts["status"] == "embedded"
    assert all(file["published"] for file in facts["files"].values())
