"""What of a run comes from outside mmbench, and whether a stored run's code is still the same.

A run's weights stand for the code that made them. Code in a file of its own has no version that its author promises to
raise, so its content decides: a changed file is another fit, and a fit is not evaluated with a file that has changed.
"""

from collections.abc import Mapping
from typing import Any

from mmbench.config import RunSpec
from mmbench.datasets.base import DATASETS
from mmbench.datasets.schemes import template_of
from mmbench.errors import CannotBear
from mmbench.metrics.base import METRICS
from mmbench.models.base import MODELS
from mmbench.models.networks import NETWORKS
from mmbench.origins import Origin, origin_of
from mmbench.registry import Registry
from mmbench.results.records import RunRecord

__all__ = ["fit_origins", "outdated", "plain_origins", "require_same_code"]

REGISTRIES: Mapping[str, Registry[Any]] = {"model": MODELS, "dataset": DATASETS}


def fit_origins(spec: RunSpec) -> dict[str, Origin]:
    """Where the parts of a run that its weights depend on come from: `model`, `networks`, `dataset`, `scheme`.

    Those of mmbench itself are left out.
    """
    parts: dict[str, object] = {
        "model": MODELS[spec.model],
        "networks": NETWORKS[spec.settings["arch"]["networks"]],
        "dataset": DATASETS[spec.dataset],
        "scheme": template_of(spec.scheme),
    }
    return {role: origin for role, part in parts.items() if (origin := origin_of(part)) is not None}


def plain_origins(spec: RunSpec) -> dict[str, Any]:
    """Plain values of these and, under `metrics`, of the metrics; empty where all are mmbench's own."""
    found: dict[str, Any] = {role: origin.to_dict() for role, origin in fit_origins(spec).items()}
    metrics = {name: origin for name in spec.metrics if (origin := origin_of(METRICS[name])) is not None}
    return found | ({"metrics": {name: origin.to_dict() for name, origin in metrics.items()}} if metrics else {})


def require_same_code(record: RunRecord) -> None:
    """Refuse a run whose model or dataset came from a file that is not loaded, or is another by now.

    Raises:
        CannotBear: says which file, and what to do.
    """
    recorded = record.provenance.get("plugins", {})
    for role, registry in REGISTRIES.items():
        held = recorded.get(role, {})
        if "file" not in held:
            continue
        name = record.spec[role]
        if name not in registry:
            raise CannotBear(
                f"run {record.id} has its {role} {name!r} from {held['file']}; name that file with --plugin."
            )
        now = origin_of(registry[name])
        if now is None or now.code != held["digest"]:
            raise CannotBear(
                f"run {record.id} has its {role} {name!r} from {held['file']} with the digest {held['digest']}, and "
                f"that of {now or 'mmbench'} is another; bring back the file as it was, or train it with `mmbench run`."
            )


def outdated(name: str, record: RunRecord) -> bool:
    """Whether a metric's results of a run were computed by a plug-in file that holds something else by now."""
    origin = origin_of(METRICS[name])
    if origin is None or origin.distribution:
        return False
    beside = [score.details for score in record.scores if score.metric == name]
    beside += [array.meta for array in record.arrays if array.metric == name]
    return any(held.get("code") != origin.label for held in beside)
