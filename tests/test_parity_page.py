"""`docs/parity.md` is what the table of differences says, and the tests of `tests/parity` use all of the table.

Nothing here needs the package multivae.
"""

from pathlib import Path

import pytest

from tests.parity import differences
from tests.parity.differences import Difference
from tests.parity.page import COMPARED, PAGE, page

FOLDER = Path(__file__).parent / "parity"
NAMES = {name: value for name, value in vars(differences).items() if isinstance(value, Difference)}


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.parity.page`"


def test_every_comparison_stands_on_the_page() -> None:
    assert {path.stem.removeprefix("test_parity_") for path in FOLDER.glob("test_parity_*.py")} == set(COMPARED)


@pytest.mark.parametrize("name", NAMES)
def test_a_difference_is_undone_in_the_tests_of_its_models(name: str) -> None:
    tests = {model: (FOLDER / f"test_parity_{model}.py").read_text(encoding="utf-8") for model in COMPARED}
    using = {model for model, text in tests.items() if name in text}
    assert using
    assert not NAMES[name].models or using == set(NAMES[name].models)


def test_no_two_differences_share_a_name() -> None:
    assert len({difference.name for difference in NAMES.values()}) == len(NAMES)
