"""Reading drawn sprites by rule: what an image shows, without a trained network and without an error on drawn images.

The ground is the median colour of the image's rim. What differs from it is projected on the direction from the ground
to the sprite's colour (that of the pixels which differ most), which gives the share of each pixel that the sprite
covers, whatever its colour and brightness. That share is compared, by the cosine between the two, with sprites drawn
anew: every shape, widths and angles from the ranges that the dataset draws from, half-pixel shifts, sharp and blurred,
since decoders blur. The likest sprite gives shape, size and place; colours are compared with the palette at any
brightness. An attribute is -1 where nothing is like enough: no contrast, no likeness, a colour between the palette's,
a place between the quadrants, a grey between dark and light.

Images of 64x64 pixels are averaged to 32x32 first, so that both sizes are read by the same rule.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from mmbench.datasets.sprites_drawing import ATTRIBUTES, PALETTE, TURN, WIDTHS, cover

__all__ = ["read_sprites"]

SIDE = 32  # pixels at which images are read
WINDOW = 24  # pixels around a sprite that are compared
CHUNK = 256

CONTRAST = 0.15  # least distance between the colours of sprite and ground, of sqrt(3) between black and white
CORE = 15  # pixels that differ most: a third of a small sprite
LIKENESS = 0.8  # least cosine with a drawn sprite
STRAY = 0.25  # greatest distance of a colour from one of the palette at its best brightness
DIMMED = (0.8, 1.1)  # brightness of a colour in units of the palette's
BETWEEN = 0.04  # half the width of the strip between quadrants that belongs to none, in sides of the image
TWILIGHT = (0.35, 0.63)  # greys that are neither dark nor light

BLURS = (0.0, 1.0)  # standard deviations in pixels
TURNS = 9
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # in pixels, of the sprite's centre from the middle of the window


@dataclass(frozen=True)
class Bank:
    """Sprites drawn to compare with.

    Attributes:
        shares: `[WINDOW * WINDOW, T]` float32, each of length one.
        shape, size: index of each one's value `[T]`.
        shift: x and y of its centre from the middle of the window, in pixels `[T, 2]`.
    """

    shares: np.ndarray
    shape: np.ndarray
    size: np.ndarray
    shift: np.ndarray


def read_sprites(images: np.ndarray) -> np.ndarray:
    """Index of the value of each attribute of `ATTRIBUTES` that images show; -1 where they show none.

    Args:
        images: `[B, 3, side, side]` in [0, 1], side 32 or a multiple of it.

    Returns:
        `[B, 5]` int64.
    """
    read = np.full((len(images), len(ATTRIBUTES)), -1)
    for at in range(0, len(images), CHUNK):
        read[at : at + CHUNK] = _read(_reduced(np.asarray(images[at : at + CHUNK], np.float32)))
    return read


def _reduced(images: np.ndarray) -> np.ndarray:
    times = images.shape[-1] // SIDE
    blocks = images.reshape(len(images), 3, SIDE, times, SIDE, times)
    return np.asarray(blocks.mean(axis=(3, 5)))


def _read(images: np.ndarray) -> np.ndarray:
    ground = _ground(images)
    differences = images - ground[:, :, None, None]
    direction = _direction(differences)
    squared = np.maximum((direction**2).sum(1), 1e-12)[:, None, None]
    share = np.einsum("bcyx,bc->byx", differences, direction) / squared
    shape, size, centre, likeness = _matched(np.clip(share, 0, 1))
    shown = (np.sqrt(squared[:, 0, 0]) >= CONTRAST) & (likeness >= LIKENESS)
    sprite = np.stack([shape, size, _colour(ground + direction), _quadrant(centre)], axis=1)
    return np.concatenate([np.where(shown[:, None], sprite, -1), _shade(ground)[:, None]], axis=1)


def _ground(images: np.ndarray) -> np.ndarray:
    """Median colour of the outermost pixels `[B, 3]`."""
    rim = [images[:, :, 0], images[:, :, -1], images[:, :, 1:-1, 0], images[:, :, 1:-1, -1]]
    return np.asarray(np.median(np.concatenate(rim, axis=2), axis=2))


def _direction(differences: np.ndarray) -> np.ndarray:
    """From the ground to the colour of the pixels that differ most from it `[B, 3]`."""
    flat = differences.reshape(len(differences), 3, -1)
    core = np.argpartition(-(flat**2).sum(1), CORE, axis=1)[:, None, :CORE]
    return np.asarray(np.take_along_axis(flat, core, axis=2).mean(axis=2))


def _matched(share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shape, size, centre (x and y in [0, 1]) and likeness of the drawn sprite that is likest to each share."""
    bank = _bank()
    middle = _middle(share)
    windows = _windows(share, middle).reshape(len(share), -1)
    length = np.sqrt((share**2).sum((1, 2)))  # of the whole image: what lies outside the window is unlike as well
    cosine = windows @ bank.shares / np.maximum(length, 1e-6)[:, None]
    likest = cosine.argmax(1)
    centre = (middle + bank.shift[likest]) / SIDE
    return bank.shape[likest], bank.size[likest], centre, np.take_along_axis(cosine, likest[:, None], 1)[:, 0]


