"""Results: frozen records, the store that keeps them, tables, statistics over seeds, and published numbers.

Nothing here knows torch, data or models, and nothing heavy is imported before it is asked for (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmbench.results.comparison import compare, leaders
    from mmbench.results.frame import scores_frame, to_csv, to_json
    from mmbench.results.location import default_store
    from mmbench.results.published import published_rows, published_scores
    from mmbench.results.ranks import ranking
    from mmbench.results.records import ArrayRecord, Curve, RunRecord, Score, Status
    from mmbench.results.statistics import over_seeds, rows_interval, t_interval, wilson_interval
    from mmbench.results.store import Store
    from mmbench.results.verdicts import Verdict, verdict

__all__ = [
    "ArrayRecord",
    "Curve",
    "RunRecord",
    "Score",
    "Status",
    "Store",
    "Verdict",
    "compare",
    "default_store",
    "leaders",
    "over_seeds",
    "published_rows",
    "published_scores",
    "ranking",
    "rows_interval",
    "scores_frame",
    "t_interval",
    "to_csv",
    "to_json",
    "verdict",
    "wilson_interval",
]

_HOMES = {
    "comparison": ("compare", "leaders"),
    "frame": ("scores_frame", "to_csv", "to_json"),
    "location": ("default_store",),
    "published": ("published_rows", "published_scores"),
    "ranks": ("ranking",),
    "records": ("ArrayRecord", "Curve", "RunRecord", "Score", "Status"),
    "statistics": ("over_seeds", "rows_interval", "t_interval", "wilson_interval"),
    "store": ("Store",),
    "verdicts": ("Verdict", "verdict"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
