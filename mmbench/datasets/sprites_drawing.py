"""Sprites drawn by mmbench itself: a coloured ellipse, heart or square on plain ground, in five levels of difficulty.

Level n names the first n attributes of `ATTRIBUTES`. What it does not name is as in CdSprites+ (Sejnova et al., its
generator of May 2023): sprites are big on level 1, white below level 3, anywhere around the middle below level 4, and
the ground is dark below level 5. Ours differ in that sprites and ground are plain, where CdSprites+ puts photographed
textures on them from level 4 on; that dark ground is not quite black; that a sprite turns by at most 15 degrees to
either side (there by any angle) and varies a little in size; and that all shapes of a size have the same area, so that
no size betrays a shape. Place, angle, size, and the brightness of sprite and ground are drawn for each image.

An image depends on the level, the seed, the split and the index alone, and what several levels name is the same in all
of them; both sizes show the same scenes. All is arithmetic of numpy: no font, and no library that rasterises.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mmbench.seeding import generator

__all__ = ["ATTRIBUTES", "BACKGROUNDS", "LEVELS", "PALETTE", "TURN", "WIDTHS", "Scenes", "cover", "draw", "scenes"]

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "shape": ("ellipse", "heart", "square"),
    "size": ("small", "big"),
    "colour": ("red", "green", "blue", "yellow", "pink"),
    "position": ("top left", "top right", "bottom left", "bottom right"),
    "background": ("dark", "light"),
}
LEVELS = len(ATTRIBUTES)
PALETTE = np.array([(220, 40, 40), (30, 170, 60), (50, 80, 230), (240, 220, 40), (250, 110, 200)]) / 255
WIDTHS = ((0.24, 0.26), (0.35, 0.37))  # small and big: side of the square of the sprite's area, in sides of the image
BACKGROUNDS = ((0.02, 0.18), (0.80, 0.96))  # grey levels of dark and light ground
TURN = math.radians(15)
BRIGHTNESS = (0.85, 1.0)
QUADRANT, PLACE, MIDDLE = 0.28, 0.016, 0.06  # centre of a quadrant, its spread where it is named, and where it is not
OVERSAMPLING = 4
CHUNK = 256
DRAWS = 12  # random numbers of a sprite

ASPECT = 1.6  # of the ellipse
HEART_AREA = 3.66197  # of (x^2 + y^2 - 1)^3 = x^2 y^3
HEART_CENTRE = 0.29348  # y of its centroid


@dataclass(frozen=True)
class Scenes:
    """Descriptions of N images; lengths are in sides of the image, angles in radians, colours in [0, 1].

    Attributes:
        values: index of each attribute's value, also of those that the level fixes, int64 `[N, 5]`; -1 where the level
            leaves an attribute without a value of `ATTRIBUTES` (a white sprite, a place in the middle).
        width: side of the square of the sprite's area `[N]`.
        angle: by which it is turned, clockwise as seen `[N]`.
        centre: x from the left and y from the top of its centroid `[N, 2]`.
        ink, background: RGB `[N, 3]`.
    """

    values: np.ndarray
    width: np.ndarray
    angle: np.ndarray
    centre: np.ndarray
    ink: np.ndarray
    background: np.ndarray


def scenes(count: int, *, level: int, seed: int, split: str) -> Scenes:
    """Draw the descriptions of `count` images of a level; image i's random numbers depend on (seed, split, i) alone."""
    random = np.stack([generator(seed, "sprite", split, i).random(DRAWS) for i in range(count)])
    drawn = [(u * len(names)).astype(np.int64) for u, names in zip(random.T, ATTRIBUTES.values(), strict=False)]
    free = np.full(count, -1)
    values = np.stack(
        [
            drawn[0],
            drawn[1] if level >= 2 else np.ones_like(free),
            drawn[2] if level >= 3 else free,
            drawn[3] if level >= 4 else free,
            drawn[4] if level >= 5 else np.zeros_like(free),
        ],
        axis=1,
    )
    _, size, colour, position, background = values.T
    nuisance = random[:, LEVELS:]
    return Scenes(
        values=values,
        width=_between(np.array(WIDTHS)[size].T, nuisance[:, 0]),
        angle=_between((-TURN, TURN), nuisance[:, 1]),
        centre=_centres(position, nuisance[:, 2:4]),
        ink=np.concatenate([PALETTE, np.ones((1, 3))])[colour] * _between(BRIGHTNESS, nuisance[:, 4])[:, None],
        background=np.repeat(_between(np.array(BACKGROUNDS)[background].T, nuisance[:, 5])[:, None], 3, axis=1),
    )


