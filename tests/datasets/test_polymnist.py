"""PolyMNIST from small archives in the published layout: a folder and a zip, and what is wrong with each bad file."""

import io
import os
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmbench.datasets import DATASETS, DatasetSettings, polymnist
from mmbench.datasets.loader import observe
from mmbench.datasets.polymnist import PolyMnist
from mmbench.datasets.polymnist_files import decoded
from mmbench.errors import DataError, DataMissing
from mmbench.testing import for_datasets
from mmbench.testing.contract import NotApplicable

NAMES = ("m0", "m1", "m2", "m3", "m4")
COUNTS = {"train": 3, "test": 2}  # images of each digit


def pixels(which: str, name: str, number: int, digit: int) -> np.ndarray:
    """Noise `[28, 28, 3]` of which all else is told by its seed."""
    seed = [len(which), int(name[1]), number, digit]
    return np.random.default_rng(seed).integers(256, size=(28, 28, 3)).astype(np.uint8)


def png(array: np.ndarray) -> bytes:
    target = io.BytesIO()
    Image.fromarray(array).save(target, "PNG")
    return target.getvalue()


@cache
def noise(which: str, name: str, number: int, digit: int) -> bytes:
    return png(pixels(which, name, number, digit))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own: the archives of two tests hold the same images."""
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three training and two test images of each digit and modality, written in no order."""
    for which, count in COUNTS.items():
        for name in NAMES:
            folder = tmp_path / "data" / "MMNIST" / which / name
            folder.mkdir(parents=True)
            for number in reversed(range(count)):
                for digit in (7, 3, 9, 0, 1, 8, 2, 6, 5, 4):
                    (folder / f"{number}.{digit}.png").write_bytes(noise(which, name, number, digit))
    return tmp_path / "data"


