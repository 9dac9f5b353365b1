"""A quantity against the fraction `f` of complete rows: the paper's Figures 5 and 7.

One panel a direction or modality, one line a model and scheme, named as in the paper: MEME with the subscript SVHN saw
SVHN in every row. `f = 1` under any scheme is the complete run, so that run ends every line of its model.
Published numbers are dashed, in panels of one scheme each, where lines of both kinds can be told apart; more than
`TOGETHER` lines are parted by scheme too. More than `ACROSS` panels, of more than two modalities, stand in rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from mmbench.results.report.drawing.canvas import legend, new_figure
from mmbench.results.report.drawing.style import colour, label, line_style, marker, plain
from mmbench.results.report.groups import Variant
from mmbench.results.report.summaries import Row

__all__ = [
    "ACROSS",
    "TOGETHER",
    "Line",
    "Panel",
    "Published",
    "Reference",
    "against_f",
    "by_scheme",
    "crowded",
    "draw_line",
    "draw_reference",
    "fraction_axis",
    "lines_of",
    "schemes_of",
]

TOGETHER = 10  # lines that a panel holds and still can be read
ACROSS = 3  # panels in a row
LOW = 0.06  # references above it have their text below, where there is room: lines of models mostly lie above a low one


@dataclass(frozen=True)
class Reference:
    """A horizontal line: what a classifier or the majority class reaches, or real pairs do."""

    text: str
    value: float


@dataclass(frozen=True)
class Published:
    """One number of a paper."""

    model: str
    scheme: str
    f: float
    mean: float
    sd: float | None


@dataclass(frozen=True)
class Panel:
    """One direction or modality: its rows, reference lines and published numbers."""

    title: str
    rows: tuple[Row, ...]
    references: tuple[Reference, ...] = ()
    published: tuple[Published, ...] = ()


@dataclass(frozen=True)
class Line:
    """Points of one variant, scheme and protocol: `(f, mean, sd)` with falling `f`, the complete run first."""

    variant: Variant
    scheme: str
    note: str
    points: tuple[tuple[float, float, float | None], ...]


def against_f(panels: Sequence[Panel], names: Mapping[Variant, str], *, ylabel: str, shares: bool = True) -> Figure:
    """All lines of a panel together, or parted by scheme where they would be too many to read.

    Args:
        shares: whether the quantity is a share, drawn from 0 to 1; otherwise the axis is what the values need.
    """
    if crowded(panels):
        own = [Panel(panel.title, panel.rows, panel.references) for panel in panels]
        return by_scheme(own, names, ylabel=ylabel, shares=shares)
    across, down = min(len(panels), ACROSS), -(-len(panels) // ACROSS)
    figure = new_figure(4.4 * across + 0.2, 4.1 if down == 1 else 3.2 * down + 0.8)
    axes = figure.subplots(down, across, squeeze=False, sharey=True)
    handles: dict[str, Any] = {}
    for ax, panel in zip(axes.ravel(), panels, strict=False):
        handles |= _panel(ax, panel, lines_of(panel.rows), names, shares=shares)
        ax.set_title(plain(panel.title))
    for ax in axes.ravel()[len(panels) :]:
        ax.set_visible(False)
    for row in axes:
        row[0].set_ylabel(ylabel)
    legend(figure, handles)
    return figure


def crowded(panels: Sequence[Panel]) -> bool:
    """Whether the lines of a panel are too many to be read together, and scheme by scheme are fewer."""
    most = max((len(lines_of(panel.rows)) for panel in panels), default=0)
    return most > TOGETHER and len(schemes_of(panels)) > 1


def by_scheme(panels: Sequence[Panel], names: Mapping[Variant, str], *, ylabel: str, shares: bool = True) -> Figure:
    """A row of panels for each scheme, published numbers dashed beside."""
    schemes = schemes_of(panels)
    figure = new_figure(4.4 * len(panels) + 0.2, 2.7 * len(schemes) + 0.9)
    axes = figure.subplots(len(schemes), len(panels), squeeze=False, sharey=True, sharex=True)
    handles: dict[str, Any] = {}
    for row, scheme in zip(axes, schemes, strict=True):
        for ax, panel in zip(row, panels, strict=True):
            lines = [line for line in lines_of(panel.rows) if line.scheme in (scheme, "complete")]
            handles |= _panel(ax, panel, lines, names, plain_names=True, shares=shares)
            handles |= _published(ax, panel.published, scheme)
            ax.set_title(plain(f"{panel.title}, {scheme}"))
            ax.label_outer()
        row[0].set_ylabel(ylabel)
    legend(figure, handles)
    return figure


def lines_of(rows: Sequence[Row]) -> list[Line]:
    """Rows with a mean as lines; a complete run joins each line of its variant and protocol, or stands alone."""
    by_line: dict[tuple[Variant, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.mean is not None:
            by_line[row.condition.variant, _note(row)][row.condition.scheme].append(row)
    several = _protocols_differ(by_line)
    found = []
    for (variant, note), schemes in sorted(by_line.items()):
        complete = schemes.pop("complete", [])
        for scheme, members in sorted(schemes.items()) or [("complete", [])]:
            points = sorted(((r.condition.f, r.mean or 0.0, r.sd) for r in [*complete, *members]), reverse=True)
            found.append(Line(variant, scheme, note if variant in several else "", tuple(points)))
    return found


def _note(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.protocol.items())


def _protocols_differ(keys: Any) -> set[Variant]:
    seen: dict[Variant, set[str]] = defaultdict(set)
    for variant, note in keys:
        seen[variant].add(note)
    return {variant for variant, notes in seen.items() if len(notes) > 1}


def schemes_of(panels: Sequence[Panel]) -> list[str]:
    """The schemes that hide something, sorted; `complete` alone where there are none."""
    own = {row.condition.scheme for panel in panels for row in panel.rows if row.mean is not None}
    return sorted(own - {"complete"}) or ["complete"]


def _panel(
    ax: Axes,
    panel: Panel,
    lines: Sequence[Line],
    names: Mapping[Variant, str],
    *,
    plain_names: bool = False,
    shares: bool = True,
) -> dict[str, Any]:
    schemes = sorted({line.scheme for line in lines_of(panel.rows)})
    order = list(names)
    handles = {}
    for line in lines:
        scheme = "complete" if plain_names else line.scheme
        text = label(names[line.variant], scheme) + (f" [{plain(line.note)}]" if line.note else "")
        style = "-" if plain_names else line_style(line.scheme, schemes)
        handles[text] = draw_line(ax, line, style, marker(order.index(line.variant)))
    for reference in panel.references:
        draw_reference(ax, reference, below=reference.value > LOW if shares else reference is _highest(panel))
    fraction_axis(ax, _fractions(panel), shares=shares)
    return handles


def _highest(panel: Panel) -> Reference:
    return max(panel.references, key=lambda reference: reference.value)


def draw_line(ax: Axes, line: Line, style: Any, mark: str) -> Any:
    """A line in its model's colour with a band of one standard deviation, an error bar where one point alone has it."""
    paint = colour(line.variant.model)
    fs, means = [p[0] for p in line.points], [p[1] for p in line.points]
    spread = [p for p in line.points if p[2] is not None]
    if len(spread) > 1:
        low, high = [m - (sd or 0) for _, m, sd in spread], [m + (sd or 0) for _, m, sd in spread]
        ax.fill_between([p[0] for p in spread], low, high, color=paint, alpha=0.15, linewidth=0)
    elif spread:
        ax.errorbar(spread[0][0], spread[0][1], yerr=spread[0][2], color=paint, capsize=3, linewidth=1.2)
    return ax.plot(fs, means, color=paint, linestyle=style, marker=mark, markeredgecolor="white", markeredgewidth=0.7)[
        0
    ]


