"""Plug-in files: what they register, what they are known by, and what is left of one that fails."""

import hashlib
import sys

import pytest

from mmbench import plugins
from mmbench.datasets import SCHEMES
from mmbench.errors import MMBenchError
from mmbench.models import MODELS, NETWORKS
from mmbench.origins import origin_of


def test_a_file_registers_its_components(outside):
    path = outside.file("mine.py", outside.scheme("mine"))
    file = plugins.load(path)
    assert SCHEMES["mine"].template == "mine"
    assert SCHEMES.claims("mine") == [str(path)]
    assert "mine" in SCHEMES.known()
    assert "mine" not in SCHEMES.builtin()
    assert [(registry.kind, name) for registry, name in file.entries] == [("scheme", "mine")]
    assert list(plugins.loaded()) == [file]


def test_it_is_known_by_its_path_and_the_digest_of_its_content(outside):
    path = outside.file("mine.py", outside.scheme("mine"))
    plugins.load(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    path.write_text("it has changed since")
    plugins.load(outside.file("another.py", outside.scheme("another")))
    origin = origin_of(SCHEMES["mine"])
    assert origin.to_dict() == {"file": str(path), "digest": digest}
    assert (origin.code, origin.label) == (digest, f"mine.py {digest}")


def test_a_module_that_is_no_distributions_is_known_by_its_content_too(outside):
    path = outside.file("outside_plain.py", outside.scheme("plain"))
    outside.monkeypatch.syspath_prepend(str(outside.folder))
    __import__("outside_plain")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    path.write_text("it has changed since")
    plugins.load(outside.file("another.py", outside.scheme("another")))
    assert origin_of(SCHEMES["plain"]).to_dict() == {"file": str(path), "digest": digest}


def test_the_same_content_is_not_executed_twice_and_other_content_takes_its_place(outside):
    path = outside.file("mine.py", outside.scheme("mine", "first"))
    plugins.load(path)
    first = SCHEMES["mine"]
    plugins.load(path.parent / "." / "mine.py")
    assert SCHEMES["mine"] is first
    path.write_text(outside.scheme("mine", "second"))
    plugins.load(path)
    assert SCHEMES["mine"].description == "second"
    assert origin_of(SCHEMES["mine"]).digest == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    plugins.unload(path)
    assert "mine" not in SCHEMES
    assert not plugins.loaded()


def test_content_that_another_process_has_read_is_what_is_executed(outside):
    path = outside.file("mine.py", "raise RuntimeError")
    plugins.load(path, content=outside.scheme("mine", "as it was").encode())
    assert SCHEMES["mine"].description == "as it was"


def test_two_files_of_one_name_are_two_modules(outside):
    for folder in ("a", "b"):
        (outside.folder / folder).mkdir()
        plugins.load(outside.file(f"{folder}/mine.py", outside.scheme(folder)))
    assert SCHEMES["a"].__module__ != SCHEMES["b"].__module__
    assert origin_of(SCHEMES["a"]).digest != origin_of(SCHEMES["b"]).digest


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1\nimport nowhere_at_all\n", r"at line 2: ModuleNotFoundError: No module named 'nowhere_at_all'\.$"),
        ("def f(:\n", r"at line 1: SyntaxError: "),
        ("import sys\n\nsys.exit()\n", r"at line 3: it ends the program while it is imported; "),
        ("def f():\n    raise ValueError\n\nf()\n", r"at line 2: ValueError\.$"),
        ("x = 1\n", r": it registers nothing; a component needs its decorator, e\.g\. @MODELS\.register\(NAME\)\.$"),
        ("\0", r"fails to import"),
    ],
)
def test_a_file_that_fails_says_why_and_where_in_one_sentence(outside, text, sentence):
    path = outside.file("broken.py", text)
    modules = set(sys.modules)
    with pytest.raises(MMBenchError, match=f"^plug-in {path} fails to import") as caught:
        plugins.load(path)
    assert caught.match(sentence)
    assert "\n" not in str(caught.value)
    assert plugins.failed() == {str(path): str(caught.value)}
    assert not plugins.loaded()
    assert not {name for name in set(sys.modules) - modules if "broken" in name}


def test_what_it_registered_before_it_failed_is_taken_back(outside):
    path = outside.file("half.py", outside.scheme("half") + "\n1 / 0\n")
    with pytest.raises(MMBenchError, match=r"ZeroDivisionError: division by zero\."):
        plugins.load(path)
    assert "half" not in SCHEMES
    path.write_text(outside.scheme("half"))
    plugins.load(path)
    assert "half" in SCHEMES
    assert not plugins.failed()


def test_a_name_that_is_taken_is_told_with_both(outside):
    path = outside.file("mine.py", outside.scheme("split"))
    with pytest.raises(MMBenchError, match=r"two schemes are named 'split' \(mmbench\.datasets\.schemes\.Split and "):
        plugins.load(path)
    plugins.load(outside.file("first.py", outside.scheme("ours")))
    with pytest.raises(
        MMBenchError, match=r"two schemes are named 'ours' \(.* of .*first\.py and .* of .*second\.py\)"
    ):
        plugins.load(outside.file("second.py", outside.scheme("ours")))
    assert origin_of(SCHEMES["ours"]).path.endswith("first.py")


def test_a_file_and_an_installed_component_of_one_name_clash(outside):
    plugins.load(outside.file("mine.py", outside.scheme("ours")))
    outside.distribution("acme", {"mmbench.schemes": {"ours": "outside_acme:Ours"}}, {"outside_acme": ""})
    with pytest.raises(MMBenchError, match=r"2 schemes are named 'ours', of .*mine\.py and of acme 1\.5 "):
        SCHEMES["ours"]


def test_a_file_that_is_not_there(outside):
    with pytest.raises(MMBenchError, match=r"plug-in .*none\.py cannot be read \(No such file or directory\); name a "):
        plugins.load(outside.folder / "none.py")


def test_networks_and_families_come_from_files_too(outside):
    text = """
from functools import partial
from mmbench.models import MODELS, NETWORKS, build
from mmbench.models.mvae import MVAE

def builder(spec, arch, width=3):
    return build(spec, arch)

NETWORKS.register("mine")(partial(builder, width=4))
MODELS.family("mine")(lambda rest: type(rest, (MVAE,), {}))
"""
    file = plugins.load(outside.file("mine.py", text))
    assert origin_of(NETWORKS["mine"]).path.endswith("mine.py")
    assert MODELS["mine:a"].__name__ == "a"
    assert [name for _, name in file.entries] == ["mine", "mine:"]
    plugins.unload(file.path)
    assert "mine" not in NETWORKS
    assert "mine:a" not in MODELS
