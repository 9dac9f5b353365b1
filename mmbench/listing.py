"""What `mmbench list` and `mmbench data` show: the registered components with what each says about itself.

`mmbench list models` is the capability table: Table 1 of the MEME paper (Joy et al. 2022), extended. Its claims are run
by the contract suite. Components of other distributions are listed by name; their code runs only when they are asked
for by name, and for `mmbench list plugins`, which says of each whether it can be had.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mmbench import plugins
from mmbench.errors import MMBenchError
from mmbench.origins import origin_of
from mmbench.printing import table
from mmbench.registry import MMBENCH, Registry

__all__ = ["dataset_rows", "reference", "text"]

Rows = tuple[Sequence[str], list[tuple[str, ...]]]

LEGEND = """\
test: generates one modality from another. train: learns from rows with missing modalities, by its source (as the MEME
paper's Table 1 reports it) and here. density: the log likelihoods it has. private: latents of one modality alone.
stages: those of its default settings. joint: form of the joint posterior of two modalities s and t."""


def text(kind: str) -> str:
    """What is printed of `models`, `datasets`, `schemes`, `metrics`, `plans` or `plugins`."""
    if kind == "models":
        return _models()
    rows = {"datasets": _datasets, "schemes": _schemes, "metrics": _metrics, "plans": _plans, "plugins": _plugins}
    return table(*rows[kind]())


def dataset_rows(root: Path | None) -> Rows:
    """Header and rows of the data sets with what `verify` says of the files below `root`."""
    from mmbench.datasets import DATASETS

    own = [(f"{prefix}:NAME", f"`mmbench data verify {prefix}:NAME` looks at it") for prefix in DATASETS.families()]
    return ("dataset", "files"), [*_rows(DATASETS, 2, lambda name, dataset: (name, _state(dataset, root))), *own]


def _models() -> str:
    """The capability table, and below it what does not fit: sources, and the rule behind each answer."""
    from mmbench.models import MODELS

    head = ("model", "test", "train: source", "train: here", "modalities", "density", "private", "stages", "joint")
    known = MODELS.known().items()
    return "\n\n".join([
        table(head, _rows(MODELS, len(head), _capability)),
        LEGEND,
        table(("model", "title", "reference", "additional components", "presets"), [_origin(*item) for item in known]),
        table(("model", "training with missing modalities"), [(name, _training(m.facts)) for name, m in known]),
        table(("model", "log likelihoods"), [(name, m.facts.density_rule) for name, m in known]),
        table(("family", "offers"), [(f"{prefix}:NAME", offered) for prefix, offered in MODELS.offers().items()]),
    ])  # fmt: skip


def _capability(name: str, model: Any) -> tuple[str, ...]:
    facts = model.facts
    return (
        name,
        _yes(facts.partial_test),
        _mark(facts.partial_train_claims),
        _yes(facts.partial_train_holds),
        "any" if facts.modalities_max is None else f"up to {facts.modalities_max}",
        facts.density,
        _yes(facts.private_latents),
        ", ".join(stage.name for stage in model.stages),
        facts.joint,
    )


def _origin(name: str, model: Any) -> tuple[str, ...]:
    facts = model.facts
    return name, facts.title, reference(facts.references), facts.additional, ", ".join(sorted(model.presets))


def _training(facts: Any) -> str:
    """The rule that holds here, and the source's words where the table has only their beginning."""
    rule, claims = facts.partial_train_rule, facts.partial_train_claims
    return str(rule) if claims == _mark(claims) else f"{rule} (source: {claims})"


def _mark(claims: str) -> str:
    """What the source claims, without its explanation: `in theory, not verified` is `in theory`."""
    return re.split(r"[,:;(]", claims)[0].strip()


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def reference(references: Iterable[str]) -> str:
    """The first of `authors, title, venue year` in short: `Shi et al. 2019`, `Wu & Goodman 2018`."""
    whole = next(iter(references), "")
    first, *others = whole.split(", ")
    several = not re.search(r"&|et al", first) and any("&" in other and len(other) < 40 for other in others[:8])
    years = re.findall(r"\b(?:19|20)\d\d\b(?!\.\d)", whole)
    return " ".join([first, *(["et al."] if several else []), *years[-1:]])


def _datasets() -> Rows:
    from mmbench.datasets import DATASETS

    own = [(f"{prefix}:NAME", offered) for prefix, offered in DATASETS.offers().items()]
    return ("dataset", "description"), [*_rows(DATASETS, 2, lambda name, dataset: (name, dataset.description)), *own]


def _schemes() -> Rows:
    from mmbench.datasets import SCHEMES

    return ("scheme", "description"), _rows(SCHEMES, 2, lambda name, scheme: (name, scheme.description))


def _metrics() -> Rows:
    """Where a metric is computed by default: everywhere, but for datasets that name their own, or where it is named."""
    from mmbench.datasets import DATASETS
    from mmbench.metrics.base import METRICS

    own = {name: dataset.default_metrics or () for name, dataset in DATASETS.known().items()}

    def default(name: str, everywhere: bool) -> str:
        naming = ", ".join(dataset for dataset, metrics in own.items() if name in metrics)
        return "yes" if everywhere else f"for {naming}" if naming else "no"

    header = ("metric", "default", "version", "description")
    return header, _rows(METRICS, len(header), lambda name, metric: (
        name, default(name, metric.default and origin_of(metric) is None), str(metric.version), metric.description
    ))  # fmt: skip


def _plans() -> Rows:
    from mmbench.sweep.plan import ready_plans

    return ("plan", "title"), list(ready_plans().items())


def _plugins() -> Rows:
    """Every component from outside, imported to see whether it can be had; and the plug-in files that failed."""
    found = [row for registry in _registries() for row in _from_outside(registry)]
    found += [("file", "", path, reason) for path, reason in plugins.failed().items()]
    return ("kind", "name", "from", "state"), found


def _from_outside(registry: Registry[Any]) -> Iterator[tuple[str, ...]]:
    for name in registry:
        claims = registry.claims(name)
        if len(claims) > 1 or claims != [MMBENCH]:
            yield registry.kind, name, " and ".join(claims), _had(registry, name)


def _had(registry: Registry[Any], name: str) -> str:
    try:
        registry[name]
    except MMBenchError as error:
        return str(error)
    return "works"


def _registries() -> tuple[Registry[Any], ...]:
    from mmbench.datasets import DATASETS, SCHEMES
    from mmbench.metrics.base import METRICS
    from mmbench.models import MODELS, NETWORKS

    return MODELS, DATASETS, SCHEMES, METRICS, NETWORKS


def _rows(
    registry: Registry[Any], columns: int, describe: Callable[[str, Any], tuple[str, ...]]
) -> list[tuple[str, ...]]:
    known = registry.known()

    def elsewhere(name: str) -> tuple[str, ...]:
        return (name, *[""] * (columns - 2), f"of {' and of '.join(registry.claims(name))}")

    return [describe(name, known[name]) if name in known else elsewhere(name) for name in registry]


def _state(dataset: Any, root: Path | None) -> str:
    try:
        return str(dataset.verify(root))
    except MMBenchError as error:
        return str(error)
