"""Models of mmbench beside the same ones of the package multivae, as the table of docs/bridge.md.

    mmbench sweep docs/bridge/digits.yaml --store bridge.db
    python scripts/bridge_table.py bridge.db

Each row is a pair of models, each column a score: mean and standard deviation over the seeds, ours before theirs. A
difference is marked where Welch's test finds one, with Holm's correction over all cells of the table: at three seeds a
side it finds large ones only, and none found is not the same as none there. Scores of other models, and columns that a
store does not have, are left out.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from mmbench.results.comparison import holm
from mmbench.results.frame import scores_frame
from mmbench.results.store import Store

if TYPE_CHECKING:
    import pandas as pd

PAIRS: Mapping[str, str] = {
    "mvae": "MVAE",
    "mmvae": "MMVAE",
    "mopoe": "MoPoE",
    "jmvae": "JMVAE",
    "mvtcae": "MVTCAE",
    "crmvae": "CRMVAE",
    "telbo": "TELBO",
    "jnf": "JNF",
    "dmvae": "DMVAE",
    "mmvaeplus": "MMVAEPlus",
    "cmvae": "CMVAE",
    "nexus": "Nexus",
}
"""Our model -> theirs."""

LEVEL = 0.05


@dataclass(frozen=True)
class Column:
    """One score: its place in the frame, and its digits."""

    title: str
    metric: str
    given: str
    target: str
    estimator: str
    digits: int = 3


COLUMNS = (
    Column("cross coherence, h to s", "cross_coherence", "handwritten", "street", "micro"),
    Column("s to h", "cross_coherence", "street", "handwritten", "micro"),
    Column("joint coherence", "joint_coherence", "", "", "prior-samples"),
    Column("latent accuracy, h", "latent_accuracy", "handwritten", "", "logistic-mean"),
    Column("s", "latent_accuracy", "street", "", "logistic-mean"),
    Column("log p(h, s), nats", "log_likelihood", "", "handwritten+street", "iwae", 1),
)


@dataclass(frozen=True)
class Cell:
    """The values over seeds of one score, ours and theirs."""

    ours: Sequence[float]
    theirs: Sequence[float]

    @property
    def p(self) -> float | None:
        """p of Welch's test that both have one mean; None where a side has no spread over seeds."""
        from scipy.stats import ttest_ind

        if min(len(set(self.ours)), len(set(self.theirs))) < 2:
            return None
        return float(ttest_ind(self.ours, self.theirs, equal_var=False).pvalue)


def main() -> None:
    """Print the table of a store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="the store of the runs")
    with Store.open_readonly(parser.parse_args().store) as opened:
        print(table(scores_frame(opened)))


def table(frame: "pd.DataFrame") -> str:
    """The table in Markdown, of the scores of complete rows of `digits`."""
    rows = frame[(frame.dataset == "digits") & (frame.f == 1.0) & (frame.preset == "common")]
    found = {
        (ours, column): Cell(_values(rows, ours, column), _values(rows, f"multivae:{theirs}", column))
        for ours, theirs in PAIRS.items()
        for column in COLUMNS
    }
    cells = {place: cell for place, cell in found.items() if cell.ours and cell.theirs}
    models = [name for name in PAIRS if any(model == name for model, _ in cells)]
    columns = [column for column in COLUMNS if any(held == column for _, held in cells)]
    tested = {place: cell.p for place, cell in cells.items() if cell.p is not None}
    adjusted = dict(zip(tested, holm([p for p in tested.values() if p is not None]), strict=True))
    lines = [_line(["ours / multivae", "seeds", *(column.title for column in columns)])]
    lines.append(_line(["---"] * (len(columns) + 2)))
    for name in models:
        texts = [
            _text(cells.get((name, column)), column, apart=adjusted.get((name, column), 1.0) < LEVEL)
            for column in columns
        ]
        lines.append(_line([f"`{name}` / `multivae:{PAIRS[name]}`", _seeds(name, cells), *texts]))
    return "\n".join(lines)


def _values(rows: "pd.DataFrame", model: str, column: Column) -> list[float]:
    """The score's value of each seed."""
    some = rows[
        (rows.model == model)
        & (rows.metric == column.metric)
        & (rows.given == column.given)
        & (rows.target == column.target)
        & (rows.estimator.str.startswith(column.estimator))
    ]
    return [float(value) for value in some.sort_values("seed")["value"].dropna()]


def _seeds(name: str, cells: Mapping[tuple[str, Column], Cell]) -> str:
    counts = {(len(cell.ours), len(cell.theirs)) for (model, _), cell in cells.items() if model == name}
    return ", ".join(f"{ours} / {theirs}" for ours, theirs in sorted(counts))


def _text(cell: Cell | None, column: Column, *, apart: bool) -> str:
    if cell is None:
        return "-"
    both = " / ".join(_spread(values, column.digits) for values in (cell.ours, cell.theirs))
    return f"**{both}**" if apart else both


def _spread(values: Sequence[float], digits: int) -> str:
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}"


def _line(parts: Sequence[str]) -> str:
    return f"| {' | '.join(parts)} |"


if __name__ == "__main__":
    main()
