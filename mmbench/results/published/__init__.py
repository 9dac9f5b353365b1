"""Numbers printed in papers, to be shown beside one's own.

`meme_iclr2022.csv`: Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022
(https://openreview.net/forum?id=1xXvPrAshao), Tables 3 to 6: mean and standard deviation over the paper's repetitions,
one row a cell;
the number of seeds is not stated. A scheme is the paper's subscript, the modality that is always observed (`svhn-only`:
the unpaired rest has svhn alone); its column `f = 1.0` is one run repeated in every row, here once as `complete`.

Slips of the paper, and what was done: the rows of MEME with `split` in Table 6 repeat Table 4 and are left out; single
cells of the column `f = 1.0` differ between rows of the same run (Table 5, MVAE, caption to image: .002 in one row,
-.002 in two; Table 6, MEME, MNIST: .073 and .075), of which the first row's is kept.
"""

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["published_scores"]

_TEXT = ("table", "dataset", "model", "scheme", "given", "target", "metric")


def published_scores() -> "pd.DataFrame":
    """The published scores: `table, dataset, model, scheme, given, target, metric, f, mean, sd`.

    Metrics, schemes and modalities are called as mmbench calls them; absent texts are empty, absent numbers NaN.
    """
    import pandas as pd

    with resources.files(__name__).joinpath("meme_iclr2022.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype=dict.fromkeys(_TEXT, str), keep_default_na=False, na_values={"f": [""]})
    table["source"] = "Joy et al., ICLR 2022, " + table["table"]
    return table
