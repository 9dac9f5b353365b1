"""The generated texts as a table and a CSV, for those who cannot see the figures and for those who count words."""

from collections.abc import Iterator, Mapping

import numpy as np

from mmbench.results.report.captions import terms_of
from mmbench.results.report.contents import TableItem
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.groups import Variant
from mmbench.results.report.sections.written import Written
from mmbench.results.report.tables.lines import write_csv

__all__ = ["Record", "records_across", "records_jointly", "texts_table"]

SHOWN = 400  # lines on the page; the CSV has all
HEAD = ("model", "scheme", "f", "row", "given", "input", "target", "generation")
Record = Mapping[str, object]


def records_across(desk: Desk, setting: Setting, written: Mapping[Variant, Written]) -> Iterator[Record]:
    """One record a generated text: its input in words, where there are any."""
    for variant, held in written.items():
        for (row, number), text in np.ndenumerate(held.texts if held.texts is not None else np.zeros((0, 0))):
            words = held.inputs[row]
            given = words if held.kinds[0] == "text" else f"({held.kinds[0]}; real caption: {words})" if words else ""
            yield _record(desk, setting, variant, row, number, held.given, given, held.target, str(text))


def records_jointly(
    desk: Desk, setting: Setting, written: Mapping[Variant, Mapping[str, np.ndarray]]
) -> Iterator[Record]:
    """One record a text of a sample from the prior, for which nothing is given."""
    for variant, by_modality in written.items():
        for target, texts in by_modality.items():
            for row, text in enumerate(texts):
                yield _record(desk, setting, variant, row, 0, "", "", target, str(text))


def texts_table(desk: Desk, records: list[Record]) -> list[TableItem]:
    """The first texts of every input, as many as the page holds, and all of them as CSV; none where there are none."""
    if not records:
        return []
    path = write_csv(desk.folder, f"{desk.group.slug}-texts", records, below="figures")
    first = [record for record in records if record["number"] == 1]
    shown = first[:SHOWN]
    caption = (
        "The generated texts behind the figures: of each input the first generation; a vector is told by the input row "
        "that it is nearest to. Nothing given: a sample from the prior.",
        f"Shown are {len(shown)} of {len(records)} texts; the CSV has all.",
        f"Terms: {terms_of(desk.group)}",
    )
    body = tuple(tuple(str(record[name]) for name in HEAD) for record in shown)
    return [
        TableItem(f"{desk.group.slug}-table-texts", "Generated texts", HEAD, body, caption, path, folded=True,
                  filters=("model", "scheme", "f", "given", "target"))
    ]  # fmt: skip


def _record(
    desk: Desk,
    setting: Setting,
    variant: Variant,
    row: int,
    number: int,
    given: str,
    words: str,
    target: str,
    text: str,
) -> Record:
    return {
        "model": desk.group.names[variant],
        "scheme": setting.scheme,
        "f": f"{setting.f:g}",
        "row": row + 1,
        "number": number + 1,
        "given": given,
        "input": words,
        "target": target,
        "generation": text,
    }
