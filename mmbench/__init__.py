"""mmbench: a benchmark of multimodal variational autoencoders under partial observation.

From Python: `mmbench.resolve(mmbench.Request(...))` gives a spec, `mmbench.run.run(spec, store)` a record, and
`mmbench.load(run_id)` the fitted model. The names are served lazily: `import mmbench` loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmbench.config import RunSpec
    from mmbench.errors import MMBenchError
    from mmbench.results.store import Store
    from mmbench.run import Fitted, Request, RunOptions, evaluate_run, load, resolve

__all__ = [
    "Fitted",
    "MMBenchError",
    "Request",
    "RunOptions",
    "RunSpec",
    "Store",
    "evaluate_run",
    "load",
    "resolve",
]

_HOMES = {
    "Fitted": "mmbench.run",
    "MMBenchError": "mmbench.errors",
    "Request": "mmbench.run",
    "RunOptions": "mmbench.run",
    "RunSpec": "mmbench.config",
    "Store": "mmbench.results.store",
    "evaluate_run": "mmbench.run",
    "load": "mmbench.run",
    "resolve": "mmbench.run",
}


def __getattr__(name: str) -> Any:
    if name == "run":  # the room; its function of the same name is `mmbench.run.run`
        return import_module("mmbench.run")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
