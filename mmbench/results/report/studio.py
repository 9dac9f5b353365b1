"""Drawing many figures on several cores: what a report waits for is matplotlib, and one figure needs no other.

Figures are asked for while the sections are made and drawn when all are known, in this process and in others beside
it. A job is a function with its numbers (`functools.partial`), pickled to a process of our own making that was started
anew: a fork would take locks and threads of numeric libraries with it. The bytes of a figure do not depend on where it
is drawn.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from matplotlib.figure import Figure

from mmbench.results.report.contents import FigureItem, Section
from mmbench.results.report.drawing.canvas import Drawing, paths_of, save
from mmbench.results.report.drawing.style import applied

__all__ = ["Studio", "main", "with_drawings"]

START = "import sys; sys.path[:] = sys.argv[1:]; from mmbench.results.report.studio import main; main()"
FEW = 12  # figures for which a second process, which takes two seconds to start, is not worth it
MOST = 4  # processes, this one included

Draw = Callable[[], Figure]
Job = tuple[str, Draw]  # name of the files, and what makes the figure


class Studio:
    """Figures asked for, to be drawn into `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs: list[Job] = []

    def later(self, draw: Draw, name: str) -> Drawing:
        """Ask for a figure; its size is known when it is drawn."""
        self._jobs.append((name, draw))
        png, svg = paths_of(name)
        return Drawing(png, svg, 0, 0)

    @property
    def count(self) -> int:
        """How many figures are asked for and not drawn yet."""
        return len(self._jobs)

    def drawn(self) -> dict[str, Drawing]:
        """Draw all that was asked for: path of the PNG -> drawing. Raises what drawing raises, here or elsewhere."""
        jobs, self._jobs = self._jobs, []
        number = min(os.cpu_count() or 1, MOST) if len(jobs) > FEW else 1
        shares = [jobs[first::number] for first in range(number)]
        helpers: list[_Helper] = []
        try:
            helpers.extend(_Helper(self._folder, share) for share in shares[1:])
            found = _draw_all(self._folder, shares[0])
            for helper in helpers:
                found += helper.result()
        finally:
            for helper in helpers:
                helper.stop()
        return {drawing.png: drawing for drawing in found}


def with_drawings(sections: Sequence[Section], drawings: dict[str, Drawing]) -> list[Section]:
    """The sections with figures that know their size."""
    return [
        replace(
            section,
            items=tuple(
                replace(item, drawing=drawings.get(item.drawing.png, item.drawing))
                if isinstance(item, FigureItem)
                else item
                for item in section.items
            ),
            sections=tuple(with_drawings(section.sections, drawings)),
        )
        for section in sections
    ]


def main() -> None:
    """The other process: jobs on standard input, drawings, or what the disk said, on standard output; both pickled."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which ends this process
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no result
        folder, jobs = pickle.load(sys.stdin.buffer)
        try:
            with applied():
                answer: list[Drawing] | OSError = _draw_all(folder, jobs)
        except OSError as error:  # such as a full disk, which the parent explains; anything else ends with a traceback
            answer = error
        pickle.dump(answer, out)


class _Helper:
    """A process that draws a share of the figures."""

    def __init__(self, folder: Path, jobs: Sequence[Job]) -> None:
        work = pickle.dumps((folder, list(jobs)))
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-c", START, *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with suppress(BrokenPipeError), _pipe(self._process.stdin) as stdin:  # `result` says how the process ended
            stdin.write(work)

    def result(self) -> list[Drawing]:
        """Wait for the drawings."""
        answer = _pipe(self._process.stdout).read()
        if self._process.wait() != 0 or not answer:
            raise RuntimeError(f"a process that drew figures ended with exit code {self._process.returncode}")
        found = pickle.loads(answer)
        if isinstance(found, OSError):
            raise found
        return list(found)

    def stop(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        _pipe(self._process.stdout).close()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise RuntimeError("a process was started without its pipes")
    return stream


def _draw_all(folder: Path, jobs: Sequence[Job]) -> list[Drawing]:
    return [save(draw(), folder, name) for name, draw in jobs]
