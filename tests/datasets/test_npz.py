"""`npz:FILE`: what each array becomes, by hand; how rows are divided; and every kind of bad file in one sentence."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmbench.config import parse_settings
from mmbench.datasets import DATASETS, Dataset
from mmbench.datasets.npz_arrays import headers
from mmbench.datasets.observation import observe
from mmbench.errors import CannotBear, DataError, DataMissing, InvalidSetting, MMBenchError, UnknownName

N = 12
NUMBER = np.arange(N)


def saved(folder: Path, arrays: dict[str, Any], name: str = "own.npz") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def opened(path: Path | str, root: Path | None = None, **sets: Any) -> Dataset:
    kind = DATASETS[f"npz:{path}"]
    return kind(parse_settings(kind.Settings, sets, "data"), root)


def rows_of(dataset: Dataset, name: str) -> np.ndarray:
    """All rows of a modality, in the order of `key`, whose one value is the number of the row in the file."""
    both = [dataset.split("train"), dataset.split("test")]
    keys = np.concatenate([split.arrays["key"][:, 0] for split in both]).astype(int)
    return np.concatenate([split.arrays[name] for split in both])[np.argsort(keys)]


def keyed(array: np.ndarray) -> dict[str, np.ndarray]:
    return {"key": NUMBER[:, None].astype(np.float32), "x": array}


# What an array is -----------------------------------------------------------------------------------------------------
def picture(*shape: int) -> np.ndarray:
    return (np.arange(N * int(np.prod(shape))) * 7 % 256).astype(np.uint8).reshape(N, *shape)


@pytest.mark.parametrize(
    ("shape", "sets", "expected"),
    [
        ((4, 5), {}, lambda x: x[:, None]),
        ((1, 4, 5), {}, lambda x: x),
        ((3, 4, 5), {}, lambda x: x),
        ((4, 5, 3), {}, lambda x: np.stack([x[..., c] for c in range(3)], axis=1)),
        ((4, 5, 1), {}, lambda x: x[..., 0][:, None]),
        ((3, 5, 3), {"channels": "first"}, lambda x: x),
        ((3, 5, 3), {"channels": "last"}, lambda x: np.stack([x[..., c] for c in range(3)], axis=1)),
    ],
)
@pytest.mark.parametrize("kind", ["uint8", "float32", "float64", ">f4"])
def test_images_are_channels_first_in_8_bits(tmp_path, shape, sets, expected, kind):
    pixels = picture(*shape)
    array = pixels if kind == "uint8" else (pixels / 255).astype(kind)
    dataset = opened(saved(tmp_path, keyed(array)), standardise=False, **sets)
    spec = dataset.modalities[1]
    found = rows_of(dataset, "x")
    assert (spec.name, spec.kind, spec.shape, found.dtype) == ("x", "image", expected(pixels).shape[1:], np.uint8)
    assert np.array_equal(found, expected(pixels))


def test_floats_become_the_nearest_of_256_levels(tmp_path):
    levels = np.array([0, 0.4, 0.6, 1.4, 254.4, 254.6, 255])
    array = np.broadcast_to(levels / 255, (N, 1, 7))
    dataset = opened(saved(tmp_path, keyed(array)), standardise=False)
    assert rows_of(dataset, "x")[0].ravel().tolist() == [0, 0, 1, 1, 254, 255, 255]


def test_vectors_are_standardised_by_the_training_rows_alone(tmp_path):
    rng = np.random.default_rng(0)
    x = np.c_[rng.normal(1e9, 7, N), rng.normal(-3, 0.1, N), np.full(N, 0.1)]
    x[7:, 2] = 0.6
    path = saved(tmp_path, {"x": x, "split": np.array(["train"] * 7 + ["test"] * 5)})
    train = x[:7]
    assert train[:, 2].std() > 0  # by rounding alone: seven times 0.1 is no multiple of it
    expected = (x - train.mean(0)) / np.array([*train[:, :2].std(0), 1.0])
    dataset = opened(path)
    for which, rows in (("train", expected[:7]), ("test", expected[7:])):
        found = dataset.split(which).arrays["x"]
        assert found.dtype == np.float32
        assert np.allclose(np.sort(found, axis=0), np.sort(rows, axis=0), atol=1e-5)
    plain = opened(path, standardise=False).split("train").arrays["x"]
    assert np.array_equal(np.sort(plain, axis=0), np.sort(train.astype(np.float32), axis=0))


def test_integers_are_tokens_with_their_words_and_padding(tmp_path):
    tokens = np.stack([NUMBER % 4, np.full(N, 3)], axis=1)
    words = np.array(["<pad>", "red", "green", "blue", "never"])
    bare = opened(saved(tmp_path, keyed(tokens))).modalities[1].tokens
    assert (bare.vocabulary, bare.words, bare.ignored) == (4, ("0", "1", "2", "3"), None)
    dataset = opened(saved(tmp_path, keyed(tokens) | {"x.words": words}, "worded.npz"), standardise=False, padding=0)
    assert [spec.name for spec in dataset.modalities] == ["key", "x"]
    held = dataset.modalities[1].tokens
    assert (held.vocabulary, held.ignored, held.text([0, 2, 3])) == (5, 0, "green blue")
    assert np.array_equal(rows_of(dataset, "x"), tokens)


# Rows and classes -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("test", "count"), [(0.25, 3), (5, 5), ("2", 2)])
def test_a_share_or_a_number_of_rows_is_the_test_split(tmp_path, test, count):
    path = saved(tmp_path, {"x": NUMBER[:, None].astype(np.float32)})
    dataset = opened(path, test=test, standardise=False)
    parts = [dataset.split(which).arrays["x"][:, 0].astype(int).tolist() for which in ("train", "test")]
    assert [len(part) for part in parts] == [N - count, count]
    assert sorted(parts[0] + parts[1]) == NUMBER.tolist()
    assert parts[0] != sorted(parts[0])  # rows are in a random order, so that files sorted by class do no harm
    again = opened(path, test=test, standardise=False)
    assert again.split("test").arrays["x"][:, 0].astype(int).tolist() == parts[1]


def test_row_i_belongs_to_row_i_whatever_the_seed(tmp_path):
    path = saved(tmp_path, {"x": NUMBER[:, None] * 1.0, "y": NUMBER[:, None] * 10.0, "z": NUMBER[:, None] * 100.0})
    dataset = opened(path, standardise=False)
    for which, seed in (("train", 0), ("train", 1), ("test", 0)):
        pairing, arrays = dataset.pairing(which, seed), dataset.split(which).arrays
        columns = [arrays[name][pairing.table[:, m], 0] for m, name in enumerate(pairing.names)]
        assert pairing.names == ("x", "y", "z")
        assert np.array_equal(columns[1], 10 * columns[0])
        assert np.array_equal(columns[2], 100 * columns[0])


@pytest.mark.parametrize("labels", [np.repeat([7, 30, 31], [6, 3, 3]), np.repeat(["cat", "dog", "eel"], [6, 3, 3])])
def test_labels_are_classes_that_both_splits_share(tmp_path, labels):
    path = saved(tmp_path, {"x": NUMBER[:, None].astype(np.float32), "labels": labels})
    dataset = opened(path, test=4, standardise=False)
    assert (dataset.classes, [spec.name for spec in dataset.modalities]) == (3, ["x"])
    train, test = dataset.split("train"), dataset.split("test")
    for split in (train, test):
        numbers = split.arrays["x"][:, 0].astype(int)
        assert split.targets["x"].dtype == np.int64
        assert np.array_equal(split.targets["x"], np.unique(labels, return_inverse=True)[1][numbers])
    assert np.bincount(test.targets["x"]).tolist() == [2, 1, 1]  # of each class the same share


def test_without_labels_there_are_no_classes_to_pair_anew_within(tmp_path):
    path = saved(tmp_path, {"x": NUMBER[:, None] * 1.0, "y": NUMBER[:, None] * 1.0})
    dataset = opened(path, pairs=2)
    assert (dataset.classes, dataset.split("test").targets) == (None, {})
    with pytest.raises(CannotBear, match=r"has no classes to pair anew within; use data.pairs=1"):
        observe(dataset, "complete", 1.0, seed=0)


# Where it is, and what it says of itself ------------------------------------------------------------------------------
def test_a_file_is_found_from_here_below_the_root_and_by_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    here, root = tmp_path / "here", tmp_path / "root"
    absolute = saved(here, {"x": picture(2, 2)}, "a.npz")
    saved(root / "deep", {"x": picture(2, 3)}, "b.npz")
    saved(root, {"x": picture(2, 4)}, "a.npz")
    monkeypatch.chdir(here)
    shapes = [opened(*found).modalities[0].shape for found in (("a.npz", root), ("deep/b.npz", root), (absolute,))]
    assert shapes == [(1, 2, 2), (1, 2, 3), (1, 2, 2)]
    with pytest.raises(
        DataMissing, match=r"npz:deep/b.npz needs .*here/deep/b.npz, which is not there; .*MMBENCH_DATA"
    ):
        tuple(opened("deep/b.npz").modalities)
    monkeypatch.setenv("MMBENCH_DATA", str(root))
    assert opened("deep/b.npz").modalities[0].shape == (1, 2, 3)


def test_modalities_need_the_headers_only(tmp_path, monkeypatch):
    path = saved(tmp_path, {"face": picture(4, 4, 3), "measures": np.ones((N, 5))})
    monkeypatch.setattr(np, "load", None)
    assert [(s.name, s.kind, s.shape) for s in opened(path).modalities] == [
        ("face", "image", (3, 4, 4)),
        ("measures", "vector", (5,)),
    ]


def test_the_digest_is_of_the_content(tmp_path):
    arrays = {"x": picture(4, 4), "y": np.arange(N * 2.0).reshape(N, 2)}
    first, other = opened(saved(tmp_path, arrays, "a.npz")), opened(saved(tmp_path, arrays, "b.npz"))
    changed = opened(saved(tmp_path, arrays | {"x": picture(4, 4)[::-1]}, "c.npz"))
    labelled = opened(saved(tmp_path, arrays | {"labels": NUMBER % 2}, "d.npz"))
    digests = [dataset.provenance()["digest"] for dataset in (first, other, changed, labelled)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert first.provenance() == {
        "status": "own",
        "counts": {"train": {"x": 10, "y": 10}, "test": {"x": 2, "y": 2}},
        "digest": digests[0],
        "file": "a.npz",
    }


def test_verify_says_what_is_in_it(tmp_path):
    tokens = np.stack([NUMBER % 4, NUMBER % 3], axis=1)
    path = saved(tmp_path, {"face": picture(4, 5), "size": np.ones((N, 2)), "note": tokens})
    kind = DATASETS[f"npz:{path}"]
    digest = opened(path).provenance()["digest"]
    assert kind.verify(None) == (
        f"npz:{path} is well formed: 12 rows (10 train, 2 test) of face (image 1x4x5), size (vector 2) and note "
        f"(tokens 2 of a vocabulary of 4); no classes, so that metrics which need them are skipped; digest {digest}; "
        f"read from {path}."
    )
    assert kind.fetch(None) == f"npz:{path} is your own: there is nothing to fetch."


# Bad files ------------------------------------------------------------------------------------------------------------
GOOD = {"x": np.zeros((N, 3), np.float32)}
SPLIT = np.array(["train", "test"] * 6)


@pytest.mark.parametrize(
    ("arrays", "sets", "error", "sentence"),
    [
        (GOOD | {"y": np.zeros((N + 1, 3))}, {}, DataError, r"differ in their number of rows \(x 12, y 13\)"),
        (GOOD | {"labels": NUMBER[:5]}, {}, DataError, r"differ in their number of rows \(x 12, labels 5\)"),
        ({"x": np.zeros((N, 3), complex)}, {}, DataError, r"'x' is complex128 \[12, 3\]; save images as uint8"),
        ({"x": np.zeros((N, 3), bool)}, {}, DataError, r"save images as uint8"),
        ({"x": np.array(["a"] * N)[:, None]}, {}, DataError, r"save images as uint8"),
        ({"x": np.zeros((N, 3), np.uint8)}, {}, DataError, r"uint8 \[12, 3\]; images are \[N, H, W\]"),
        ({"x": np.zeros(N)}, {}, DataError, r"one value a row; save vectors as \[N, 1\]"),
        ({"x": np.zeros((N, 2, 2), int)}, {}, DataError, r"integers are tokens, rows \[N, L\]"),
        ({"x": np.zeros((N, 0))}, {}, DataError, r"its rows are empty"),
        ({"x": np.zeros((0, 3))}, {}, DataError, r"have no rows"),
        ({"x": np.zeros(())}, {}, DataError, r"'x' is a single number"),
        ({"labels": NUMBER}, {}, DataError, r"holds no modality"),
        ({"x": picture(4, 5, 2)}, {}, DataError, r"images have 1 or 3 channels, first or last in a row"),
        ({"x": picture(3, 4, 5)}, {"channels": "last"}, DataError, r"1 or 3 channels, last in a row"),
        ({"x": picture(3, 5, 3)}, {}, DataError, r"say which with data.channels=first or last"),
        ({"x": picture(4, 5) / 100}, {}, DataError, r"values from 0 to 2.55; images of floats lie in \[0, 1\]"),
        ({"x": np.where(NUMBER[:, None] < 2, np.nan, [1.0, 2.0])}, {}, DataError, r"NaN or infinite values in 2 of 12"),
        ({"x": np.full((N, 2), np.inf)}, {}, DataError, r"NaN or infinite values in 12 of 12"),
        ({"x": np.full((N, 2), 1e300)}, {"standardise": False}, DataError, r"too large for single precision"),
        ({"x": NUMBER[:, None] - 1}, {}, DataError, r"integers from -1 to 10; they are tokens"),
        ({"x": NUMBER[:, None] * 100_000}, {}, DataError, r"integers from 0 to 1100000; they are tokens"),
        (GOOD | {"labels": np.zeros((N, 1), int)}, {}, DataError, r"'labels' is int64 \[12, 1\]; it needs one whole"),
        (GOOD | {"labels": np.zeros(N)}, {}, DataError, r"'labels' is float64 \[12\]; it needs one whole"),
        (GOOD | {"split": NUMBER}, {}, DataError, r"'split' is int64 \[12\]; it needs the word train or test"),
        (GOOD | {"split": np.where(NUMBER == 0, "test", "train")}, {}, DataError, r"1 would be in the test split"),
        ({"x": np.zeros((3, 2))}, {}, DataError, r"3 rows, of which 1 would be in the test split.*set data.test"),
        (GOOD, {"test": 12}, DataError, r"12 rows, of which 0 would be in the train split"),
        (GOOD, {"test": 2.5}, InvalidSetting, r"data.test is a share below 1 or a whole number"),
        ({"Face": picture(2, 2)}, {}, DataError, r"a modality 'Face'; a name is of lower-case letters"),
        ({"a+b": picture(2, 2)}, {}, DataError, r"a modality 'a\+b'"),
        ({"x": NUMBER[:, None], "x.words": np.array(["a"])}, {}, DataError, r"a word for each token of 'x', which"),
        ({"x": NUMBER[:, None]}, {"padding": 12}, InvalidSetting, r"data.padding=12 is no token of 'x'"),
        (GOOD, {"colour": 1}, UnknownName, r"colour"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_sentence(tmp_path, arrays, sets, error, sentence):
    path = saved(tmp_path, arrays)
    with pytest.raises(error, match=sentence) as raised:
        opened(path, **sets).provenance()
    assert str(raised.value).count("\n") == 0
    assert isinstance(raised.value, MMBenchError)


def test_python_objects_are_never_read(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x=np.array([{"a": 1}] * N, dtype=object), y=GOOD["x"])
    with pytest.raises(DataError, match=r"'x' holds Python objects, which are never read"):
        tuple(opened(path).modalities)


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_a_torn_file_is_named(tmp_path, cut):
    path = saved(tmp_path, GOOD)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"own.npz is no whole .npz file"):
        tuple(opened(path).modalities)


def test_a_flipped_bit_is_found_when_the_array_is_read(tmp_path):
    path = saved(tmp_path, {"x": np.zeros((N, 300), np.float32)})
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"own.npz is no whole .npz file"):
        opened(path).provenance()


def test_an_array_twice_a_stranger_and_an_empty_file_are_told(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, GOOD["x"])
    cases = {"holds the array 'x' twice": ["x.npy", "x.npy"], "'notes.txt', which is no array": ["x.npy", "notes.txt"]}
    for number, (sentence, members) in enumerate((cases | {"holds no array": []}).items()):
        path = tmp_path / f"{number}.npz"
        with pytest.MonkeyPatch.context() as patch, zipfile.ZipFile(path, "w") as archive:
            patch.setattr("warnings.warn", lambda *args, **kwargs: None)  # zipfile warns of the name that stands twice
            for member in members:
                archive.writestr(member, buffer.getvalue())
        with pytest.raises(DataError, match=sentence):
            headers(path)


@pytest.mark.parametrize("name", ["faces.npy", "", ".npz", "faces"])
def test_a_name_that_is_no_npz_is_refused_at_once(name):
    with pytest.raises(InvalidSetting, match=r"must name a file that ends in .npz, e.g. npz:faces.npz"):
        DATASETS[f"npz:{name}"]


def test_a_folder_that_ends_in_npz_is_no_file(tmp_path):
    (tmp_path / "own.npz").mkdir()
    with pytest.raises(DataMissing, match=r"is none; a folder of images is images:FOLDER"):
        tuple(opened(tmp_path / "own.npz").modalities)
