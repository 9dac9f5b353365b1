"""Numbers printed in papers, to be shown beside one's own.

`meme_iclr2022.csv`: Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022
(https://openreview.net/forum?id=1xXvPrAshao), Tables 2 to 7: mean and, where it is printed, standard deviation over the
paper's repetitions, one row a cell; the number of seeds is not stated. A scheme is the paper's subscript, the modality
that is always observed (`svhn-only`: the unpaired rest has svhn alone); its column `f = 1.0` is one run repeated in
every row, here once as `complete`. Metrics, models, schemes, modalities and settings are called as mmbench calls them.

Slips of the paper, and what was done: the rows of MEME with `split` in Table 6 repeat Table 4 and are left out; single
cells of the column `f = 1.0` differ between rows of the same run (Table 5, MVAE, caption to image: .002 in one row,
-.002 in two; Table 6, MEME, MNIST: .075 and .073), of which the first row's is kept and the other noted. Table 7 is
labelled coherence, without a direction, and kept as the metric `coherence`, which no metric here is. Table 2 has no
stated protocol; "s = M, t = S" is read as log p(s|t), which the bound estimates once log p(t) is left out, so that
MNIST is its target. `published_slips` says the same in sentences for a page, `stated` what the paper says of training.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GROUND_TRUTH", "PublishedScore", "published_rows", "published_scores", "published_slips"]


GROUND_TRUTH = "ground-truth"
"""Stands for a model where real pairs were scored, which no model had a part in."""


@dataclass(frozen=True)
class PublishedScore:
    """One printed cell.

    Attributes:
        table: `Table 3`.
        dataset, model, scheme, given, target, metric: as in a run's spec and scores; empty where there is none.
        f: the complete fraction; NaN where there is none (ground truth).
        mean, sd: as printed, percentages as fractions; `sd` is NaN where none is printed.
        own_settings: settings of the model that this cell is about, `model.direction=s->t`; empty for none.
        protocol: what is unknown of how it was measured, so that nothing can be compared with it; empty where enough
            is known.
        note: a slip of the paper at this cell, or how it is to be read; empty for none.
    """

    table: str
    dataset: str
    model: str
    scheme: str
    given: str
    target: str
    metric: str
    f: float
    mean: float
    sd: float
    own_settings: str
    protocol: str
    note: str

    @property
    def source(self) -> str:
        """Paper and table."""
        return f"Joy et al., ICLR 2022, {self.table}"

    @property
    def wanted(self) -> Mapping[str, str]:
        """`own_settings` by dotted name."""
        parts = (part.partition("=") for part in self.own_settings.split(";") if part)
        return {name: value for name, _, value in parts}


def published_rows() -> tuple[PublishedScore, ...]:
    """Every printed cell, in the order of the paper; needs no pandas."""
    text = resources.files(__name__).joinpath("meme_iclr2022.csv").read_text(encoding="utf-8")
    return tuple(_read(row) for row in csv.DictReader(text.splitlines()))


def published_scores() -> "pd.DataFrame":
    """The same as a table, with the fields of `PublishedScore` and `source` as columns; absent numbers are NaN."""
    import pandas as pd

    return pd.DataFrame([{**asdict(row), "source": row.source} for row in published_rows()])


def published_slips() -> tuple[str, ...]:
    """What is wrong with, or unknown of, the printed numbers: one sentence each."""
    return (
        "Table 2: estimator, number of samples and likelihood scale are not stated, so that only the order of its "
        "values can be read; s = M, t = S is taken as log p(MNIST|SVHN), the part of the bound that has parameters.",
        "Table 5: the run of MVAE at f = 1 is printed three times, from caption to image as -.002, .002 and -.002; "
        "-.002 is shown.",
        "Table 6: the run of MEME at f = 1 is printed for MNIST as .075 in one row and as .073 in another; .075 is "
        "shown. MEME's split rows are digit for digit those of Table 4 and are left out.",
        "Table 7: it is labelled coherence, without a direction and without standard deviations, and may be latent "
        "accuracy.",
    )


def _read(row: Mapping[str, str]) -> PublishedScore:
    numbers = {name: float(row[name]) if row[name] else math.nan for name in ("f", "mean", "sd")}
    return PublishedScore(**{**row, **numbers})  # type: ignore[arg-type]  # csv gives text, `numbers` the three others
