"""What stands on top of the page: which runs there are, as a matrix a group, and what is missing, by kind.

It counts and claims nothing: a finding needs its figure, its interval and its caption beside it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmbench.results.records import RunRecord
from mmbench.results.report.captions import DASH
from mmbench.results.report.contents import Missing
from mmbench.results.report.groups import Condition, Group, of_seeds
from mmbench.results.report.page.gaps import usual_seeds

__all__ = ["Cell", "Kind", "Matrix", "Summary", "summary_of"]

FIRST = 3  # entries of a kind that the summary shows
FULL = "complete"


@dataclass(frozen=True)
class Cell:
    """A condition's runs.

    Attributes:
        done, of: seeds that ended well, of those that were run or that at least half of the group's conditions have.
        state: `all`, `some`, `none` (tried, none ended well), `refused` (the model cannot bear it), `never` (not run).
    """

    done: int
    of: int
    state: str

    @property
    def text(self) -> str:
        """What the cell shows.

        >>> Cell(2, 3, "some").text, Cell(0, 3, "refused").text
        ('2/3', 'refused')
        """
        return {"refused": "refused", "never": DASH}.get(self.state, f"{self.done}/{self.of}")


@dataclass(frozen=True)
class Matrix:
    """A group's runs: lines are models with their settings, columns are schemes with their fractions.

    Attributes:
        id: the group's section.
        head: scheme -> fractions, falling; `complete` first.
        lines: name and a cell for each scheme and fraction, in the order of `head`.
    """

    id: str
    title: str
    head: tuple[tuple[str, tuple[float, ...]], ...]
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Kind:
    """What is missing of one kind; `first` is a few of it, those with a command before the others."""

    name: str
    entries: tuple[Missing, ...]
    first: tuple[Missing, ...]


@dataclass(frozen=True)
class Summary:
    """The top of the page.

    Attributes:
        ended: status -> number of runs, `done` first.
        matrices: one a group.
        kinds: what is missing, by kind.
    """

    ended: tuple[tuple[str, int], ...]
    matrices: tuple[Matrix, ...]
    kinds: tuple[Kind, ...]


def summary_of(groups: Iterable[Group], runs: Iterable[RunRecord], missing: Iterable[Missing]) -> Summary:
    """Count; the order of `runs` does not matter, that of `groups` and `missing` is kept."""
    counts: dict[str, int] = defaultdict(int)
    for run in runs:
        counts[run.status] += 1
    ended = sorted(counts.items(), key=lambda item: (item[0] != "done", item[0]))
    return Summary(tuple(ended), tuple(map(_matrix, groups)), kinds_of(missing))


def kinds_of(missing: Iterable[Missing]) -> tuple[Kind, ...]:
    """Entries by kind: what became of runs comes before the figures and tables that lack them."""
    found: dict[str, list[Missing]] = defaultdict(list)
    for entry in missing:
        found[entry.kind].append(entry)
    return tuple(
        Kind(name, tuple(entries), tuple(sorted(entries, key=lambda entry: not entry.how)[:FIRST]))
        for name, entries in sorted(found.items(), key=lambda item: item[0] == Missing.kind)
    )


def _matrix(group: Group) -> Matrix:
    held = of_seeds(group.runs)
    seeds = usual_seeds(group)
    columns: dict[str, set[float]] = defaultdict(set)
    for condition in held:
        columns[condition.scheme].add(condition.f)
    head = tuple(
        (scheme, tuple(sorted(columns[scheme], reverse=True)))
        for scheme in sorted(columns, key=lambda scheme: (scheme != FULL, scheme))
    )
    variants = sorted({condition.variant for condition in held}, key=lambda v: (group.names[v], v))
    lines = tuple(
        (
            group.names[variant],
            tuple(_cell(held, Condition(variant, scheme, f), seeds) for scheme, fs in head for f in fs),
        )
        for variant in variants
    )
    return Matrix(group.slug, group.title, head, lines)


def _cell(held: Mapping[Condition, Sequence[RunRecord]], condition: Condition, usual: set[int]) -> Cell:
    runs = held.get(condition, ())
    done = sum(run.status == "done" for run in runs)
    of = len(usual | {run.spec["seed"] for run in runs})
    return Cell(done, of, _state(runs, done, of))


def _state(runs: Sequence[RunRecord], done: int, of: int) -> str:
    if not runs:
        return "never"
    if all(run.status == "refused" for run in runs):
        return "refused"
    return "none" if not done else "all" if done == of else "some"
