"""The seeded faults still apply to the code as it is, and the script tells all that can become of a fault apart."""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).parents[1]
SCRIPT = REPO / "scripts" / "seeded_faults.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("seeded_faults", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = loaded()
FAULTS = script.load(REPO / "scripts" / "faults")

CODE = """
def double(x):
    return 2 * x
"""
TESTS = """
import mmbench

def test_double():
    assert mmbench.double(3) == 6
"""
SEEDED = """
file = "mmbench/__init__.py"
tests = ["tests/test_double.py"]

[[fault]]
name = "caught"
wrong = "adds two"
old = "2 * x"
new = "2 + x"

[[fault]]
name = "survived"
wrong = "nothing"
old = "2 * x"
new = "x * 2"

[[fault]]
name = "crashed"
wrong = "an unknown name"
old = "2 * x"
new = "2 * y"

[[fault]]
name = "never-imported"
wrong = "no Python"
old = "2 * x"
new = "2 *"
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A tree with a package of the same name as the installed one, one test and four faults."""
    root = tmp_path / "small"
    for path, text in {
        "mmbench/__init__.py": CODE,
        "tests/test_double.py": TESTS,
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\n',
        "scripts/faults/double.toml": SEEDED,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def test_every_fault_still_applies():
    assert len(FAULTS) >= 45
    assert [sentence for fault in FAULTS for sentence in script.complaints(fault, REPO)] == []


def test_faults_are_named_once():
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))


def test_what_no_longer_applies_is_told_in_a_sentence():
    gone = ("tests/gone.py", f"{FAULTS[0].tests[0]}::gone")
    fault = dataclasses.replace(FAULTS[0], old="not to be found", tests=gone)
    found = script.complaints(fault, REPO)
    assert f"the old text stands 0 times in {fault.file}, not once: 'not to be found'." in found[0]
    assert [sentence.rpartition("no test ")[2] for sentence in found[2:]] == [f"{test}." for test in gone]
    assert "changes nothing" in script.complaints(dataclasses.replace(FAULTS[0], new=FAULTS[0].old), REPO)[0]
    assert "no file mmbench/gone.py" in script.complaints(dataclasses.replace(fault, file="mmbench/gone.py"), REPO)[0]


def test_the_table_tells_what_became_of_each_fault(small, capsys):
    assert script.main(["--jobs", "2"], root=small) == 1
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("double/")}
    assert table["double/caught"][0] == "caught"
    assert table["double/caught"][-1] == "tests/test_double.py::test_double"
    assert table["double/survived"][0] == "SURVIVED"
    assert table["double/crashed"][0] == "ERROR"
    assert "NameError:" in table["double/crashed"]
    assert table["double/never-imported"][0] == "ERROR"
    assert "no test failed" in " ".join(table["double/never-imported"])
    assert lines[-1] == "1 caught, 1 SURVIVED, 2 ERROR"
    assert (small / "mmbench/__init__.py").read_text(encoding="utf-8") == CODE, "the tree itself is never touched"


def test_the_exit_code_is_0_where_every_fault_is_caught(small):
    assert script.main(["--only", "double/caught"], root=small) == 0


def test_what_hangs_is_stopped(small):
    (small / "mmbench/__init__.py").write_text("while True: pass", encoding="utf-8")
    ran = script.pytest_in(small, ["tests/test_double.py"], 2.0)
    assert ran.code is None
    assert script.judge(ran, 2.0) == ("ERROR", "stopped after 2 s")


def test_tests_that_fail_without_a_fault_prove_nothing(small, capsys):
    (small / "tests/test_double.py").write_text(TESTS.replace("6", "7"), encoding="utf-8")
    assert script.main(["--only", "double/caught"], root=small) == 1
    assert "do not pass without a fault" in capsys.readouterr().out


def test_listing_and_choosing(capsys):
    assert script.main(["--list", "--only", "bounds/looser"]) == 0
    assert all(line.startswith("bounds/looser-") for line in capsys.readouterr().out.splitlines())
    assert script.main(["--only", "no such"]) == 1
    assert "no fault's name begins with 'no such'" in capsys.readouterr().out


def test_an_assertion_is_told_from_a_crash():
    def judged(line: str) -> str:
        verdict: str = script.judge(script.Ran(1, f"...\nFAILED tests/test_a.py::test_b[x-1] - {line}\n"))[0]
        return verdict

    for line in ("assert False", "AssertionError: the check", "Failed: DID NOT RAISE <class 'ValueError'>"):
        assert judged(line) == "caught"
    assert judged("mmbench.testing.contract.Broken: the loss of rows") == "caught"
    for line in ("RuntimeError: shapes", "ValueError: assert it is not", "Failed: Timeout >300.0s"):
        assert judged(line) == "ERROR"


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_the_suite_catches_every_fault(capsys):
    assert script.main([]) == 0, capsys.readouterr().out
