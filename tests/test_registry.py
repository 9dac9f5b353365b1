"""Families of components, whose names say what they are made of."""

import pytest

from mmbench.errors import MMBenchError, UnknownName
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
