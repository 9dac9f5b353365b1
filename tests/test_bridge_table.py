"""The table of docs/bridge.md: values of the right runs, side by side, and a mark where they differ."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd

SCRIPT = Path(__file__).parents[1] / "scripts" / "bridge_table.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bridge_table", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = loaded()


def frame(values: dict[str, list[float]], **other: object) -> pd.DataFrame:
    """Cross coherence from handwritten to street of each seed of each model."""
    place = {"metric": "cross_coherence", "given": "handwritten", "target": "street", "estimator": "micro"}
    shared = {"dataset": "digits", "preset": "common", "f": 1.0, **place, **other}
    rows = [
        {"model": model, "seed": seed, "value": value, **shared}
        for model, found in values.items()
        for seed, value in enumerate(found)
    ]
    return pd.DataFrame(rows)


def test_ours_stand_beside_theirs_and_only_a_difference_is_marked() -> None:
    alike = {"mvae": [0.5, 0.6, 0.7], "multivae:MVAE": [0.7, 0.5, 0.63], "mfm": [0.1, 0.1, 0.1]}
    apart = {"mopoe": [0.5, 0.51, 0.52], "multivae:MoPoE": [0.1, 0.11, 0.12]}
    elsewhere = frame({"mvae": [9.0], "multivae:MVAE": [9.0]}, f=0.25)
    assert script.table(pd.concat([frame(alike), frame(apart), elsewhere])).splitlines() == [
        "| ours / multivae | seeds | cross coherence, h to s |",
        "| --- | --- | --- |",
        "| `mvae` / `multivae:MVAE` | 3 / 3 | 0.600 ± 0.100 / 0.610 ± 0.101 |",
        "| `mopoe` / `multivae:MoPoE` | 3 / 3 | **0.510 ± 0.010 / 0.110 ± 0.010** |",
    ]


def test_many_cells_need_a_larger_difference() -> None:
    """Holm's correction: p of a cell alone is 0.03, of two cells 0.06."""
    cell = script.Cell([0.0, 0.1, 0.2], [0.3, 0.4, 0.6])
    assert cell.p is not None
    assert 0.025 < cell.p < 0.05
    one = {"mvae": cell.ours, "multivae:MVAE": cell.theirs}
    two = {"mmvae": cell.ours, "multivae:MMVAE": cell.theirs}
    assert "**" in script.table(frame(one))
    assert "**" not in script.table(frame(one | two))


def test_a_side_without_spread_is_never_found_apart() -> None:
    assert script.Cell([1.0], [2.0]).p is None
    assert script.Cell([1.0, 1.0], [2.0, 3.0]).p is None
