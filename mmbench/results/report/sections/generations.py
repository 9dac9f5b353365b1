"""Generations: cross generations from fixed test inputs (Figures 3, 11 to 17) and samples from the prior.

Images stand in grids; where texts are on either side, `texts` writes them out. Many directions, of more than three
modalities, are drawn together: a figure for each input modality, with a line for each other one.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from mmbench.results.records import ArrayRecord
from mmbench.results.report.commands import evaluation
from mmbench.results.report.contents import FigureItem, Section
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.drawing.grids import COLUMNS, ROWS, Block, grid, is_images
from mmbench.results.report.files import safe
from mmbench.results.report.sections.arrays import Held, arrays_of, lack_arrays, names_of, pair_of, seed_text
from mmbench.results.report.sections.limits import few_of, left_out_text
from mmbench.results.report.sections.texts import joint_texts, texts_across
from mmbench.results.report.sections.texts_table import Record, records_across, records_jointly, texts_table
from mmbench.results.report.sections.written import has_texts, written_across, written_jointly

__all__ = ["generations"]

DIRECTIONS = 6  # that have a figure each: those of three modalities


def generations(desk: Desk) -> Section | None:
    """Cross generations and samples from the prior for each setting shown."""
    items: list[FigureItem] = []
    texts: list[Record] = []
    for setting in desk.settings():
        everyone = arrays_of(desk, setting, "samples")
        held = few_of(desk, everyone)
        left = left_out_text(desk, list(held), everyone)
        names = [name for name in names_of(held, "cross/") if not has_texts(everyone, name)]
        found = _grids(desk, setting, held, names, left)
        written, records = _texts(desk, setting, everyone)
        found += written
        texts += records
        if not written_jointly(everyone):
            found += _joint(desk, setting, held, left)
        if not found:
            desk.lacks(f"generations, {setting.text}", "its runs have no image arrays of the metric samples")
        items += found
    if not items:
        desk.lacks("generations", "no run has image arrays of the metric samples", evaluation(desk, "samples"))
        return None
    text = "Fixed test inputs, one run a model (the smallest seed), nothing chosen by hand."
    tables = texts_table(desk, texts)
    return Section(f"{desk.group.slug}-section-generations", "Generations", (text,), (*items, *tables))


def _texts(desk: Desk, setting: Setting, held: Held) -> tuple[list[FigureItem], list[Record]]:
    """The figures of a setting in which texts stand, and the texts themselves."""
    items: list[FigureItem] = []
    records: list[Record] = []
    for name in names_of(held, "cross/"):
        if has_texts(held, name):
            across = written_across(desk, setting, held, name)
            items += texts_across(desk, setting, held, across)
            records += records_across(desk, setting, across)
    jointly = written_jointly(held)
    items += joint_texts(desk, setting, held, jointly)
    return items, [*records, *records_jointly(desk, setting, jointly)]


def _grids(desk: Desk, setting: Setting, held: Held, names: Sequence[str], left: str) -> list[FigureItem]:
    """A grid for each direction, or for each modality given where those would be too many."""
    if len(names) <= DIRECTIONS:
        return [figure for name in names for figure in _cross(desk, setting, held, name, left)]
    givens = dict.fromkeys(name.removeprefix("cross/").partition("|")[0] for name in names)
    return [figure for given in givens for figure in _from(desk, setting, held, given, names, left)]


def _from(desk: Desk, setting: Setting, held: Held, given: str, names: Sequence[str], left: str) -> list[FigureItem]:
    """One input modality: inputs in the first row, below one generation of each other modality."""
    own = [name for name in names if name.removeprefix("cross/").partition("|")[0] == given]
    blocks: list[Block] = []
    drawn: dict[str, None] = {}
    for variant, (_, arrays) in held.items():
        inputs = arrays.get(f"input/{given}")
        outputs = {
            pair_of(arrays[name])[1]: arrays[name].value[:, 0]
            for name in own
            if name in arrays and is_images(arrays[name].value) and arrays[name].value.ndim == 5
        }
        if inputs is not None and is_images(inputs.value) and outputs:
            shown = dict(list(outputs.items())[: ROWS - 1])
            drawn |= dict.fromkeys(shown)
            blocks.append(Block(desk.group.names[variant], (inputs.value, *shown.values()), inputs=True))
    if not blocks:
        desk.lacks(f"generations from {given}, {setting.text}", "they are no images, or have no inputs", "")
        return []
    others = sorted({name.partition("|")[2] for name in own} - set(drawn))
    caption = (
        f"First row: test inputs ({given}), the same for every model; below, from top to bottom, one generation of "
        f"{', '.join(drawn)}, decoder means at samples of the posterior given the input above.",
        f"Not drawn: {', '.join(others)}." if others else "",
        seed_text(held),
        left,
    )
    return desk.figure(
        partial(grid, blocks), f"cross-{safe(given)}-{setting.slug}",
        title=f"{given} → every other modality, {setting.text}", caption=caption,
        alt=f"Grid of up to {COLUMNS} {given} inputs and, below each, {', '.join(drawn)} images generated from it by "
        f"{', '.join(desk.group.names[v] for v in held)}.", runs=[run for run, _ in held.values()],
    )  # fmt: skip


def _cross(desk: Desk, setting: Setting, held: Held, name: str, left: str) -> list[FigureItem]:
    lack_arrays(desk, setting, held, "samples", name)
    blocks: list[Block] = []
    given, target = "", ""
    for variant, (_, arrays) in held.items():
        if name not in arrays:
            continue
        given, target = pair_of(arrays[name])
        outputs, inputs = arrays[name].value, arrays.get(f"input/{given}")
        if not is_images(outputs) or outputs.ndim != 5 or inputs is None or not is_images(inputs.value):
            desk.lacks(f"generations {given} → {target}, {setting.text}", "they are no images, or have no inputs", "")
            return []
        rows = (inputs.value, *np.moveaxis(outputs, 1, 0))
        blocks.append(Block(desk.group.names[variant], rows, inputs=True))
    if not blocks:
        return []
    caption = (
        f"First row: test inputs ({given}), the same for every model; below, in each row one generation of {target}, "
        "decoder means at samples of the posterior given the input above.",
        seed_text(held),
        left,
    )
    return desk.figure(
        partial(grid, blocks), f"cross-{safe(given)}-{safe(target)}-{setting.slug}",
        title=f"{given} → {target}, {setting.text}", caption=caption, number=_number(setting),
        alt=f"Grid of up to {COLUMNS} {given} inputs and, below each, {target} images generated from it by "
        f"{', '.join(desk.group.names[v] for v in held)}.", runs=[run for run, _ in held.values()],
    )  # fmt: skip


def _joint(desk: Desk, setting: Setting, held: Held, left: str) -> list[FigureItem]:
    blocks = []
    names = names_of(held, "joint/")
    for variant, (_, arrays) in held.items():
        rows = tuple(arrays[n].value for n in names if n in arrays and is_images(arrays[n].value))
        if rows:
            blocks.append(Block(desk.group.names[variant] + _prior(arrays, names), rows))
    if not blocks:
        return []
    modalities = [name.removeprefix("joint/") for name in names]
    caption = (
        f"Samples without any input: each column is one latent sample decoded to {' and '.join(modalities)}. "
        "Models without a joint prior are sampled from the stand-in named.",
        seed_text(held),
        left,
    )
    return desk.figure(
        partial(grid, blocks), f"joint-{setting.slug}", title=f"Joint samples, {setting.text}", caption=caption,
        alt=f"Grid of joint samples of {' and '.join(modalities)} by {', '.join(desk.group.names[v] for v in held)}.",
        runs=[run for run, _ in held.values()],
    )  # fmt: skip


def _number(setting: Setting) -> str:
    """The paper's figures of this kind: 3 shows one case, 11 to 17 all of them."""
    return "Figures 3 and 11" if setting.scheme == "complete" else "Figures 12 to 17"


def _prior(arrays: Mapping[str, ArrayRecord], names: Sequence[str]) -> str:
    found = {str(arrays[name].meta["prior"]) for name in names if name in arrays and "prior" in arrays[name].meta}
    return f", {', '.join(sorted(found))}" if found else ""
