"""The sources of data and metrics, as a record carries them."""

import json

from mmbench.datasets.base import DATASETS
from mmbench.metrics.base import METRICS
from mmbench.run.options import Request
from mmbench.run.provenance import references
from mmbench.run.specs import resolve


def test_every_component_of_mmbench_names_its_sources() -> None:
    for kind in (*DATASETS.builtin().values(), *METRICS.builtin().values()):
        if kind.__module__.startswith("mmbench."):
            assert kind.references, kind
            for line in kind.references:
                assert any(year in line for year in map(str, range(1900, 2027))), line
    assert all(DATASETS[name].terms for name in ("digits", "linear-gaussian", "mnist-svhn"))


def test_references_of_a_spec_are_plain_values_by_metric() -> None:
    spec = resolve(Request(model="mvae", dataset="mnist-svhn", metrics=("relatedness", "embeddings")))
    found = references(spec.dataset, spec.metrics)
    assert found == json.loads(json.dumps(found))
    assert list(found["metrics"]) == ["embeddings", "relatedness"]
    assert any("Joy et al." in line for line in found["metrics"]["relatedness"])
    assert [line.split(" et al.")[0] for line in found["dataset"]] == ["LeCun", "Netzer"]
    assert "non-commercial" in found["terms"]
