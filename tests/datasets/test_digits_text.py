"""`digits-text`: the images of `digits`, a text for each handwritten digit, and every scheme over the three."""

import numpy as np
import pytest

from mmbench.config import parse_settings
from mmbench.datasets import DATASETS
from mmbench.datasets.digits import Digits, DigitsSettings
from mmbench.datasets.digits_text import DigitsText, DigitsTextSettings
from mmbench.datasets.loader import observe
from mmbench.errors import UnknownName

ORIGINALS = 1438  # of the training split


@pytest.fixture(scope="module")
def dataset() -> DigitsText:
    return DigitsText(DigitsTextSettings(pairs=1))


def test_images_are_those_of_digits_and_texts_are_of_the_same_classes(dataset: DigitsText) -> None:
    plain = Digits(DigitsSettings())
    assert [spec.name for spec in dataset.modalities] == ["handwritten", "street", "text"]
    reader = dataset.reader("text")
    assert reader is not None
    assert dataset.reader("handwritten") is None
    for which in ("train", "test"):
        split, images = dataset.split(which), plain.split(which)
        assert all(np.array_equal(split.arrays[name], images.arrays[name]) for name in images.arrays)
        assert np.array_equal(split.targets["text"], images.targets["handwritten"])
        assert np.array_equal(reader.read(split.arrays["text"])[:, 0], split.targets["text"])


def test_rows_join_three_originals_of_one_class(dataset: DigitsText) -> None:
    pairing, targets = dataset.pairing("train", 1), dataset.split("train").targets
    assert pairing.names == ("handwritten", "street", "text")
    assert len(pairing.table) == ORIGINALS
    classes = [targets[name][pairing.table[:, m]] for m, name in enumerate(pairing.names)]
    assert all(np.array_equal(classes[0], others) for others in classes[1:])


@pytest.mark.parametrize(
    "scheme", ["complete", "text-only", "handwritten-only", "street-only", "split", "mcar", "mnar"]
)
def test_every_scheme_divides_the_rows(dataset: DigitsText, scheme: str) -> None:
    f = 1.0 if scheme == "complete" else 0.25
    found = observe(dataset, scheme, f, seed=0)
    complete = "handwritten+street+text"
    assert sum(found.counts.values()) == ORIGINALS
    assert found.counts[complete] == int(f * ORIGINALS)
    kept = {name.split("+")[0] for name in found.counts if name != complete}
    if scheme.endswith("-only"):
        assert kept == {scheme.removesuffix("-only")}
    elif scheme != "complete":
        assert any("text" in name for name in found.counts if name != complete)


def test_provenance_tells_images_and_texts_apart(dataset: DigitsText) -> None:
    facts = dataset.provenance()
    assert facts["status"] == "embedded"
    assert facts["counts"]["train"] == dict.fromkeys(("handwritten", "street", "text"), ORIGINALS)
    released = DigitsText(DigitsTextSettings(places="released")).provenance()
    digests = [facts["digest"], released["digest"], Digits(DigitsSettings()).provenance()["digest"]]
    assert len(set(digests)) == 3


def test_settings_are_those_of_digits_and_the_places() -> None:
    assert DATASETS["digits-text"] is DigitsText
    made = parse_settings(DigitsTextSettings, {"size": "full", "places": "released"}, "data")
    assert (made.pairs, made.size, made.places) == (10, "full", "released")
    with pytest.raises(UnknownName, match="did you mean 'released'"):
        parse_settings(DigitsTextSettings, {"places": "release"}, "data")
