"""Seconds until the command answers: the median of seven fresh processes."""

import statistics
import subprocess
import sys
import time
from typing import Any

__all__ = ["measured"]

COMMANDS = (
    (
        "`mmbench --help`",
        [sys.executable, "-c", "import sys; sys.argv=['mmbench','--help']; from mmbench.cli import main; main()"],
        0.4,
    ),
    ("`import mmbench.results`", [sys.executable, "-c", "import mmbench.results"], 1.0),
)


def measured() -> list[dict[str, Any]]:
    """One row a command."""
    return [{"what": what, "seconds": _median(command), "limit": limit} for what, command, limit in COMMANDS]


def _median(command: list[str]) -> float:
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])