def _published(ax: Axes, numbers: Sequence[Published], scheme: str) -> dict[str, Any]:
    by_model: dict[str, list[Published]] = defaultdict(list)
    for number in numbers:
        if number.scheme in (scheme, "complete"):
            by_model[number.model].append(number)
    handles = {}
    for model, points in sorted(by_model.items()):
        points = sorted(points, key=lambda p: -p.f)
        handles[f"{plain(model.upper())} (published)"] = ax.errorbar(
            [p.f for p in points],
            [p.mean for p in points],
            yerr=[p.sd or 0.0 for p in points],
            color=colour(model),
            alpha=0.55,
            linestyle=(0, (2.5, 2)),
            linewidth=1.2,
            marker="o",
            markersize=4.5,
            markerfacecolor="white",
            capsize=2,
            zorder=1.9,
        )
    return handles


def draw_reference(ax: Axes, reference: Reference, *, below: bool) -> None:
    """The line, dotted, with its text below or above it."""
    ax.axhline(reference.value, color="#6b7078", linewidth=1.0, linestyle=(0, (1, 2)), zorder=1.5)
    ax.annotate(
        plain(f"{reference.text} {reference.value:.3f}"),
        (0.01, reference.value),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3 if below else 3),
        textcoords="offset points",
        va="top" if below else "bottom",
        color="#6b7078",
        fontsize=7.5,
    )


def _fractions(panel: Panel) -> set[float]:
    return {r.condition.f for r in panel.rows if r.mean is not None} | {p.f for p in panel.published}


def fraction_axis(ax: Axes, fractions: Iterable[float], *, shares: bool = True) -> None:
    """An axis of `f` by factors of two with the fractions there are, beside one of shares from 0 to 1 or any other."""
    fs = sorted({*fractions, 1.0})
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(fs))
    ax.xaxis.set_major_formatter(FixedFormatter([f"{f:g}" for f in fs]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(min(fs[0], 0.5) / 1.15, 1.15)
    if shares:
        ax.set_ylim(0, 1)
    ax.set_xlabel("fraction f of complete rows")
