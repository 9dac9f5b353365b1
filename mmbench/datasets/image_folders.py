"""`images:FOLDER`, one's own images: each sub-folder is a modality, and files of one stem are a row.

    birds/photo/0001.jpg    birds/drawing/0001.png    ->    modalities `drawing` and `photo`, a row `0001`

A row needs a file in every sub-folder; stems that are missing in some are an error, or are left out and counted with
`data.unmatched=drop`. Images of a modality have one size, or are squeezed to `data.size` pixels a side, and are all
grey or all in colour, or are made so by `data.colours`. Hidden files and files of other types are not looked at. Rows
are in the order of their stems, and have no classes. Images are decoded anew for each run.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mmbench.config import setting
from mmbench.datasets.base import DATASETS, Dataset, DatasetSettings
from mmbench.datasets.own import Content, OwnData, OwnSettings, check_name, listed
from mmbench.errors import DataError, DataMissing, InvalidSetting
from mmbench.modality import ModalitySpec

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageFolders", "ImageSettings", "images", "opened"]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MOST_PIXELS = 50_000_000
MODES = {"1": "L", "L": "L", "RGB": "RGB", "P": "RGB"}  # as they are; others only where `data.colours` says into what
COLOURS = {"grey": "L", "rgb": "RGB"}


@dataclass(frozen=True)
class ImageSettings(OwnSettings):
    """Settings of `images:FOLDER` (section `data`)."""

    pairs: int = setting(1, low=1, high=1, help="Only 1: rows have no classes to be paired anew within.")
    size: int | None = setting(
        None, low=1, high=4096, help="Pixels a side to which every image is squeezed; none: as they are."
    )
    colours: str = setting(
        "as-is", choices=("as-is", *COLOURS), help="Make every image grey, or of three colours without transparency."
    )
    unmatched: str = setting(
        "refuse", choices=("refuse", "drop"), help="What becomes of images that another sub-folder has no partner for."
    )


class ImageFolders(OwnData):
    """Sub-folders of images. Final classes are made by `images`."""

    Settings: ClassVar[type[DatasetSettings]] = ImageSettings
    settings: ImageSettings
    labels: ClassVar[None] = None

    @cached_property
    def modalities(self) -> tuple[ModalitySpec, ...]:
        """Sizes and colours are those of the first image of each sub-folder."""
        stems = self._rows[0]
        return tuple(
            ModalitySpec(name, "image", _shape(self._image(files[stems[0]]))) for name, files in self._files.items()
        )

    def content(self) -> Content:
        stems, dropped = self._rows
        arrays = {spec.name: self._decoded(spec, stems) for spec in self.modalities}
        return Content(arrays, notes={"unmatched": dropped} if dropped else None)

    @cached_property
    def _files(self) -> Mapping[str, Mapping[str, Path]]:
        """Modality -> stem -> file."""
        if not self.path.is_dir():
            raise DataMissing(f"{self.name} needs a folder, and {self.path} is none; arrays of an .npz are npz:FILE.")
        folders = [f for f in sorted(self.path.iterdir()) if f.is_dir() and not f.name.startswith(".")]
        if not folders:
            raise DataError(f"{self.path} holds no sub-folder; it needs one for each modality, with its images.")
        for folder in folders:
            check_name(folder.name, self.path)
        return {folder.name: _files_of(folder) for folder in folders}

    @cached_property
    def _rows(self) -> tuple[list[str], dict[str, int]]:
        """The stems that every modality has, sorted; and how many others each modality has, where there are any."""
        matched = sorted(set.intersection(*(set(files) for files in self._files.values())))
        lone = {name: sorted(set(files) - set(matched)) for name, files in self._files.items()}
        lone = {name: stems for name, stems in lone.items() if stems}
        if lone and self.settings.unmatched == "refuse":
            told = listed([f"{len(stems):,} of {name} (the first is {stems[0]})" for name, stems in lone.items()])
            raise DataError(
                f"{self.path}: not every sub-folder has a file of the same stem for {told}; add them, or leave these "
                "out with data.unmatched=drop."
            )
        if not matched:
            raise DataError(f"{self.path}: its sub-folders {', '.join(self._files)} share no stem, so no row is whole.")
        return matched, {name: len(stems) for name, stems in lone.items()}

    def _decoded(self, spec: ModalitySpec, stems: list[str]) -> np.ndarray:
        """All images of a modality `[N, C, H, W]` uint8."""
        found = np.empty((len(stems), *spec.shape), np.uint8)
        for i, stem in enumerate(stems):
            file = self._files[spec.name][stem]
            image = self._image(file)
            if (shape := _shape(image)) != spec.shape:
                raise DataError(f"{file} is {_told(shape)}, while {_first(self._files[spec.name], stems)} is "
                                f"{_told(spec.shape)}; {_remedy(shape, spec.shape)}.")  # fmt: skip
            found[i] = np.asarray(image).reshape(*spec.shape[1:], spec.shape[0]).transpose(2, 0, 1)
        return found

    def _image(self, file: Path) -> "Image":
        """The image in the size and colours that the settings ask for."""
        from PIL.Image import Resampling

        image = opened(file)
        mode = COLOURS.get(self.settings.colours) or MODES.get(image.mode)
        if mode is None or image.mode.startswith(("I", "F")):
            raise DataError(
                f"{file} is an image of mode {image.mode}; "
                + ("save it with 8 bits a colour." if image.mode.startswith(("I", "F")) else "use data.colours=rgb.")
            )
        side = self.settings.size
        image = image.convert(mode)
        return image if side is None else image.resize((side, side), Resampling.BILINEAR)


@DATASETS.family("images", offers=lambda: "your own images: NAME is a folder, and each folder in it a modality")
def images(folder: str) -> type[Dataset]:
    """The dataset of a folder of images; it is looked for when it is used."""
    if not folder:
        raise InvalidSetting("dataset 'images:' must name a folder, e.g. images:birds.")

    class Images(ImageFolders):
        """The images of one folder."""

        name = f"images:{folder}"
        description = f"the images in the folders of {folder}"
        place = folder

    return Images


def opened(file: Path) -> "Image":
    """An image, decoded. Raises `DataError` where it is not whole, or has more than 50 million pixels."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the bound below is stricter
            image = Image.open(file)
        with image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(f"{file} has {image.width}x{image.height} pixels; at most {MOST_PIXELS:,} are read.")
            image.load()
            return image
    except Image.DecompressionBombError as error:
        raise DataError(f"{file} has too many pixels; at most {MOST_PIXELS:,} are read.") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file} is not a whole image ({error}); replace it.") from error


