"""The sprites dataset: five levels, rows of an image with its own caption, and readers without an error."""

from pathlib import Path

import numpy as np
import pytest

from mmbench.config import parse_settings
from mmbench.datasets import DATASETS, cdsprites
from mmbench.datasets.base import Split, SplitName
from mmbench.datasets.cdsprites import COUNTS, SEED, CdSprites, CdSpritesSettings
from mmbench.datasets.loader import observe
from mmbench.datasets.sprites_drawing import ATTRIBUTES, scenes
from mmbench.errors import InvalidSetting

SPLITS: tuple[SplitName, ...] = ("train", "test")
LEVELS = range(1, 6)


def made(level: int = 3, size: str = "small") -> CdSprites:
    return CdSprites(CdSpritesSettings(level=level, size=size))


def read(dataset: CdSprites, split: Split, name: str) -> np.ndarray:
    reader = dataset.reader(name)
    assert reader is not None
    array = split.arrays[name]
    return reader.read(array / np.float32(255) if array.dtype == np.uint8 else array)


def all_rows_are_read(level: int, size: str) -> None:
    dataset = made(level, size)
    for which in SPLITS:
        truth = scenes(COUNTS[which], level=level, seed=SEED, split=which).values[:, :level]
        for name in ("image", "caption"):
            assert np.array_equal(read(dataset, dataset.split(which), name), truth), (which, name)


@pytest.mark.parametrize("level", LEVELS)
def test_every_row_of_every_level_is_read_without_an_error(level: int) -> None:
    all_rows_are_read(level, "small")


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_every_large_row_of_every_level_is_read_without_an_error(level: int) -> None:
    all_rows_are_read(level, "full")


def test_shapes_types_and_classes() -> None:
    dataset = made()
    image, caption = dataset.modalities
    assert (image.kind, image.shape, caption.kind, caption.shape) == ("image", (3, 32, 32), "tokens", (9,))
    assert dataset.classes == 3
    for which, count in COUNTS.items():
        split = dataset.split(which)
        assert split.arrays["image"].shape == (count, 3, 32, 32)
        assert (split.arrays["image"].dtype, split.arrays["caption"].dtype) == (np.uint8, np.int32)
        assert np.array_equal(split.targets["image"], split.targets["caption"])
    assert made(size="full").modalities[0].shape == (3, 64, 64)


@pytest.mark.parametrize("level", LEVELS)
def test_readers_know_what_the_level_names(level: int) -> None:
    readers = [made(level).reader(name) for name in ("image", "caption")]
    assert [list(reader.attributes) for reader in readers if reader] == [list(ATTRIBUTES)[:level]] * 2
    assert made(level).reader("other") is None


def test_a_row_is_an_image_with_its_own_caption_whatever_the_seed() -> None:
    dataset = made(5)
    for which in SPLITS:
        pairing = dataset.pairing(which, 3)
        assert pairing.names == ("image", "caption")
        assert np.array_equal(pairing.table, np.stack([np.arange(COUNTS[which])] * 2, axis=1))
        assert pairing.checksum == dataset.pairing(which, 4).checksum
    observed = observe(dataset, "caption-only", 0.25, seed=0)
    assert observed.counts == {"image+caption": 1500, "caption": 4500}
    assert (observed.patterns[0].table[:, 0] == observed.patterns[0].table[:, 1]).all()


def test_pairing_anew_within_a_class_is_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"pairs each image with its own caption; use data\.pairs=1, not 2"):
        CdSprites(CdSpritesSettings(pairs=2))
    with pytest.raises(InvalidSetting, match=r"data\.pairs must lie in \[1, 1\], got 2"):
        parse_settings(CdSpritesSettings, {"pairs": 2}, "data")
    with pytest.raises(InvalidSetting, match=r"data\.level must lie in \[1, 5\], got 6"):
        parse_settings(CdSpritesSettings, {"level": 6}, "data")


def test_no_image_stands_twice() -> None:
    images = np.concatenate([made(1).split(which).arrays["image"] for which in SPLITS])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images) == 7000


def test_provenance_is_embedded_with_counts_and_a_digest_of_the_content() -> None:
    facts = made(2).provenance()
    assert facts["status"] == "embedded"
    assert facts["counts"] == {"train": {"image": 6000, "caption": 6000}, "test": {"image": 1000, "caption": 1000}}
    assert len({made(level).provenance()["digest"] for level in (1, 2, 3)}) == 3


def test_it_is_made_once_for_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, str]] = []

    def make_little(level: int, size: str) -> dict[str, np.ndarray]:
        calls.append((level, size))
        names = ("image", "caption", "shape")
        return {f"{which}-{name}": np.ones(3) for which in SPLITS for name in names}

    monkeypatch.setattr(cdsprites, "make", make_little)
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path))
    for level, size in ((1, "small"), (1, "small"), (1, "full"), (2, "small"), (1, "full")):
        made(level, size).split("train")
    assert calls == [(1, "small"), (1, "full"), (2, "small")]


def test_it_needs_no_files() -> None:
    assert DATASETS["cdsprites"] is CdSprites
    assert CdSprites.verify(None) == "cdsprites is embedded: there is nothing to verify."
