"""One run, whole: data -> scheme -> model -> fit -> evaluate -> record, the one place where all the rooms meet.

    >>> from mmbench.run import Request, resolve
    >>> spec = resolve(Request(model="meme", scheme="split", f=0.5, steps=100))
    >>> spec.scheme, spec.settings["train"]["steps"]
    ('split', 100)

`run(spec, store)` trains and scores, `evaluate_run` adds scores to a trained run, `load` gives the fitted model.
The names are served lazily: importing this package loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmbench.run.engine import evaluate_run, run
    from mmbench.run.fitted import Fitted, load
    from mmbench.run.options import Request, RunOptions
    from mmbench.run.specs import fit_key, read_spec, resolve

__all__ = [
    "Fitted",
    "Request",
    "RunOptions",
    "evaluate_run",
    "fit_key",
    "load",
    "read_spec",
    "resolve",
    "run",
]

_HOMES = {
    "Fitted": "fitted",
    "Request": "options",
    "RunOptions": "options",
    "evaluate_run": "engine",
    "fit_key": "specs",
    "load": "fitted",
    "read_spec": "specs",
    "resolve": "specs",
    "run": "engine",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
