"""The embedded dataset: real digits, no original in two splits, determinism, both sizes, and the cache behind it."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from mmbench.config import parse_settings
from mmbench.datasets import DATASETS, digits
from mmbench.datasets.digits import Digits, DigitsSettings, make
from mmbench.datasets.loader import observe
from mmbench.errors import UnknownName

NAMES = ("handwritten", "street", "targets")


@pytest.fixture(scope="module")
def small() -> Digits:
    return Digits(DigitsSettings())


def test_shapes_are_those_of_the_modalities(small: Digits) -> None:
    for which in ("train", "test"):
        split = small.split(which)
        for spec in small.modalities:
            assert split.arrays[spec.name].shape[1:] == spec.shape
            assert split.arrays[spec.name].dtype == np.uint8
            assert len(split.targets[spec.name]) == len(split.arrays[spec.name])


def test_handwritten_images_are_scikit_learns_each_in_one_split(small: Digits) -> None:
    images, labels = load_digits(return_X_y=True)
    source = sorted(zip(labels.tolist(), map(tuple, images.astype(int).tolist()), strict=True))
    found = []
    for which in ("train", "test"):
        split = small.split(which)
        # 255 / 16 is 15.94, so that rounding to whole grey levels can be undone
        levels = np.rint(split.arrays["handwritten"].reshape(-1, 64) * (16 / 255)).astype(int)
        found += list(zip(split.targets["handwritten"].tolist(), map(tuple, levels.tolist()), strict=True))
    assert sorted(found) == source


def test_a_fifth_of_each_class_is_for_testing(small: Digits) -> None:
    counts = {which: np.bincount(small.split(which).targets["handwritten"]) for which in ("train", "test")}
    assert len(counts["train"]) == 10
    assert np.abs(counts["test"] / (counts["train"] + counts["test"]) - 0.2).max() < 0.005
    assert counts["train"].sum() + counts["test"].sum() == 1797


def test_no_street_image_stands_twice(small: Digits) -> None:
    images = np.concatenate([small.split(which).arrays["street"] for which in ("train", "test")])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images) == 1797


def test_rows_pair_the_same_class_and_use_every_original(small: Digits) -> None:
    for which in ("train", "test"):
        pairing, targets = small.pairing(which, 3), small.split(which).targets
        assert pairing.names == ("handwritten", "street")
        assert len(pairing.table) == len(targets["handwritten"])
        assert (targets["handwritten"][pairing.table[:, 0]] == targets["street"][pairing.table[:, 1]]).all()
        assert pairing.checksum == small.pairing(which, 3).checksum != small.pairing(which, 4).checksum


def test_training_rows_are_the_pairs_setting_times_the_originals(small: Digits) -> None:
    originals = len(small.split("train").targets["handwritten"])
    assert observe(small, "complete", 1.0, seed=0).counts == {"handwritten+street": 10 * originals}


def test_made_again_it_is_the_same(small: Digits) -> None:
    again = make("small")
    for which in ("train", "test"):
        split = small.split(which)
        for name in ("handwritten", "street"):
            assert np.array_equal(split.arrays[name], again[f"{which}-{name}"])
            assert np.array_equal(split.targets[name], again[f"{which}-targets"])


def test_full_size_shows_the_same_originals_at_the_papers_sizes(small: Digits) -> None:
    full = Digits(DigitsSettings(size="full"))
    assert [spec.shape for spec in full.modalities] == [(1, 28, 28), (3, 32, 32)]
    for which in ("train", "test"):
        large, little = full.split(which), small.split(which)
        assert np.array_equal(large.targets["street"], little.targets["street"])
        assert large.arrays["street"].shape[1:] == (3, 32, 32)
        bright = large.arrays["handwritten"].mean((1, 2, 3)), little.arrays["handwritten"].mean((1, 2, 3))
        assert np.corrcoef(*bright)[0, 1] > 0.98


def test_provenance_is_embedded_with_counts_and_a_digest_of_the_content(small: Digits) -> None:
    facts, full = small.provenance(), Digits(DigitsSettings(size="full")).provenance()
    assert facts["status"] == "embedded"
    assert facts["counts"]["train"]["handwritten"] + facts["counts"]["test"]["handwritten"] == 1797
    assert facts["digest"] != full["digest"]
    assert facts == Digits(DigitsSettings(pairs=2)).provenance()


def test_it_is_made_once_for_a_cache_and_again_where_that_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def make_little(size: str) -> dict[str, np.ndarray]:
        made.append(size)
        return {f"{which}-{name}": np.ones(3) for which in ("train", "test") for name in NAMES}

    monkeypatch.setattr(digits, "make", make_little)
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path))
    for size in ("small", "small", "full", "full"):
        Digits(DigitsSettings(size=size)).split("train")
    assert made == ["small", "full"]
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    Digits(DigitsSettings(size="full")).split("test")
    assert made == ["small", "full", "full"]


def test_settings_are_strict() -> None:
    assert parse_settings(DigitsSettings, {"size": "full", "pairs": "3"}, "data") == DigitsSettings(3, "full")
    with pytest.raises(UnknownName, match="did you mean 'small'"):
        parse_settings(DigitsSettings, {"size": "smal"}, "data")


def test_it_needs_no_files() -> None:
    assert DATASETS["digits"] is Digits
    assert Digits.fetch(Path("nowhere")) == "digits is embedded: there is nothing to fetch."
    assert Digits.verify(None) == "digits is embedded: there is nothing to verify."
