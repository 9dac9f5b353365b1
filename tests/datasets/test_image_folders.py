"""`images:FOLDER`: rows by stem, pixels as they are in the files, and every kind of bad folder in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmbench.config import parse_settings
from mmbench.datasets import DATASETS, Dataset
from mmbench.errors import DataError, DataMissing, InvalidSetting

STEMS = [f"{i:02}" for i in range(10)]


def pixels(i: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8)


def put(path: Path, array: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten rows: `photo` 5x4 in colour, `sketch` 3x3 grey; a hidden file and a text are not looked at."""
    for i, stem in enumerate(STEMS):
        put(tmp_path / "birds" / "photo" / f"{stem}.png", pixels(i, 4, 5, 3))
        put(tmp_path / "birds" / "sketch" / f"{stem}.bmp", pixels(100 + i, 3, 3))
    (tmp_path / "birds" / "README.txt").write_text("birds")
    (tmp_path / "birds" / "photo" / "notes.txt").write_text("birds")
    (tmp_path / "birds" / "photo" / ".DS_Store").write_bytes(b"")
    (tmp_path / "birds" / ".cache").mkdir()
    return tmp_path / "birds"


def opened(path: Path, **sets: Any) -> Dataset:
    kind = DATASETS[f"images:{path}"]
    return kind(parse_settings(kind.Settings, sets, "data"))


def all_rows(dataset: Dataset, name: str) -> list[bytes]:
    return [row.tobytes() for which in ("train", "test") for row in dataset.split(which).arrays[name]]


def test_rows_are_files_of_one_stem(folder):
    dataset = opened(folder)
    assert [(s.name, s.kind, s.shape) for s in dataset.modalities] == [
        ("photo", "image", (3, 4, 5)),
        ("sketch", "image", (1, 3, 3)),
    ]
    assert dataset.classes is None
    photos = [pixels(i, 4, 5, 3).transpose(2, 0, 1).tobytes() for i in range(10)]
    sketches = [pixels(100 + i, 3, 3).tobytes() for i in range(10)]
    found = all_rows(dataset, "photo")
    assert sorted(found) == sorted(photos)
    assert all_rows(dataset, "sketch") == [sketches[photos.index(photo)] for photo in found]
    assert [len(dataset.split(which).arrays["photo"]) for which in ("train", "test")] == [8, 2]
    assert "unmatched" not in dataset.provenance()


def test_stems_without_a_partner_are_refused_or_dropped_and_counted(folder):
    (folder / "photo" / "03.png").unlink()
    put(folder / "photo" / "99.png", pixels(0, 4, 5, 3))
    with pytest.raises(DataError, match=r"1 of photo \(the first is 99\) and 1 of sketch \(the first is 03\); .*drop"):
        tuple(opened(folder).modalities)
    dataset = opened(folder, unmatched="drop")
    assert len(all_rows(dataset, "photo")) == len(all_rows(dataset, "sketch")) == 9
    assert dataset.provenance()["unmatched"] == {"photo": 1, "sketch": 1}


def test_a_size_squeezes_every_image_and_colours_make_them_alike(folder):
    put(folder / "sketch" / "05.bmp", pixels(1, 9, 7, 3))
    dataset = opened(folder, size=4, colours="rgb")
    assert [spec.shape for spec in dataset.modalities] == [(3, 4, 4), (3, 4, 4)]
    flat = np.full((6, 2, 3), [10, 20, 30], np.uint8)
    put(folder / "photo" / "00.png", flat)
    colour = np.broadcast_to(np.uint8([10, 20, 30])[:, None, None], (3, 4, 4)).tobytes()
    assert colour in all_rows(opened(folder, size=4, colours="rgb"), "photo")
    grey = opened(folder, size=4, colours="grey")
    luma = round(0.299 * 10 + 0.587 * 20 + 0.114 * 30)  # ITU-R 601-2
    assert np.full((1, 4, 4), luma, np.uint8).tobytes() in all_rows(grey, "photo")


