"""How things look, the same in every figure: one colour a model, one line style a scheme, one marker a variant.

Colours are from Okabe and Ito's and Paul Tol's palettes for colour-blind readers; a model from outside the package
gets one of them by a hash of its name, so that it keeps its colour from report to report.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import matplotlib.style
from matplotlib.font_manager import FontProperties, findfont, get_font

__all__ = [
    "COLOURS",
    "DIFFERENT",
    "OTHERS",
    "SAME",
    "applied",
    "colour",
    "drawable",
    "label",
    "line_style",
    "marker",
    "plain",
    "subscript",
]

SAME, DIFFERENT = "#E69F00", "#0072B2"  # Figure 8: orange for the same concept, blue for different ones

COLOURS = {
    "meme": "#D55E00",
    "mvae": "#0072B2",
    "mmvae": "#009E73",
    "mopoe": "#CC79A7",
    "mmjsd": "#E69F00",
    "mvtcae": "#56B4E9",
    "jmvae": "#000000",
    "telbo": "#882255",
    "mfm": "#999933",
    "vsae": "#44AA99",
    "mmvaeplus": "#117733",
    "cmvae": "#AA4499",
    "dmvae": "#332288",
    "crmvae": "#88CCEE",
    "nexus": "#661100",
    "jnf": "#6699CC",
    "mhvae": "#DDCC77",
    "vae": "#7F7F7F",
}
OTHERS = ("#A6761D", "#E7298A", "#1B9E77", "#7570B3", "#666600")  # none of the above
MARKERS = "osD^vPX*<>hp"

FONT = "DejaVu Sans"

RC: dict[str, Any] = {
    "font.family": FONT,
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#8a8f98",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#3c4148",
    "ytick.color": "#3c4148",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "image.interpolation": "nearest",
    "svg.hashsalt": "mmbench",
}


@contextmanager
def applied() -> Iterator[None]:
    """Draw in mmbench's style whatever the user's matplotlibrc says; everything is put back afterwards."""
    with matplotlib.style.context(["default", RC]):
        yield


def colour(model: str) -> str:
    """The model's colour, fixed by its name."""
    digest = hashlib.sha256(model.encode()).digest()[0]
    return COLOURS.get(model, OTHERS[digest % len(OTHERS)])


def marker(index: int) -> str:
    """The marker of the `index`-th variant of a group."""
    return MARKERS[index % len(MARKERS)]


def line_style(scheme: str, schemes: list[str]) -> Any:
    """Solid for `split`, dashed and dash-dotted for the `-only` schemes, others after them."""
    only = sorted(s for s in schemes if s.endswith("-only"))
    if scheme in only:
        return ((0, (5, 2)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1.2)))[only.index(scheme) % 3]
    return {"split": "-", "complete": "-"}.get(scheme, (0, (3, 1, 1, 1, 1, 1)))


def subscript(scheme: str) -> str:
    """The paper's subscript: the modality that is always present, `SPLIT`; empty for `complete`.

    >>> subscript("svhn-only"), subscript("split"), subscript("complete")
    ('SVHN', 'SPLIT', '')
    """
    return "" if scheme == "complete" else scheme.removesuffix("-only").upper()


def label(name: str, scheme: str) -> str:
    """A line's name for a figure, such as MEME with the subscript SVHN."""
    below = subscript(scheme)
    if not below:
        return plain(name)
    model, bracket, note = name.partition(" (")
    sub = rf"$_{{\mathrm{{{below}}}}}$" if below.isascii() and below.isalnum() else f"-{plain(below)}"
    return plain(model) + sub + (bracket + note).replace("$", r"\$")


def plain(text: str) -> str:
    """Text that matplotlib draws as it stands: no mathematics, and never left out of a legend."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def drawable(text: str) -> str:
    """Text of a stranger as the font can draw it: all white space is a blank, and what has no glyph the sign for that.

    >>> drawable("a\\tb\\x07")
    'a b\N{REPLACEMENT CHARACTER}'
    """
    known = _characters()
    return "".join(" " if c.isspace() else c if ord(c) in known else "\N{REPLACEMENT CHARACTER}" for c in text)


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    """The code points of the font."""
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())
