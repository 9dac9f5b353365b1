"""What stands between a run and a printed number: every difference that its record shows, each as one phrase.

Compared is what the paper states (`published.stated`): the condition, the data, the pairing, networks and likelihoods,
the optimiser, the budget, the metric's protocol; of a number of real pairs, data and protocol alone. Not compared is
what it leaves open (latent size, K, batch size: see `UNSTATED`). What a record does not say counts as a difference:
nothing is taken for granted.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.results.published import GROUND_TRUTH, PublishedScore
from mmbench.results.published.counterparts import counterparts, without_samples
from mmbench.results.published.stated import STATED, Stated

__all__ = ["differences"]

CONDITION = ("dataset", "model", "scheme", "f")


def differences(
    row: PublishedScore,
    *,
    spec: Mapping[str, Any],
    provenance: Mapping[str, Any],
    timings: Mapping[str, Any],
    estimator: str = "",
    params: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Why a score of a run cannot be compared with `row`; empty where nothing speaks against it.

    Args:
        spec, provenance, timings: of the run's record.
        estimator, params: of the score; an empty estimator is not looked at.
    """
    found = [*_condition(row, spec)]
    stated = STATED.get(row.dataset)
    if stated is not None and spec.get("dataset") == row.dataset:
        found += _data(stated, spec, provenance)
        if row.model != GROUND_TRUTH:
            found += _setup(row, stated, spec)
            found += _budget(stated, spec, timings)
    found += _protocol(row, estimator, params or {})
    return tuple(found)


def _condition(row: PublishedScore, spec: Mapping[str, Any]) -> Iterator[str]:
    for name in CONDITION if row.model != GROUND_TRUTH else ("dataset",):
        ours, printed = spec.get(name), getattr(row, name)
        if ours != printed:
            yield f"another {name}: {ours} (the paper's: {printed})"
    if row.model != GROUND_TRUTH and spec.get("paired_only") and spec.get("scheme") != "complete":
        yield "trained on the paired rows alone"


def _data(stated: Stated, spec: Mapping[str, Any], provenance: Mapping[str, Any]) -> Iterator[str]:
    settings = spec.get("settings", {}).get("data", {})
    for name, printed in stated.data.items():
        if (ours := settings.get(name)) != printed:
            yield f"another data.{name}: {_said(ours)} (the paper's: {printed})"
    data = provenance.get("data", {})
    status = data.get("status", "not recorded")
    if status == "published":
        return
    if subset := data.get("subset"):  # the dataset's own words for what is lacking
        yield f"a subset of the data ({subset})"
        return
    counts = data.get("counts", {})
    fewer = "; ".join(
        f"{split}: {name} {held:,} of {printed:,}"
        for split, originals in stated.originals.items()
        for name, printed in originals.items()
        if (held := _held(counts.get(split), name, printed)) < printed
    )
    yield f"a subset of the data ({fewer})" if fewer else f"the data is not known to be the published one ({status})"


def _held(counts: Any, name: str, otherwise: int) -> int:
    """The originals of a modality: recorded by modality, of the split as a whole, or not at all."""
    held = counts.get(name) if isinstance(counts, Mapping) else counts
    return held if isinstance(held, int) else otherwise


def _setup(row: PublishedScore, stated: Stated, spec: Mapping[str, Any]) -> Iterator[str]:
    sections = spec.get("settings", {})
    pairs = sections.get("data", {}).get("pairs")
    if stated.pairs is not None and pairs != 1:
        yield f"another pairing: data.pairs {_said(pairs)} (the released code's: 1)"
    arch = sections.get("arch", {})
    if (networks := arch.get("networks")) != stated.networks:
        yield f"other networks: {_said(networks)} (the paper's: {stated.networks}, its Table 8)"
    if (likelihood := arch.get("likelihood")) != stated.likelihood:
        yield f"another likelihood: {_said(likelihood)} (the paper's: {stated.likelihood})"
    for name, printed in row.wanted.items():
        section, key = name.split(".", 1)
        if str(ours := sections.get(section, {}).get(key)) != printed:
            yield f"another {name}: {_said(ours)} (the paper's: {printed})"
    train = sections.get("train", {})
    other = {name: train.get(name) for name, value in stated.optimiser.items() if train.get(name) != value}
    if other:
        yield "another optimiser: " + ", ".join(
            f"{name} {_said(ours)} (the paper's: {stated.optimiser[name]})" for name, ours in other.items()
        )


def _budget(stated: Stated, spec: Mapping[str, Any], timings: Mapping[str, Any]) -> Iterator[str]:
    """Steps against those of the paper's epochs in the run's own batches: at least so many, and where every row is
    complete, exactly so many. How an epoch with unpaired rows is cut into steps, the paper does not say.
    """
    train = spec.get("settings", {}).get("train", {})
    steps, epochs, batch = timings.get("steps") or train.get("steps"), train.get("epochs"), train.get("batch_size")
    if not steps or not batch:
        yield "its number of steps is not recorded"
    elif (due := stated.steps(batch)) is None:
        if epochs != stated.epochs:
            yield f"another budget: {steps:,} steps (the paper's: {stated.epochs} epochs)"
    elif steps < due or (spec.get("scheme") == "complete" and steps > due) or (epochs or 0) > stated.epochs:
        word = "fewer" if steps < due else "more"
        yield (
            f"{word} steps: {steps:,} (the paper's {stated.epochs} epochs over {stated.pairs:,} pairs are {due:,} in "
            f"batches of {batch})"
        )


def _protocol(row: PublishedScore, estimator: str, params: Mapping[str, Any]) -> Iterator[str]:
    expected = [counterpart.estimator for counterpart in counterparts(row)]
    if estimator and without_samples(estimator) not in expected:
        yield f"another estimator: {estimator} (the paper's: {' or '.join(expected) or 'not in mmbench'})"
    stated = STATED.get(row.dataset)
    for name, printed in (stated.protocol.get(row.metric, {}) if stated else {}).items():
        if (ours := params.get(name, printed)) != printed:
            yield f"another {name}: {ours} (the paper's: {printed})"
    if (judge := params.get("classifier", "standard")) != "standard":
        yield f"another classifier: {judge} (the literature's: standard)"
    if row.protocol:
        yield f"the protocol of {row.table} is unknown: {row.protocol}"


def _said(value: Any) -> str:
    return "not recorded" if value is None else str(value)
