"""The models of a store and what each can do: the paper's Table 1."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmbench.config import canonical_json
from mmbench.results.records import RunRecord
from mmbench.results.report.captions import DASH
from mmbench.results.report.contents import TableItem
from mmbench.results.report.tables.lines import write_csv

__all__ = ["capabilities"]


def capabilities(folder: Path, runs: Iterable[RunRecord]) -> TableItem | None:
    """The paper's Table 1 from the facts stored with the runs; one line for each distinct statement."""
    facts = {(run.spec["model"], canonical_json(run.facts)): run.facts for run in runs if run.facts}
    if not facts:
        return None
    head = (
        "model",
        "partial test",
        "partial train: source",
        "partial train: here",
        "joint",
        "additional",
        "modalities",
        "log likelihoods",
        "private latents",
        "stages",
    )
    body = tuple(_capability(model, known) for (model, _), known in sorted(facts.items()))
    records = [{"model": model, **_flat_facts(known)} for (model, _), known in sorted(facts.items())]
    columns = sorted({key for record in records for key in record} - {"model"})
    path = write_csv(folder, "models", [{"model": r["model"], **{c: r.get(c, "") for c in columns}} for r in records])
    caption = (
        "What each model can do (the MEME paper's Table 1): what its source claims for partially observed training "
        "data, what holds in mmbench and by which rule; the form of the joint representation; additional components; "
        "of which sets of modalities it has a log likelihood, and how that is estimated; whether some latents belong "
        "to one modality alone; the stages of its training.",
    )
    return TableItem("table-models", "Capabilities", (*head, "references"), body, caption, path, number="Table 1")


def _capability(model: str, facts: Mapping[str, Any]) -> tuple[Any, ...]:
    limit = facts.get("modalities_max")
    holds = f"{_yes(facts.get('partial_train_holds'))}: {facts.get('partial_train_rule', '')}".rstrip(": ")
    return (
        Markup("<strong>{}</strong> {}").format(model, facts.get("title", "")),
        _yes(facts.get("partial_test")),
        str(facts.get("partial_train_claims", DASH)),
        holds,
        str(facts.get("joint", DASH)),
        str(facts.get("additional", DASH)) or "none",
        "any number" if limit is None else f"up to {limit}",
        f"{_yes(facts.get('density'))}: {facts.get('density_rule', '')}".rstrip(": "),
        _yes(facts.get("private_latents")),
        ", ".join(map(str, facts.get("stages", ()))) or DASH,
        "; ".join(map(str, facts.get("references", ()))),
    )


def _flat_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: "; ".join(map(str, v)) if isinstance(v, list | tuple) else v for k, v in facts.items()}


def _yes(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value) if value is not None else DASH)
