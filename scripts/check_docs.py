"""Run every command of the documentation: the `sh` and `python` blocks of README.md, CONTRIBUTING.md and docs/.

The blocks of one page run in order, in one temporary folder with nothing in it, with the virtual environment that runs
this script on the PATH. A comment before a block changes how it is run here, openly and for all to see:

    <!-- check: add --steps 20 -->          appended to every `run` command of the block, to make it quick
    <!-- check: file mean_vae.py -->        the block is written to this file instead of being run
    <!-- check: instead COMMAND -->         COMMAND is run in its place; $REPO is the repository
    <!-- check: skip REASON -->             not run at all

Relative links and images of the pages must lead to files that are there.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(?:^<!-- check: (?P<verb>\w+) (?P<rest>.+?) -->\n+)?^```(?P<language>sh|python)\n(?P<text>.*?)^```$", re.M | re.S
)
RUN = re.compile(r"^(?:mmbench|python \S+) run\b")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
TIMEOUT = 1200


@dataclass(frozen=True)
class Block:
    """One code block of a page, with the directive before it."""

    page: Path
    line: int
    language: str
    text: str
    verb: str
    rest: str

    @property
    def where(self) -> str:
        """Page and line, for messages."""
        return f"{self.page.relative_to(REPO)}:{self.line}"


def pages() -> list[Path]:
    """The documentation, README first."""
    return [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        yield Block(page, line, match["language"], match["text"], match["verb"] or "run", (match["rest"] or "").strip())


def broken_links(page: Path) -> list[str]:
    """Relative links that lead nowhere, one sentence each."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    return [
        f"{page.relative_to(REPO)} links to {t}, which is not there" for t in targets if not (page.parent / t).exists()
    ]


def command(block: Block) -> list[str] | None:
    """What to run for a block; None where nothing is run."""
    if block.verb in ("skip", "file"):
        return None
    if block.verb == "instead":
        return ["bash", "-euo", "pipefail", "-c", block.rest]
    if block.language == "python":
        return [sys.executable, "-c", block.text]
    if block.verb not in ("run", "add"):
        raise SystemExit(f"{block.where}: unknown directive {block.verb!r}; known: add, file, instead, skip")
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.verb == "add":
        lines = [f"{line} {block.rest}" if RUN.match(line) else line for line in lines]
    return ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]


def run(block: Block, folder: Path) -> str | None:
    """Run a block in `folder`; returns what went wrong, None where nothing did."""
    if block.verb == "file":
        (folder / block.rest).write_text(block.text, encoding="utf-8")
    arguments = command(block)
    if arguments is None:
        print(f"  {block.where}: {block.verb} {block.rest}")
        return None
    begun = time.monotonic()
    code, output = outcome(arguments, folder)
    print(f"  {block.where}: exit {code} after {time.monotonic() - begun:.1f} s", flush=True)
    return f"{block.where} failed:\n{block.text}{output}" if code else None


def outcome(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Exit code and output of a command and all that it started; it is stopped after `TIMEOUT` seconds."""
    process = subprocess.Popen(
        arguments, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return 124, f"{output}stopped after {TIMEOUT} s\n"
    return process.returncode, output


def environment() -> dict[str, str]:
    """The caller's environment without its own stores, with this interpreter's scripts first on the PATH."""
    kept = {key: value for key, value in os.environ.items() if key not in ("MMBENCH_STORE", "MAKEFLAGS", "MAKELEVEL")}
    scripts = str(Path(sys.executable).parent)
    return kept | {"PATH": scripts + os.pathsep + kept.get("PATH", ""), "REPO": str(REPO), "MPLBACKEND": "Agg"}


def main() -> None:
    """Check all pages, or those named on the command line; exit code 1 where something failed."""
    failures: list[str] = []
    for page in [Path(name).resolve() for name in sys.argv[1:]] or pages():
        print(page.relative_to(REPO))
        failures += broken_links(page)
        with tempfile.TemporaryDirectory() as folder:
            failures += [failure for block in blocks(page) if (failure := run(block, Path(folder)))]
    print("\n\n".join(failures) or "every command of the documentation works")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
