"""Groups of rows that share an original: a scheme sees groups, so that no original is paired here and alone there."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.datasets import Dataset, DatasetSettings, Pairing, Split
from mmbench.datasets.observation import observe
from mmbench.datasets.pairing import Groups
from mmbench.modality import ModalitySpec
from mmbench.testing import for_datasets
from mmbench.testing.contract import Broken


class Told(Dataset):
    """`images` originals with `each` captions apiece, no classes; rows shuffled, grouped or (wrongly) not."""

    name = "told"
    description = "told"
    common: Mapping[str, Mapping[str, Any]] = {}
    grouped = True

    def __init__(self, settings: object = None, root: object = None, *, images: int = 6, each: int = 3) -> None:
        super().__init__(DatasetSettings())
        self._images, self._each = images, each

    @property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        return ModalitySpec("image", "vector", (1,)), ModalitySpec("caption", "vector", (1,))

    @property
    def classes(self) -> None:
        return None

    def split(self, which: str) -> Split:
        images = np.arange(self._images, dtype=np.float64)[:, None]
        return Split({"image": images, "caption": np.arange(self._images * self._each, dtype=np.float64)[:, None]}, {})

    def pairing(self, which: str, seed: int) -> Pairing:
        captions = np.random.default_rng(seed).permutation(self._images * self._each)
        images = captions // self._each
        table = np.stack([images, captions], axis=1)
        return Pairing(("image", "caption"), table, groups=images if self.grouped else None)

    def provenance(self) -> Mapping[str, Any]:
        return {"status": "embedded", "counts": {}, "digest": "none"}


class Ungrouped(Told):
    """Rows share originals, and the pairing does not say so."""

    grouped = False


@settings(max_examples=40, deadline=None)
@given(
    scheme=st.sampled_from(["complete", "image-only", "caption-only", "split", "mcar"]),
    f=st.integers(30, 100).map(lambda k: k / 100),
    images=st.integers(4, 30),
    each=st.integers(1, 5),
    coin=st.booleans(),
)
def test_an_image_and_all_its_captions_are_observed_alike(
    scheme: str, f: float, images: int, each: int, coin: bool
) -> None:
    found = observe(Told(images=images, each=each), scheme, f, seed=2, coin=coin and scheme == "split").patterns
    # what each image and the image of each caption are seen with; under the coin its alternatives count as one
    seen: dict[int, set[tuple[str, ...]]] = {}
    for pattern in found:
        kind = ("coin",) if pattern.coin else pattern.names
        columns = {name: pattern.table[:, m] for m, name in enumerate(pattern.names)}
        if len(pattern.names) == 2:
            assert (columns["caption"] // each == columns["image"]).all()
        owners = columns["image"] if "image" in columns else columns["caption"] // each
        for image in owners.tolist():
            seen.setdefault(image, set()).add(kind)
        assert np.array_equal(np.unique(owners, return_counts=True)[1], np.full(len(set(owners.tolist())), each))
    assert all(len(kinds) == 1 for kinds in seen.values())
    assert len(found[0].table) == each * (round(100 * f) * images // 100)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_members_are_all_rows_of_the_chosen_groups_in_their_order(numbers: list[int]) -> None:
    table = np.arange(len(numbers))[:, None]
    groups = Groups.of(Pairing(("a",), table, groups=np.array(numbers)))
    names = sorted(set(numbers))
    assert len(groups) == len(names)
    assert [numbers[row] for row in groups.leaders] == names
    order = np.random.default_rng(0).permutation(len(names))
    expected = [row for g in order for row in range(len(numbers)) if numbers[row] == names[g]]
    assert groups.members(order).tolist() == expected
    assert groups.members(order[:0]).tolist() == []


def test_without_groups_every_row_is_its_own() -> None:
    groups = Groups.of(Pairing(("a",), np.zeros((4, 1), int)))
    assert groups.members(np.array([2, 0])).tolist() == [2, 0]
    assert groups.leaders.tolist() == [0, 1, 2, 3]


def test_the_checksum_knows_the_groups() -> None:
    table = np.arange(4)[:, None]
    found = [Pairing(("a",), table, groups=g).checksum for g in (None, np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))]
    assert len(set(found)) == 3


def test_the_contract_takes_groups_and_finds_out_where_they_are_kept_silent() -> None:
    check = for_datasets.pairing_joins_originals_of_one_class_and_uses_each_once
    check(Told)
    with pytest.raises(Broken, match="an original of image stands in two rows"):
        check(Ungrouped)
