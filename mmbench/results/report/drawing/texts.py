"""Texts beside pictures: what a model writes of an image, and draws of a caption (the MEME paper's Figures 4 and 18).

One entry an input, its answers below one another: the name of who gave it, then pictures, then texts. A text is drawn
as it stands, whatever characters it holds, broken into lines; no part of it is read as mathematics.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.report.drawing.canvas import new_figure
from mmbench.results.report.drawing.grids import rgb
from mmbench.results.report.drawing.style import colour, drawable

__all__ = ["LINES", "Answer", "Entry", "shown", "texts_beside"]

WIDTH = 9.6  # inches of the figure
LEFT, NAME, RIGHT = 0.1, 2.75, 4.15  # where input, name and answer begin
SIDE, GAP, PAD = 0.62, 0.06, 0.1  # of a picture, between pictures, between entries
LETTER, LINE = 0.069, 0.15  # inches that a letter and a line of text take
INPUT = 1.5  # inches of an input picture's side at most
LINES = 4  # of one text; what is longer ends in dots
INK, SOFT = "#1d2126", "#6b7078"


@dataclass(frozen=True)
class Answer:
    """What one model made of an input.

    Attributes:
        name: of the model; empty where the entry is one model's.
        model: decides the name's colour.
        pictures: each `[C, H, W]`.
    """

    name: str
    model: str
    pictures: tuple[np.ndarray, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """An input, a picture `[C, H, W]` or a text, with a note below it, and the answers to it."""

    given: np.ndarray | str
    answers: tuple[Answer, ...]
    note: str = ""


def texts_beside(entries: Sequence[Entry]) -> Figure:
    """Entries below one another, a thin line between them."""
    heights = [_height(entry) for entry in entries]
    figure = new_figure(WIDTH, sum(heights) + PAD)
    figure.set_layout_engine("none")  # everything has its place
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    top = PAD
    for entry, height in zip(entries, heights, strict=True):
        if entry is not entries[0]:
            ax.plot([LEFT, WIDTH - LEFT], [top - PAD / 2] * 2, color="#e6e8eb", linewidth=0.8)
        _entry(ax, entry, top)
        top += height
    ax.set_axis_off()
    ax.set_xlim(0, WIDTH)
    ax.set_ylim(sum(heights) + PAD, 0)
    return figure


def _height(entry: Entry) -> float:
    given = INPUT if isinstance(entry.given, np.ndarray) else LINE * len(_lines(entry.given, NAME - LEFT - GAP))
    left = given + LINE * len(_lines(entry.note, NAME - LEFT - GAP))
    return max(left, sum(_answer_height(answer) for answer in entry.answers)) + PAD


def _answer_height(answer: Answer) -> float:
    texts = LINE * sum(len(lines) for lines in _text_lines(answer))
    name = LINE * len(_lines(answer.name, RIGHT - NAME - GAP))
    return max(texts, name, SIDE if answer.pictures else 0.0) + GAP


def _entry(ax: Axes, entry: Entry, top: float) -> None:
    below = top
    if isinstance(entry.given, np.ndarray):
        _picture(ax, entry.given, LEFT, top, INPUT - GAP)
        below += INPUT
    else:
        below = _write(ax, _lines(entry.given, NAME - LEFT - GAP), LEFT, top)
    _write(ax, _lines(entry.note, NAME - LEFT - GAP), LEFT, below, paint=SOFT)
    for answer in entry.answers:
        _write(ax, _lines(answer.name, RIGHT - NAME - GAP), NAME, top, paint=colour(answer.model), weight="bold")
        left = _begin(answer)
        for picture in answer.pictures:
            _picture(ax, picture, left, top, SIDE)
            left += SIDE + GAP
        y = top
        for lines in _text_lines(answer):
            y = _write(ax, lines, left, y)
        top += _answer_height(answer)


def _begin(answer: Answer) -> float:
    return RIGHT if answer.name else NAME


def _text_lines(answer: Answer) -> Iterator[list[str]]:
    """The lines of each text, as far as there is room beside the pictures; a bullet where there are several texts."""
    width = WIDTH - LEFT - _begin(answer) - (SIDE + GAP) * len(answer.pictures)
    mark = "\N{BULLET} " if len(answer.texts) > 1 else ""
    for text in answer.texts:
        yield _lines(mark + shown(text), width)


def shown(text: str) -> str:
    """A text that is to be read as one even where it says nothing."""
    return text if text.strip() else "(empty)"


def _lines(text: str, width: float) -> list[str]:
    """The text in lines of `width` inches, `LINES` at most."""
    return textwrap.wrap(
        drawable(text), max(8, int(width / LETTER)), max_lines=LINES, placeholder=" \N{HORIZONTAL ELLIPSIS}"
    )


def _write(ax: Axes, lines: Sequence[str], x: float, y: float, *, paint: str = INK, weight: str = "normal") -> float:
    """Write lines from `y` downwards; returns where the next would begin."""
    for line in lines:
        ax.text(x, y, line, va="top", fontsize=8, color=paint, fontweight=weight, parse_math=False)
        y += LINE
    return y


def _picture(ax: Axes, picture: np.ndarray, x: float, y: float, side: float) -> None:
    """The picture in its own proportions within a square of `side` inches."""
    height, width = picture.shape[-2:]
    scale = side / max(height, width)
    extent = (x, x + width * scale, y + height * scale, y)
    ax.imshow(rgb(picture), extent=extent, aspect="auto", interpolation="nearest")
