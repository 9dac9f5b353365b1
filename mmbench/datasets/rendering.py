"""Street-number images drawn by mmbench itself: two-tone plates with one whole digit in the middle.

An image is described by a `Plate`, drawn large as a mask of ink with a font that matplotlib ships, rotated, blurred and
scaled down, and then coloured. Colours come from five palettes of either polarity (dark on light, light on dark) with a
little jitter, half of the plates show neighbouring digits cut off at the edge, and light falls unevenly: no single
pixel says which digit it is, the shape does. A plate depends on the seed, the split and the index alone, so that both
sizes show the same scenes. Glyphs are rasterised by Pillow's FreeType, whose versions may differ in single grey levels;
datasets therefore record the digest of what they drew.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmbench.seeding import generator

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

__all__ = ["FONTS", "PALETTES", "Plate", "draw", "ink", "plate"]

FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSansMono-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralBol.ttf",
    "STIXGeneralItalic.ttf",
    "cmr10.ttf",
    "cmb10.ttf",
    "cmss10.ttf",
    "cmtt10.ttf",
)
PALETTES = (  # background and ink, RGB in 0..255; the first four reverse each other, so that no colour marks the ink
    ((32, 62, 140), (238, 236, 228)),
    ((238, 236, 228), (32, 62, 140)),
    ((34, 33, 38), (228, 190, 72)),
    ((228, 190, 72), (34, 33, 38)),
    ((226, 208, 176), (140, 32, 28)),
)
OVERSAMPLING = 4
FIGURE_HEIGHT = 0.7  # height of a digit in units of the font's size, on average over the fonts
SPACING = 0.75  # distance of neighbouring digits in units of the digit's height


@dataclass(frozen=True)
class Plate:
    """One scene; lengths are in units of the image's side, angles in degrees, colours in 0..255.

    Attributes:
        text: the digit and, where there are any, its left and right neighbours (a space for none).
        light: slope of the brightness across the image in x and in y, as a fraction.
    """

    text: str
    font: int
    height: float
    centre: tuple[float, float]
    angle: float
    blur: float
    noise: float
    background: tuple[float, ...]
    ink: tuple[float, ...]
    light: tuple[float, float]


def plate(digit: int, rng: np.random.Generator) -> Plate:
    """Draw the description of a plate that shows `digit`."""
    palette = PALETTES[rng.integers(len(PALETTES))]
    background, ink = (tuple((np.array(tone) + rng.normal(0, 5, 3)).tolist()) for tone in palette)
    return Plate(
        text=_text(digit, rng),
        font=int(rng.integers(len(FONTS))),
        height=rng.uniform(0.65, 0.82),
        centre=(rng.uniform(0.45, 0.55), rng.uniform(0.45, 0.55)),
        angle=rng.normal(0, 3),
        blur=rng.uniform(0.0, 0.035),
        noise=rng.uniform(1, 5),
        background=background,
        ink=ink,
        light=(rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06)),
    )


def _text(digit: int, rng: np.random.Generator) -> str:
    """The digit between its neighbours: none for half of the plates, else one on the left, the right or both sides."""
    left, right = rng.integers(10, size=2)
    sides = rng.integers(3) if rng.random() < 0.5 else None
    return f"{left if sides in (0, 2) else ' '}{digit}{right if sides in (1, 2) else ' '}"


def draw(digits: Sequence[int], side: int, *, seed: int, split: str) -> np.ndarray:
    """Draw one image for each digit.

    Args:
        digits: the classes `[N]`.
        side: width and height in pixels.
        seed, split: with the index, the name of an image's random stream.

    Returns:
        `[N, 3, side, side]` uint8.
    """
    images = np.empty((len(digits), 3, side, side), np.uint8)
    for i, digit in enumerate(digits):
        rng = generator(seed, "street", split, i)
        images[i] = _coloured(plate(int(digit), rng), side, rng)
    return images


def _coloured(scene: Plate, side: int, rng: np.random.Generator) -> np.ndarray:
    background = np.array(scene.background)[:, None, None]
    share = ink(scene, side)
    colour = background + (np.array(scene.ink)[:, None, None] - background) * share
    axis = np.linspace(-1, 1, side)
    light = 1 + scene.light[0] * axis[None, :] + scene.light[1] * axis[:, None]
    noise = rng.normal(0, scene.noise, colour.shape)
    pixels: np.ndarray = np.clip(np.rint(colour * light + noise), 0, 255).astype(np.uint8)
    return pixels


def ink(scene: Plate, side: int) -> np.ndarray:
    """Share of ink in each pixel, `[side, side]` in [0, 1]: drawn at four times the size, then averaged."""
    from PIL import Image, ImageDraw, ImageFilter

    large = side * OVERSAMPLING
    mask = Image.new("L", (large, large))
    pen = ImageDraw.Draw(mask)
    font = _font(FONTS[scene.font], max(2, 2 * round(scene.height * large / FIGURE_HEIGHT / 2)))
    step = scene.height * SPACING * large
    for place, glyph in zip((-1, 0, 1), scene.text, strict=True):
        if glyph != " ":
            _centred(pen, glyph, font, scene.centre[0] * large + place * step, scene.centre[1] * large)
    mask = mask.rotate(scene.angle, resample=Image.Resampling.BILINEAR)
    mask = mask.filter(ImageFilter.GaussianBlur(scene.blur * large))
    return _array(mask.reduce(OVERSAMPLING)) / 255


def _centred(pen: "ImageDraw", glyph: str, font: "FreeTypeFont", x: float, y: float) -> None:
    """Draw a glyph with the middle of its box at (x, y), wherever the font puts its baseline."""
    left, top, right, bottom = font.getbbox(glyph)
    pen.text((math.floor(x - (left + right) / 2), math.floor(y - (top + bottom) / 2)), glyph, fill=255, font=font)


def _array(image: "Image") -> np.ndarray:
    return np.asarray(image, dtype=np.float64)


@lru_cache(maxsize=1024)
def _font(file: str, size: int) -> "FreeTypeFont":
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / file), size)