def _middle(share: np.ndarray) -> np.ndarray:
    """The corner of pixels, x and y `[B, 2]`, that is nearest to the centroid of what is mostly covered."""
    weight = np.where(share > 0.5, share, 0)
    axis = np.arange(SIDE) + 0.5
    total = np.maximum(weight.sum((1, 2)), 1e-6)
    centroid = np.stack([(weight.sum(1) * axis).sum(1), (weight.sum(2) * axis).sum(1)], axis=1) / total[:, None]
    return np.asarray(np.rint(centroid), np.int64)


def _windows(share: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The windows around corners `middle`, nothing beyond the rim: `[B, WINDOW, WINDOW]`."""
    half = WINDOW // 2
    padded = np.pad(share, ((0, 0), (half, half), (half, half)))
    offsets = np.arange(WINDOW)
    rows, columns = middle[:, 1, None] + offsets, middle[:, 0, None] + offsets
    return np.asarray(padded[np.arange(len(share))[:, None, None], rows[:, :, None], columns[:, None, :]])


def _colour(ink: np.ndarray) -> np.ndarray:
    """The colour of the palette that is nearest to each of `ink` `[B, 3]` at its best brightness; -1 where none is."""
    brightness = np.clip(ink @ PALETTE.T / (PALETTE**2).sum(1), *DIMMED)
    distance = np.linalg.norm(ink[:, None] - brightness[:, :, None] * PALETTE, axis=2)
    return np.where(distance.min(1) <= STRAY, distance.argmin(1), -1)


def _quadrant(centre: np.ndarray) -> np.ndarray:
    named = (np.abs(centre - 0.5) > BETWEEN).all(1)
    return np.where(named, (centre[:, 0] > 0.5) + 2 * (centre[:, 1] > 0.5), -1)


def _shade(ground: np.ndarray) -> np.ndarray:
    grey = ground.mean(1)
    return np.where(grey < TWILIGHT[0], 0, np.where(grey > TWILIGHT[1], 1, -1))


@lru_cache(maxsize=1)
def _bank() -> Bank:
    from scipy.ndimage import gaussian_filter1d

    widths = [(size, width) for size, ends in enumerate(WIDTHS) for width in np.linspace(*ends, 3)]
    shapes = range(len(ATTRIBUTES["shape"]))
    cases = list(product(shapes, widths, np.linspace(-TURN, TURN, TURNS), SHIFTS, SHIFTS))
    shape, size = (np.array(column) for column in zip(*[(c[0], c[1][0]) for c in cases], strict=True))
    width, angle = (np.array(column) for column in zip(*[(c[1][1] * SIDE, c[2]) for c in cases], strict=True))
    shift = np.array([c[3:] for c in cases])
    sharp = cover(shape, width, angle, shift + WINDOW / 2, WINDOW).astype(np.float32)
    parts = [gaussian_filter1d(gaussian_filter1d(sharp, s, axis=1), s, axis=2) if s else sharp for s in BLURS]
    flat = np.concatenate(parts).reshape(-1, WINDOW * WINDOW)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    again = len(BLURS)
    return Bank(np.ascontiguousarray(flat.T), np.tile(shape, again), np.tile(size, again), np.tile(shift, (again, 1)))