def _files_of(folder: Path) -> dict[str, Path]:
    """Stem -> image file. Raises `DataError` where there is none, or a stem stands twice, or a folder is among them."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.name.startswith("."):
            continue
        if file.is_dir():
            raise DataError(f"{file} is a folder; images stand directly in the folder of their modality, {folder}.")
        if file.suffix.lower() not in SUFFIXES:
            continue
        if file.stem in found:
            raise DataError(f"{folder} holds {found[file.stem].name} and {file.name}, of one stem; keep one.")
        found[file.stem] = file
    if not found:
        raise DataError(f"{folder} holds no image ({', '.join(SUFFIXES)}).")
    return found


def _shape(image: "Image") -> tuple[int, int, int]:
    return len(image.getbands()), image.height, image.width


def _first(files: Mapping[str, Path], stems: list[str]) -> str:
    return files[stems[0]].name


def _told(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{'grey' if channels == 1 else 'in colour'} with {width}x{height} pixels"


def _remedy(shape: tuple[int, ...], other: tuple[int, ...]) -> str:
    """What brings images of both shapes to one."""
    wanted = ["data.colours=rgb or grey"] if shape[0] != other[0] else []
    wanted += ["data.size=PIXELS"] if shape[1:] != other[1:] else []
    return f"bring all to one with {' and '.join(wanted)}"
