"""Families of components, whose names say what they are made of; and components of other distributions."""

import sys

import pytest

from mmbench.datasets import SCHEMES, Scheme
from mmbench.errors import MMBenchError, UnknownName
from mmbench.metrics.base import METRICS
from mmbench.models import MODELS
from mmbench.origins import origin_of
from mmbench.registry import Registry


@pytest.fixture
def registry() -> Registry[object]:
    """Filled by nothing: this package registers no component here."""
    return Registry("thing", package="mmbench.results.published")


def test_a_family_makes_a_component_once_a_name(registry: Registry[object]) -> None:
    asked = []

    @registry.family("file")
    def make(rest: str) -> object:
        asked.append(rest)
        return object()

    assert registry["file:a:b"] is registry["file:a:b"]
    assert registry["file:c"] is not registry["file:a:b"]
    assert asked == ["a:b", "c"]
    assert "file:never-made" in registry
    assert "other:a" not in registry
    assert list(registry) == []
    assert dict(registry.builtin()) == {}
    assert dict(registry.families()) == {"file": make}


def test_a_prefix_without_a_family_is_an_unknown_name(registry: Registry[object]) -> None:
    with pytest.raises(UnknownName, match="file:a"):
        registry["file:a"]


def test_two_families_of_one_prefix_clash(registry: Registry[object]) -> None:
    registry.family("file")(lambda rest: rest)
    with pytest.raises(MMBenchError, match=r"two families of things are named 'file'.*rename one"):
        registry.family("file")(lambda rest: rest + rest)


# Other distributions --------------------------------------------------------------------------------------------------
GROUP = "mmbench.schemes"


def test_a_component_of_another_distribution_is_imported_when_it_is_asked_for_and_not_before(outside):
    outside.distribution(
        "acme", {GROUP: {"acme-first": "outside_acme:Ours"}}, {"outside_acme": outside.scheme("acme-first")}
    )
    assert "acme-first" in SCHEMES
    assert "acme-first" in list(SCHEMES)
    assert SCHEMES.claims("acme-first") == ["acme 1.5 (outside_acme:Ours)"]
    assert "acme-first" not in SCHEMES.known()
    assert "outside_acme" not in sys.modules
    assert SCHEMES["acme-first"].template == "acme-first"
    assert SCHEMES["acme-first"] is sys.modules["outside_acme"].Ours
    assert SCHEMES.claims("acme-first") == ["acme 1.5 (outside_acme:Ours)"]
    assert "acme-first" in SCHEMES.known()
    assert "acme-first" not in SCHEMES.builtin()


def test_a_component_without_the_decorator_is_known_by_its_entry_point(outside):
    text = outside.scheme("plain").replace('@SCHEMES.register("plain")', "")
    outside.distribution("acme", {GROUP: {"plain": "outside_acme:Ours"}}, {"outside_acme": text})
    assert SCHEMES["plain"] is sys.modules["outside_acme"].Ours
    assert SCHEMES["plain"] is SCHEMES["plain"]


def test_its_origin_is_the_distribution(outside):
    outside.distribution(
        "acme",
        {GROUP: {"one": "outside_acme:Ours"}},
        {"outside_acme": outside.scheme("one")},
    )
    origin = origin_of(SCHEMES["one"])
    assert (origin.distribution, origin.version, origin.module) == ("acme", "1.5", "outside_acme")
    assert (origin.code, origin.label) == ("acme", "acme 1.5")
    assert origin_of(SCHEMES["split"]) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'."),
        ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line."),
        ("import sys\nsys.exit(3)", "it ends the program while it is imported"),
        ("", "AttributeError: module 'outside_broken' has no attribute 'Ours'."),
        ("Ours = 3", "scheme 'broken' must be a class that extends Scheme: 3."),
    ],
)
def test_one_that_fails_says_so_when_it_is_asked_for_and_stops_nothing_else(outside, text, reason):
    outside.distribution("acme", {GROUP: {"broken": "outside_broken:Ours"}}, {"outside_broken": text})
    assert "broken" in list(SCHEMES)
    for _ in range(2):
        with pytest.raises(MMBenchError) as caught:
            SCHEMES["broken"]
        assert str(caught.value).startswith(
            "scheme 'broken' of acme 1.5 cannot be had: outside_broken:Ours fails to import: " + reason
        )
        assert "\n" not in str(caught.value)
    assert SCHEMES["split"].template == "split"
    assert "broken" not in SCHEMES.known()


