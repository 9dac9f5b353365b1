"""A registry of named components: filled by a decorator, by the modules of one package, and by entry points.

Built-in components are found by importing the modules of their package on the first look-up, so that a new component
is one new file and no edit elsewhere. Components from outside come from an entry-point group; only the one that is
asked for by name is imported, and one that fails to import is listed with its error and stops nothing else.

A family makes a component from the name itself: of `npz:faces.npz`, family `npz` makes the one of `faces.npz`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Generic, TypeVar

from mmbench.errors import MMBenchError, UnknownName

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Components of one kind by name.

    Args:
        kind: what a component is called in messages, e.g. `"model"`.
        package: dotted name of the package whose modules register the built-in components.
        group: entry-point group of components from outside; None for none.
    """

    def __init__(self, kind: str, *, package: str, group: str | None = None) -> None:
        self.kind = kind
        self._package = package
        self._group = group
        self._components: dict[str, T] = {}
        self._families: dict[str, Callable[[str], T]] = {}
        self._offers: dict[str, Callable[[], str]] = {}
        self._made: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: enter a component under `name`, which must be free."""

        def enter(component: T) -> T:
            held = self._components.get(name)
            if held is not None and held is not component:
                raise MMBenchError(
                    f"two {self.kind}s are named {name!r} ({_origin(held)} and {_origin(component)}); rename one."
                )
            self._components[name] = component
            return component

        return enter

    def family(
        self, prefix: str, *, offers: Callable[[], str] | None = None
    ) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
        """Decorator: enter a function from what stands behind `prefix:` in a name to the component of that name.

        It is called once a name, when the component is asked for, and raises `MMBenchError` where there is none.

        Args:
            offers: what may stand behind the prefix, in words, at no cost: it imports no component.
        """

        def enter(make: Callable[[str], T]) -> Callable[[str], T]:
            held = self._families.get(prefix)
            if held is not None and held is not make:
                raise MMBenchError(
                    f"two families of {self.kind}s are named {prefix!r} ({_origin(held)} and {_origin(make)}); "
                    "rename one."
                )
            self._families[prefix] = make
            if offers is not None:
                self._offers[prefix] = offers
            return make

        return enter

    def families(self) -> Mapping[str, Callable[[str], T]]:
        """The families by prefix."""
        self._load()
        return MappingProxyType(dict(sorted(self._families.items())))

    def offers(self) -> dict[str, str]:
        """Prefix of each family -> what it offers, in words; no component is imported."""
        return {prefix: self._offers[prefix]() if prefix in self._offers else "" for prefix in self.families()}

    def __getitem__(self, name: str) -> T:
        self._load()
        if (made := self._of_family(name)) is not None:
            return made
        if name not in self._components:
            self._load_entry_point(name)
        if name not in self._components:
            families = [f"{prefix}:NAME" for prefix in self._families]
            raise UnknownName(self.kind, name, [*self._components, *self._outside(), *families])
        return self._components[name]

    def __contains__(self, name: object) -> bool:
        self._load()
        if name in self._components or name in self._outside():
            return True
        return isinstance(name, str) and ":" in name and name.partition(":")[0] in self._families  # not made yet

    def __iter__(self) -> Iterator[str]:
        """Names of the built-in and registered components, sorted; entry points are not imported."""
        self._load()
        return iter(sorted({*self._components, *self._outside()}))

    def builtin(self) -> Mapping[str, T]:
        """The components registered so far, by name, without importing any entry point."""
        self._load()
        return MappingProxyType(dict(sorted(self._components.items())))

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{self._package}.{module.name}")

    def _of_family(self, name: str) -> T | None:
        prefix, colon, rest = name.partition(":")
        if not colon or prefix not in self._families:
            return None
        if name not in self._made:
            self._made[name] = self._families[prefix](rest)
        return self._made[name]

    def _outside(self) -> dict[str, object]:
        return {p.name: p for p in entry_points(group=self._group)} if self._group else {}

    def _load_entry_point(self, name: str) -> None:
        for point in entry_points(group=self._group) if self._group else ():
            if point.name == name:
                try:
                    component = point.load()
                except Exception as error:  # a foreign module may fail in any way; the cause is kept
                    raise MMBenchError(
                        f"{self.kind} {name!r} comes from {point.value}, which fails to import: {error!r}."
                    ) from error
                self._components.setdefault(name, component)


def _origin(component: object) -> str:
    return f"{getattr(component, '__module__', '?')}.{getattr(component, '__qualname__', component)}"