def _between(range_: tuple[float, float] | np.ndarray, u: np.ndarray) -> np.ndarray:
    low, high = range_
    return np.asarray(low + (high - low) * u)


def _centres(position: np.ndarray, u: np.ndarray) -> np.ndarray:
    """x and y `[N, 2]`: near the centre of the quadrant `position` `[N]`, or around the middle where it is -1."""
    sides = np.stack([position % 2, position // 2], axis=1)
    named = np.where(sides == 1, 1 - QUADRANT, QUADRANT) + PLACE * (2 * u - 1)
    return np.where(position[:, None] < 0, 0.5 + MIDDLE * (2 * u - 1), named)


def draw(described: Scenes, side: int) -> np.ndarray:
    """Images `[N, 3, side, side]` uint8 of N descriptions: ink over ground, by the share of each pixel it covers."""
    images = np.empty((len(described.values), 3, side, side), np.uint8)
    for at in range(0, len(images), CHUNK):
        part = slice(at, at + CHUNK)
        shape, place = described.values[part, 0], described.centre[part] * side
        share = cover(shape, described.width[part] * side, described.angle[part], place, side)[:, None]
        ink, background = described.ink[part, :, None, None], described.background[part, :, None, None]
        images[part] = np.rint(255 * (background + (ink - background) * share))
    return images


def cover(shape: np.ndarray, width: np.ndarray, angle: np.ndarray, centre: np.ndarray, side: int) -> np.ndarray:
    """Share of each pixel that a sprite covers: sampled at sixteen points of the pixel.

    Args:
        shape: index of each sprite's shape `[N]`.
        width, centre: in pixels, `[N]` and `[N, 2]`.
        angle: in radians `[N]`.

    Returns:
        `[N, side, side]` float64 in [0, 1].
    """
    axis = (np.arange(side * OVERSAMPLING) + 0.5) / OVERSAMPLING
    found = np.empty((len(shape), side, side))
    for index, name in enumerate(ATTRIBUTES["shape"]):
        mine = np.flatnonzero(shape == index)
        x = (axis - centre[mine, :1])[:, None, :]
        y = (axis - centre[mine, 1:])[:, :, None]
        cosine, sine, size = (f[:, None, None] for f in (np.cos(angle[mine]), np.sin(angle[mine]), width[mine]))
        inside = INSIDE[name]((cosine * x + sine * y) / size, (cosine * y - sine * x) / size)
        blocks = inside.reshape(len(mine), side, OVERSAMPLING, side, OVERSAMPLING)
        found[mine] = blocks.mean(axis=(2, 4))
    return found


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(u**2 / ASPECT + v**2 * ASPECT <= 1 / math.pi)


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    scale = math.sqrt(HEART_AREA)
    x, y = u * scale, HEART_CENTRE - v * scale
    ball = x * x + y * y - 1
    return np.asarray(ball * ball * ball <= x * x * y * y * y)  # as products: a power takes ten times as long


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.abs(u), np.abs(v)) <= 0.5)


INSIDE: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {  # points of a sprite of area one, v downwards
    "ellipse": _ellipse,
    "heart": _heart,
    "square": _square,
}
