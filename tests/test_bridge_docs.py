"""The table of docs/bridge.md says of each model what the code says."""

import re
from pathlib import Path

from mmbench.models.bridge.kinds import KINDS, REFUSED
from mmbench.models.bridge.package import READ

PAGE = (Path(__file__).parents[1] / "docs" / "bridge.md").read_text(encoding="utf-8")


def test_the_table_holds_every_model_with_its_facts() -> None:
    rows = re.findall(r"^\| `multivae:(\w+)` \| (yes|no) \| (sum|mean) \| ([^|]+) \|", PAGE, re.M)
    told = {name: (partial == "yes", loss == "sum", "private" in latents) for name, partial, loss, latents in rows}
    assert told == {
        name: (kind.facts.partial_train_holds, kind.summed, kind.private != "none") for name, kind in KINDS.items()
    }


def test_refusals_and_the_version_are_told() -> None:
    assert all(f"`{name}`" in PAGE for name in REFUSED)
    assert f"source of {READ}" in PAGE
