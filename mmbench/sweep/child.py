"""A process for one run: a request on standard input, what it says and its outcome on standard output, JSON by line.

Standard input stays open as long as the run is wanted. When it closes, because of Ctrl-C in the parent or because the
parent is gone, the run is interrupted as by Ctrl-C, so that none is left behind. What a library prints goes to standard
error.
"""

import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbench import plugins
from mmbench.config import RunSpec
from mmbench.run.options import RunOptions

__all__ = ["START", "main", "request"]

START = "import sys; sys.path[:] = sys.argv[1:]; from mmbench.sweep.child import main; main()"


def request(spec: RunSpec, store: str | Path, options: RunOptions) -> bytes:
    """What the parent writes: one line. Plug-in files go as they were read, whatever stands in them by now."""
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(options) if f.name != "say"}
    files = [{"path": file.path, "content": file.content.decode("latin-1")} for file in plugins.loaded()]
    asked = {"spec": spec.to_dict(), "store": str(store), "options": given, "plugins": files}
    line = json.dumps(asked, default=str)
    return line.encode() + b"\n"


def main() -> None:
    """Carry out the run that is asked for."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have set to be ignored
        asked = json.loads(_line())

        def tell(**what: str | None) -> None:
            out.write(json.dumps(what) + "\n")

        try:
            outcome = _outcome(asked, lambda sentence: tell(said=sentence))
        except KeyboardInterrupt:  # before the run began
            outcome = {"status": "interrupted", "run": None, "error": "interrupted before it began."}
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is over: there is nothing to interrupt
        tell(**outcome)


def _outcome(asked: Mapping[str, Any], say: Any) -> dict[str, str | None]:
    threading.Thread(target=_heed, daemon=True).start()
    from mmbench.run.allocator import raise_thresholds
    from mmbench.sweep.outcome import carried

    raise_thresholds()
    for file in asked["plugins"]:
        plugins.load(file["path"], content=file["content"].encode("latin-1"))
    options = asked["options"]
    root = options.pop("data_root")
    options = RunOptions(**options, data_root=None if root is None else Path(root), say=say)
    found = carried(RunSpec.from_dict(asked["spec"]), asked["store"], options)
    return {"status": found.status, "run": found.run, "error": found.error}


def _line() -> bytes:
    """The first line of standard input, unbuffered: what follows is for `_heed`."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            raise SystemExit(1)
        line += part
    return line


def _heed() -> None:
    """Wait until standard input closes, then interrupt the run."""
    while os.read(0, 1):
        pass
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