@pytest.fixture
def zipped(root: Path, tmp_path: Path) -> Path:
    """The same images in `PolyMNIST.zip`, with what a Macintosh adds to a zip."""
    target = tmp_path / "zipped"
    target.mkdir()
    with zipfile.ZipFile(target / "PolyMNIST.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in root.rglob("*.png"):
            archive.write(file, file.relative_to(root))
        archive.writestr("__MACOSX/MMNIST/train/m0/._0.0.png", b"\0")
        archive.writestr("MMNIST/readme.txt", b"hello")
    return target


def at(root: Path | None, *, pairs: int = 1) -> PolyMnist:
    return PolyMnist(DatasetSettings(pairs=pairs), root)


def test_images_stand_in_the_order_of_digit_and_number(root: Path) -> None:
    dataset = at(root)
    for which, count in COUNTS.items():
        split = dataset.split(which)
        expected = [(digit, number) for digit in range(10) for number in range(count)]
        for spec in dataset.modalities:
            assert spec.shape == (3, 28, 28)
            assert split.targets[spec.name].tolist() == [digit for digit, _ in expected]
            shown = [pixels(which, spec.name, number, digit).transpose(2, 0, 1) for digit, number in expected]
            assert split.arrays[spec.name].dtype == np.uint8
            assert np.array_equal(split.arrays[spec.name], np.stack(shown))


def test_rows_are_images_of_one_name_and_repeats_stay_in_their_class(root: Path) -> None:
    pairing = at(root).pairing("train", 0)
    assert pairing.names == NAMES
    assert sorted(pairing.table[:, 0].tolist()) == list(range(30))
    assert (pairing.table == pairing.table[:, :1]).all()
    assert observe(at(root, pairs=3), "complete", 1.0, seed=0).counts == {"m0+m1+m2+m3+m4": 90}


def test_the_zip_is_read_as_it_is(root: Path, zipped: Path) -> None:
    assert at(zipped).provenance() == at(root).provenance()
    assert [path.name for path in zipped.iterdir()] == ["PolyMNIST.zip"]


@pytest.mark.parametrize("place", ["PolyMNIST", "PolyMNIST/MMNIST"])
def test_the_folder_may_lie_below_or_be_called_polymnist(root: Path, place: str) -> None:
    before = at(root).provenance()
    (root / "MMNIST").rename(root / "other")
    (root / place).parent.mkdir(exist_ok=True)
    (root / "other").rename(root / place)
    assert at(root).provenance() == before


def test_it_is_unverified_with_its_counts_and_says_why(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = at(root).provenance()
    assert facts["status"] == "unverified"
    assert facts["counts"] == {"train": dict.fromkeys(NAMES, 30), "test": dict.fromkeys(NAMES, 20)}
    assert facts["note"].startswith("not the published counts, 60000 + 10000; mmbench knows no digest")
    assert f"polymnist in {root} is unverified (30 + 20 training and test images of each of m0" in PolyMnist.fetch(root)
    monkeypatch.setattr(polymnist, "PUBLISHED_COUNTS", {"train": 30, "test": 20})
    facts = at(root).provenance()
    assert facts["status"] == "unverified"
    assert facts["note"].startswith("the published counts; mmbench knows no digest")


def test_images_are_decoded_once_and_again_where_one_was_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = at(root).split("test")
    calls: list[str] = []

    def counted(content: bytes, name: str) -> np.ndarray:
        calls.append(name)
        return decoded(content, name)

    monkeypatch.setattr(polymnist, "decoded", counted)
    assert np.array_equal(at(root).split("test").arrays["m2"], first.arrays["m2"])
    assert not calls
    file = root / "MMNIST" / "test" / "m2" / "0.0.png"
    file.write_bytes(png(pixels("other", "m2", 5, 5)))
    os.utime(file, ns=(1, 1))
    changed = at(root).split("test").arrays["m2"]
    assert len(calls) == 5 * 20
    assert np.array_equal(changed[0], pixels("other", "m2", 5, 5).transpose(2, 0, 1))
    assert np.array_equal(changed[1:], first.arrays["m2"][1:])


def grey(path: Path) -> None:
    path.write_bytes(png(pixels("x", "m0", 0, 0)[..., 0]))


def small(path: Path) -> None:
    path.write_bytes(png(pixels("x", "m0", 0, 0)[:, :27]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def text(path: Path) -> None:
    path.write_text("no image")


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 300] ^= 255
    path.write_bytes(content)


def large(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(1 << 16))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (grey, "must be a PNG image of 28x28 RGB pixels of 8 bits"),
        (small, "must be a PNG image of 28x28 RGB pixels of 8 bits, got 27x28"),
        (cut, "is a PNG image that is cut short"),
        (text, "is not a PNG image"),
        (damaged, "is a damaged PNG image"),
        (large, "has 6[0-9]+ bytes, more than the 65536 that are read"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_bad_image_is_named(
    root: Path, tmp_path: Path, spoil: Callable[[Path], None], sentence: str, packed: bool
) -> None:
    spoil(root / "MMNIST" / "train" / "m3" / "1.4.png")
    if packed:
        (tmp_path / "packed").mkdir()
        with zipfile.ZipFile(tmp_path / "packed" / "PolyMNIST.zip", "w") as archive:
            for file in root.rglob("*.png"):
                archive.write(file, file.relative_to(root))
        root = tmp_path / "packed"
    with pytest.raises(DataError, match=rf"train/m3/1\.4\.png {sentence}"):
        PolyMnist.verify(root)


def test_a_png_file_cut_anywhere_is_an_error() -> None:
    whole = png(pixels("train", "m0", 0, 0))
    for length in range(len(whole)):
        with pytest.raises(DataError, match=r"^a\.png is "):
            decoded(whole[:length], "a.png")


def test_modalities_that_disagree_are_named(root: Path) -> None:
    train = root / "MMNIST" / "train"
    (train / "m2" / "1.7.png").rename(train / "m2" / "3.8.png")
    with pytest.raises(DataError, match=r"train/m2 has no 1\.7\.png, which is in m0: images of one name form a row"):
        at(root).split("train")
    (train / "m2" / "1.7.png").write_bytes((train / "m2" / "0.7.png").read_bytes())
    with pytest.raises(DataError, match=r"train/m0 has no 3\.8\.png, which is in m2"):
        at(root).split("train")


@pytest.mark.parametrize("name", ["0.png", "x.3.png", "1.10.png", "01.3.png", "-1.3.png"])
def test_a_name_that_says_no_digit_is_refused(root: Path, name: str) -> None:
    (root / "MMNIST" / "test" / "m1" / name).write_bytes(png(pixels("test", "m1", 0, 0)))
    with pytest.raises(DataError, match=r"test/m1/.*\.png is not named <number>\.<digit>\.png"):
        at(root).split("test")


def test_missing_parts_are_named(root: Path, zipped: Path, tmp_path: Path) -> None:
    folder = root / "MMNIST" / "test" / "m4"
    folder.rename(root / "elsewhere")
    with pytest.raises(DataMissing, match=r"needs the folder .*test/m4, which is not there"):
        PolyMnist.verify(root)
    folder.mkdir()
    with pytest.raises(DataMissing, match=r"needs the images .*test/m4/<number>.<digit>.png, and there are none"):
        PolyMnist.verify(root)
    with pytest.raises(DataMissing, match=r"PolyMNIST\.zip or its folder .*MMNIST, and neither is there.*zenodo"):
        PolyMnist.fetch(tmp_path / "nowhere")
    with pytest.raises(DataMissing, match=r"no folder was named; name one by --data-root or MMBENCH_DATA"):
        PolyMnist.verify(None)
    with zipfile.ZipFile(zipped / "PolyMNIST.zip", "w") as archive:
        archive.writestr("MMNIST/train/m0/0.0.png", png(pixels("train", "m0", 0, 0)))
    with pytest.raises(DataMissing, match=r"PolyMNIST\.zip/train/m1/<number>"):
        at(zipped).split("train")


def test_a_bad_zip_is_named(zipped: Path) -> None:
    path = zipped / "PolyMNIST.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"PolyMNIST\.zip is not a whole zip file"):
        at(zipped).split("test")
    damaged = bytearray(whole)
    start = damaged.index(b"MMNIST/test/m0/1.5.png") + 400  # in the packed pixels behind the first mention of the name
    damaged[start : start + 8] = bytes(8)
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"PolyMNIST\.zip/test/m0/1\.5\.png cannot be unpacked"):
        at(zipped).split("test")


def test_an_image_that_stands_twice_in_the_zip_is_refused(zipped: Path) -> None:
    with zipfile.ZipFile(zipped / "PolyMNIST.zip", "a") as archive:
        archive.writestr("again/test/m0/1.5.png", png(pixels("test", "m0", 1, 5)))
    with pytest.raises(DataError, match=r"test/m0/1\.5\.png stands in it twice"):
        at(zipped).split("test")


def test_nothing_is_kept_where_an_image_is_bad(root: Path, own_cache: Path) -> None:
    cut(root / "MMNIST" / "train" / "m4" / "2.9.png")
    with pytest.raises(DataError):
        at(root).split("train")
    assert not own_cache.exists()
    at(root).split("test")
    assert len(list(own_cache.iterdir())) == 1


def test_it_is_registered() -> None:
    assert DATASETS["polymnist"] is PolyMnist
    assert at(None).classes == 10
    assert [spec.name for spec in at(None).modalities] == list(NAMES)


@pytest.mark.parametrize("check", for_datasets.CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract_where_it_has_files(
    root: Path, monkeypatch: pytest.MonkeyPatch, check: Callable[[type[PolyMnist]], None]
) -> None:
    monkeypatch.setenv("MMBENCH_DATA", str(root))
    if check in (
        for_datasets.a_known_density_is_that_of_the_rows,
        for_datasets.a_reader_reads_the_class_of_every_real_row,
    ):
        with pytest.raises(NotApplicable, match=r"not known|no modality of polymnist is read by rule"):
            check(PolyMnist)
    else:
        check(PolyMnist)
