"""Grids of images: what a model makes of fixed test inputs (the paper's Figure 3) and of its prior.

Images are shown as they are stored, pixel for pixel. A block is one model: its inputs in the first row where it has
any, generations below; the blocks of all models stand side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.report.drawing.canvas import new_figure, titled

__all__ = ["COLUMNS", "ROWS", "Block", "grid", "is_images", "mosaic", "rgb"]

COLUMNS, ROWS = 10, 6  # images across and down in a block
ACROSS = 3  # blocks side by side
GAP = 0.08  # between images, as a share of their side
WIDTH = 3.0  # inches of a block


@dataclass(frozen=True)
class Block:
    """Rows of images under one name; each row is `[n, C, H, W]` with C 1 or 3, uint8 or floats in [0, 1]."""

    title: str
    rows: tuple[np.ndarray, ...]
    inputs: bool = False


def is_images(value: np.ndarray) -> bool:
    """Whether the last three axes hold grey or colour images."""
    return value.ndim >= 4 and value.shape[-3] in (1, 3) and value.size > 0


def grid(blocks: Sequence[Block]) -> Figure:
    """Blocks side by side, `ACROSS` in a line, their names above them."""
    across = min(ACROSS, len(blocks))
    lines = -(-len(blocks) // across)
    side = max(max(row.shape[-2:]) for block in blocks for row in block.rows)
    pictures = [mosaic(block.rows[:ROWS], side=side, lead=block.inputs) for block in blocks]
    tallest = max(picture.shape[0] / picture.shape[1] for picture in pictures)
    figure = new_figure(WIDTH * across + 0.1, (WIDTH * tallest + 0.3) * lines + 0.05)
    axes = figure.subplots(lines, across, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, block, picture in zip(axes, blocks, pictures, strict=False):
        _show(ax, block, picture)
    return figure


def mosaic(rows: Sequence[np.ndarray], *, side: int, lead: bool = False) -> np.ndarray:
    """Rows of images as one RGB picture `[h, w, 3]` of floats in [0, 1], white between them.

    Args:
        rows: each `[n, C, H, W]`; of more than `COLUMNS` images as many are shown, evenly spaced.
        side: pixels that the longer edge of every image is enlarged to, by repeating pixels.
        lead: whether the first row stands a little apart.
    """
    gap = max(1, round(GAP * side))
    chosen = [row[_shown(len(row))] for row in rows]
    columns = max(len(row) for row in chosen)
    tops = [i * (side + gap) + (2 * gap if lead and i else 0) for i in range(len(chosen))]
    picture = np.ones((tops[-1] + side, columns * (side + gap) - gap, 3))
    for top, row in zip(tops, chosen, strict=True):
        for j, image in enumerate(row):
            pixels = _enlarged(rgb(image), side)
            left = j * (side + gap)
            picture[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return picture


def _shown(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(count, COLUMNS)).round().astype(int)


def _show(ax: Axes, block: Block, picture: np.ndarray) -> None:
    ax.imshow(picture)
    ax.set_anchor("NW")
    titled(ax, block.title, WIDTH)


def rgb(image: np.ndarray) -> np.ndarray:
    """A grey or colour image `[C, H, W]`, uint8 or floats, as `[H, W, 3]` of floats in [0, 1]."""
    unit = image.astype(np.float64) / 255 if image.dtype == np.uint8 else np.clip(image.astype(np.float64), 0, 1)
    pixels = np.moveaxis(np.nan_to_num(unit), 0, -1)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def _enlarged(pixels: np.ndarray, side: int) -> np.ndarray:
    """Nearest-neighbour enlargement to `side` on the longer edge."""
    longest = max(pixels.shape[:2])
    where = [(np.arange(round(n * side / longest)) * longest // side).clip(max=n - 1) for n in pixels.shape[:2]]
    return np.asarray(pixels[where[0]][:, where[1]])