def test_one_that_registers_a_name_of_mmbench_on_its_way_fails_and_leaves_nothing(outside):
    text = outside.scheme("good") + outside.scheme("split")
    outside.distribution("acme", {GROUP: {"good": "outside_acme:Ours"}}, {"outside_acme": text})
    with pytest.raises(MMBenchError, match=r"fails to import: two schemes are named 'split'.*rename one"):
        SCHEMES["good"]
    assert "good" not in SCHEMES.known()
    assert origin_of(SCHEMES["split"]) is None


def test_the_name_of_a_built_in_is_a_clash_when_that_name_is_asked_for(outside):
    outside.distribution("acme", {GROUP: {"split": "outside_acme:Ours"}}, {"outside_acme": outside.scheme("split")})
    sentence = (
        r"^2 schemes are named 'split', of mmbench itself and of acme 1\.5 \(outside_acme:Ours\); "
        r"uninstall what is not meant, or rename one\.$"
    )
    with pytest.raises(MMBenchError, match=sentence):
        SCHEMES["split"]
    assert "outside_acme" not in sys.modules
    assert SCHEMES["complete"].template == "complete"


def test_one_name_of_two_distributions_is_a_clash_that_names_both(outside):
    for name in ("acme", "best"):
        text = outside.scheme("theirs")
        outside.distribution(name, {GROUP: {"theirs": f"outside_{name}:Ours"}}, {f"outside_{name}": text})
    with pytest.raises(MMBenchError, match=r"2 schemes are named 'theirs', of acme 1\.5 .* and of best 1\.5 "):
        SCHEMES["theirs"]
    assert SCHEMES["split"].template == "split"


def test_an_entry_point_may_give_a_component_of_mmbench_another_name(outside):
    outside.distribution("acme", {GROUP: {"halves": "mmbench.datasets.schemes:Split"}})
    assert SCHEMES["halves"] is SCHEMES["halves"] is SCHEMES["split"]
    assert "halves" not in SCHEMES.builtin()


def test_the_same_name_of_two_kinds_is_no_clash(outside):
    outside.distribution("acme", {"mmbench.models": {"split": "outside_acme:Ours"}}, {"outside_acme": ""})
    assert SCHEMES["split"].template == "split"
    assert MODELS.claims("split") == ["acme 1.5 (outside_acme:Ours)"]


def test_no_metric_from_outside_is_computed_by_default(outside):
    from mmbench.run.specs import metric_settings

    text = """
from dataclasses import dataclass
from mmbench.metrics import METRICS, Metric

@dataclass(frozen=True)
class Nothing:
    pass

@METRICS.register("theirs")
class Ours(Metric):
    name, description, default, Settings = "theirs", "for tests", True, Nothing
    prepare = update = compute = None
"""
    before = metric_settings(None, {}, dataset="digits")
    outside.distribution("acme", {"mmbench.metrics": {"theirs": "outside_acme:Ours"}}, {"outside_acme": text})
    assert METRICS["theirs"].default
    assert metric_settings(None, {}, dataset="digits") == before
    assert list(metric_settings(["theirs"], {}, dataset="digits")) == ["theirs"]


def test_a_class_that_lacks_what_its_base_asks_for_is_refused() -> None:
    class Unfinished(Scheme):
        """Neither `divide` nor `patterns`."""

    with pytest.raises(MMBenchError, match="scheme 'unfinished' has no divide and no patterns"):
        SCHEMES.register("unfinished")(Unfinished)
    assert "unfinished" not in SCHEMES
