"""Captions written out beside images, in both directions (Figures 4 and 18), and of samples from the prior."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from mmbench.results.records import ArrayRecord
from mmbench.results.report.captions import figures_text
from mmbench.results.report.contents import FigureItem
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.drawing.texts import Answer, Entry, texts_beside
from mmbench.results.report.drawing.texts import shown as shown_text
from mmbench.results.report.files import safe
from mmbench.results.report.groups import Variant
from mmbench.results.report.sections.arrays import Held, names_of, seed_text
from mmbench.results.report.sections.exhibits import kind_of
from mmbench.results.report.sections.limits import few_of, left_out_text
from mmbench.results.report.sections.written import Written

__all__ = ["joint_texts", "texts_across"]

MODELS = 6  # that a figure of texts shows
INPUTS, ANSWERS, STRIPS = 6, 24, 16  # inputs of a figure; inputs times models, of texts and of rows of pictures
GENERATED, PICTURES = 3, 8  # texts and pictures of one model for one input
PRIOR, PRIORS = 5, 12  # samples from the prior of each model, and of all
PAPERS = "cub"  # the dataset of which the MEME paper shows texts


def texts_across(desk: Desk, setting: Setting, held: Held, written: Mapping[Variant, Written]) -> list[FigureItem]:
    """One direction: an entry an input, an answer a model."""
    shown = few_of(desk, {variant: held[variant] for variant in written}, MODELS)
    if not shown:
        return []
    first = written[next(iter(shown))]
    count = len(first.inputs)
    room = ANSWERS if first.images is None else STRIPS
    rows = _spaced(count, max(2, min(INPUTS, room // len(shown))))
    entries = [
        Entry(
            shown_text(first.inputs[row]) if first.pictures is None else first.pictures[row],
            tuple(
                _answer(desk, variant, written[variant], row) for variant in shown if row < len(written[variant].inputs)
            ),
            _note(first, row),
        )
        for row in rows
    ]
    caption = (
        f"Left: test inputs ({first.given}), the same for every model; right: {_made(first)}.",
        _told_of_vectors(first),
        f"Shown are {len(rows)} of {figures_text(count, 'input')}, evenly spaced, and of the generations the first, as "
        "stored; nothing is chosen by hand.",
        seed_text(shown),
        left_out_text(desk, list(shown), held),
    )
    return desk.figure(
        partial(texts_beside, entries), f"texts-{safe(first.given)}-{safe(first.target)}-{setting.slug}",
        title=f"{first.given} → {first.target}, {setting.text}", caption=caption,
        number=_number(desk, first.kinds[1] == "text"), alt=_finding(desk, written, list(shown)),
        runs=[run for run, _ in shown.values()],
    )  # fmt: skip


def joint_texts(
    desk: Desk, setting: Setting, held: Held, written: Mapping[Variant, Mapping[str, np.ndarray]]
) -> list[FigureItem]:
    """Samples from the prior: an entry a model, an answer a sample, its images and its texts side by side."""
    shown = few_of(desk, {variant: held[variant] for variant in written}, MODELS)
    if not shown:
        return []
    names = names_of(shown, "joint/")
    modalities = [name.removeprefix("joint/") for name in names]
    most = max(2, min(PRIOR, PRIORS // len(shown)))
    arrays = next(iter(shown.values()))[1]
    vectors = [
        name for name in modalities if f"joint/{name}" in arrays and kind_of(arrays[f"joint/{name}"]) == "vector"
    ]
    unseen = "".join(f"; {name}: no picture" for name in vectors)
    entries = [
        Entry(desk.group.names[v], _samples(held_arrays, written[v], most), _prior(held_arrays) + unseen)
        for v, (_, held_arrays) in shown.items()
    ]
    caption = (
        f"Samples without any input: each line is one latent sample decoded to {' and '.join(modalities)}, of every "
        f"model the first {most}. Models without a joint prior are sampled from the stand-in named.",
        f"Of {' and '.join(vectors)}, feature vectors, there is no picture." if vectors else "",
        seed_text(shown),
        left_out_text(desk, list(shown), held),
    )
    first = next(iter(shown))
    text = next(iter(written[first].values()))[0]
    return desk.figure(
        partial(texts_beside, entries), f"texts-joint-{setting.slug}", title=f"Joint samples, {setting.text}",
        caption=caption, number=_number(desk, False),
        alt=f'Samples from the prior with their texts. The first of {desk.group.names[first]}: "{text}".',
        runs=[run for run, _ in shown.values()],
    )  # fmt: skip


def _answer(desk: Desk, variant: Variant, written: Written, row: int) -> Answer:
    name = desk.group.names[variant]
    if written.images is not None:
        return Answer(name, variant.model, pictures=tuple(written.images[row][:PICTURES]))
    texts = written.texts[row][:GENERATED].tolist() if written.texts is not None else []
    return Answer(name, variant.model, texts=tuple(map(str, texts)))


def _samples(arrays: Mapping[str, ArrayRecord], texts: Mapping[str, np.ndarray], most: int) -> tuple[Answer, ...]:
    """The first samples: pictures of every modality of images, texts of every one of texts."""
    images = [a.value for name, a in sorted(arrays.items()) if name.startswith("joint/") and kind_of(a) == "image"]
    count = min([most, *(len(held) for held in (*images, *texts.values()))])
    return tuple(
        Answer("", "", tuple(image[j] for image in images), tuple(str(held[j]) for held in texts.values()))
        for j in range(count)
    )


def _spaced(count: int, most: int) -> list[int]:
    return [int(place) for place in np.linspace(0, count - 1, min(count, most)).round()]


def _note(written: Written, row: int) -> str:
    what = {"vector": "the real caption of this row", "image": "", "text": ""}[written.kinds[0]]
    return f"row {row + 1}" + (f", {what}" if what else "")


def _made(written: Written) -> str:
    samples = "at samples of the posterior given the input"
    if written.images is not None:
        return f"generations of {written.target}, decoder means {samples}"
    if written.own is not None:
        return f"generations of {written.target}, decoder means {samples}, each told by the real row it is nearest to"
    return f"generations of {written.target}, at each place the likeliest token, {samples}"


def _told_of_vectors(written: Written) -> str:
    """What stands in place of feature vectors."""
    told = []
    if written.kinds[0] == "vector":
        told.append(
            f"{written.given} is a feature vector, of which there is no picture: the real caption of the same row "
            "stands for it."
        )
    if written.own is not None:
        told.append(
            f"{written.target} is a feature vector, of which there is no picture: for each generation stands the input "
            f"row whose real vector is nearest to it (cosine about the mean of the {len(written.inputs)} inputs); by "
            f"chance {1 / len(written.inputs):.2f} would be nearest to their own row."
        )
    return " ".join(told)


def _finding(desk: Desk, written: Mapping[Variant, Written], shown: Sequence[Variant]) -> str:
    """The first generation of each model for the first input; of vectors, how many are nearest to their own row."""
    first = written[shown[0]]
    names = [desk.group.names[v] for v in shown]
    if first.own is not None:
        told = "; ".join(f"{n} {written[v].own or 0.0:.2f}" for n, v in zip(names, shown, strict=True))
        return f"Share of {first.target} vectors, generated from {first.given}, nearest to their own row: {told}."
    asked = f' for the first input, "{first.inputs[0]}"' if first.inputs[0] else " for the first input"
    if first.images is not None:
        return f"Images of {first.target} generated from {first.given} by {', '.join(names)}{asked}, and others."
    told = "; ".join(
        f'{n}: "{held.texts[0, 0]}"'
        for n, v in zip(names, shown, strict=True)
        if (held := written[v]).texts is not None
    )
    return f"Texts of {first.target} generated from {first.given}. The first generation{asked}: {told}."


def _number(desk: Desk, captions: bool) -> str:
    """What the figure is in the paper, which shows this of CUB alone."""
    return ("Figure 18" if captions else "Figure 4") if desk.group.dataset == PAPERS else ""


def _prior(arrays: Mapping[str, ArrayRecord]) -> str:
    found = {str(a.meta["prior"]) for name, a in arrays.items() if name.startswith("joint/") and "prior" in a.meta}
    return ", ".join(sorted(found))