def test_palettes_are_in_colour_and_two_levels_are_grey(tmp_path):
    for i, stem in enumerate(STEMS):
        put(tmp_path / "p" / f"{stem}.png", pixels(i, 4, 4, 3), "P")
        put(tmp_path / "one" / f"{stem}.png", pixels(i, 4, 4), "1")
    dataset = opened(tmp_path)
    assert [(spec.name, spec.shape) for spec in dataset.modalities] == [("one", (1, 4, 4)), ("p", (3, 4, 4))]
    assert set(np.unique(dataset.split("train").arrays["one"])) == {0, 255}


def torn(folder: Path) -> None:
    file = folder / "photo" / "04.png"
    file.write_bytes(file.read_bytes()[:60])


def no_image(folder: Path) -> None:
    (folder / "photo" / "04.png").write_text("no image")


def another_size(folder: Path) -> None:
    put(folder / "photo" / "04.png", pixels(0, 4, 6, 3))


def grey_among_colour(folder: Path) -> None:
    put(folder / "photo" / "04.png", pixels(0, 4, 5))


def transparent(folder: Path) -> None:
    put(folder / "photo" / "04.png", pixels(0, 4, 5, 3), "RGBA")


def deep(folder: Path) -> None:
    put(folder / "photo" / "04.png", pixels(0, 4, 5).astype(np.int32) * 200, "I;16")


def twice(folder: Path) -> None:
    put(folder / "photo" / "04.bmp", pixels(0, 4, 5, 3))


def nested(folder: Path) -> None:
    (folder / "photo" / "class-1").mkdir()


def empty(folder: Path) -> None:
    (folder / "audio").mkdir()


def upper_case(folder: Path) -> None:
    put(folder / "Sound" / "00.png", pixels(0, 4, 5))


def nothing_shared(folder: Path) -> None:
    for file in (folder / "photo").glob("*.png"):
        file.rename(file.with_name(f"x{file.name}"))


@pytest.mark.parametrize(
    ("spoil", "sets", "sentence"),
    [
        (torn, {}, r"photo/04.png is not a whole image"),
        (no_image, {}, r"photo/04.png is not a whole image"),
        (
            another_size,
            {},
            r"04.png is in colour with 6x4 pixels, while 00.png is in colour with 5x4 .*data.size=PIXELS",
        ),
        (grey_among_colour, {}, r"04.png is grey with 5x4 pixels, while .*one with data.colours=rgb or grey\."),
        (transparent, {}, r"04.png is an image of mode RGBA; use data.colours=rgb"),
        (deep, {"colours": "grey"}, r"04.png is an image of mode I.*; save it with 8 bits a colour"),
        (twice, {}, r"04.bmp and 04.png, of one stem; keep one"),
        (nested, {}, r"photo/class-1 is a folder; images stand directly in"),
        (empty, {}, r"audio holds no image \(.bmp, "),
        (upper_case, {}, r"a modality 'Sound'"),
        (nothing_shared, {"unmatched": "drop"}, r"photo, sketch share no stem, so no row is whole"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(folder, spoil, sets, sentence):
    spoil(folder)
    with pytest.raises(DataError, match=sentence) as raised:
        opened(folder, **sets).provenance()
    assert str(raised.value).count("\n") == 0


def test_an_image_of_too_many_pixels_is_not_decoded(folder, monkeypatch):
    monkeypatch.setattr("mmbench.datasets.image_folders.MOST_PIXELS", 19)
    with pytest.raises(DataError, match=r"00.png has 5x4 pixels; at most 19 are read"):
        tuple(opened(folder).modalities)


def test_a_name_without_a_folder_of_folders_is_told(tmp_path):
    with pytest.raises(InvalidSetting, match=r"'images:' must name a folder, e.g. images:birds"):
        DATASETS["images:"]
    with pytest.raises(DataError, match=r"holds no sub-folder; it needs one for each modality"):
        tuple(opened(tmp_path).modalities)
    with pytest.raises(DataMissing, match=r"nowhere, which is not there"):
        tuple(opened(tmp_path / "nowhere").modalities)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataMissing, match=r"needs a folder, and .* is none; arrays of an .npz are npz:FILE"):
        tuple(opened(tmp_path / "file").modalities)
