"""A registry of named components: filled by a decorator, by the modules of one package, and by entry points.

Built-in components are found by importing the modules of their package on the first look-up, so that a new component
is one new file and no edit elsewhere. Components from outside come from an entry-point group: they are listed without
being imported, and imported when they are asked for by name. One that fails to import, or whose name another one has
too, is an error when that name is asked for, and stops nothing else.

A family makes a component from the name itself: of `npz:faces.npz`, family `npz` makes the one of `faces.npz`.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from mmbench.errors import MMBenchError, UnknownName
from mmbench.origins import distribution_name, origin_of, points

__all__ = ["MMBENCH", "Registry", "entered_from_outside", "failure", "forget"]

MMBENCH = "mmbench itself"

T = TypeVar("T")

_entered: list[tuple["Registry[Any]", str]] = []


class Registry(Generic[T]):
    """Components of one kind by name.

    Args:
        kind: what a component is called in messages, e.g. `"model"`.
        package: dotted name of the package whose modules register the built-in components.
        group: entry-point group of components from outside; None for none.
        base: the class that every component extends; None where components are no classes.
    """

    def __init__(self, kind: str, *, package: str, group: str | None = None, base: type | None = None) -> None:
        self.kind = kind
        self._package = package
        self._group = group
        self._base = base
        self._components: dict[str, T] = {}
        self._families: dict[str, Callable[[str], T]] = {}
        self._offers: dict[str, Callable[[], str]] = {}
        self._made: dict[str, T] = {}
        self._imported: set[str] = set()
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: enter a component under `name`, which must be free.

        One from outside comes after all of mmbench's own, so that a clash is an error of the one from outside.
        """

        def enter(component: T) -> T:
            outside = origin_of(component) is not None
            if outside:
                self._load()
            held = self._components.get(name)
            if held is not None and held is not component:
                raise MMBenchError(
                    f"two {self.kind}s are named {name!r} ({_origin(held)} and {_origin(component)}); rename one."
                )
            self._components[name] = self._checked(component, name)
            if outside and held is None:
                _entered.append((self, name))
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
            if held is None and origin_of(make) is not None:
                _entered.append((self, f"{prefix}:"))
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
        if len(claims := self.claims(name)) > 1:
            raise MMBenchError(
                f"{len(claims)} {self.kind}s are named {name!r}, of {' and of '.join(claims)}; "
                "uninstall what is not meant, or rename one."
            )
        if name not in self._components and (named := self._points(name)):
            self._import(named[0])
        if name not in self._components:
            raise UnknownName(self.kind, name, [*self, *(f"{prefix}:NAME" for prefix in self._families)])
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

    def known(self) -> Mapping[str, T]:
        """The components that are there without importing any entry point, by name."""
        self._load()
        return MappingProxyType(dict(sorted(self._components.items())))

    def builtin(self) -> Mapping[str, T]:
        """mmbench's own components, by name."""
        own = {name: component for name, component in self.known().items() if origin_of(component) is None}
        return MappingProxyType({name: own[name] for name in own if name not in self._imported})

    def claims(self, name: str) -> list[str]:
        """Who offers a component of this name, one phrase each, without importing any: one, unless there is a clash."""
        named = self._points(name)
        held = self.known().get(name)
        origin = None if held is None else origin_of(held)
        theirs = origin is not None and origin.distribution in {p.dist.name for p in named if p.dist is not None}
        own = [] if held is None or theirs or name in self._imported else [str(origin or MMBENCH)]
        return [*own, *(f"{distribution_name(point)} ({point.value})" for point in named)]

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

    def _outside(self) -> set[str]:
        return {point.name for point in points(self._group)} if self._group else set()

    def _points(self, name: str) -> list[EntryPoint]:
        return [point for point in points(self._group) if point.name == name] if self._group else []

    def _import(self, point: EntryPoint) -> None:
        begun = len(_entered)
        try:
            component = self._checked(point.load(), point.name)
        except (Exception, SystemExit) as error:  # a foreign module may fail in any way; the cause is kept
            forget(_entered[begun:])
            raise MMBenchError(
                f"{self.kind} {point.name!r} of {distribution_name(point)} cannot be had: {point.value} fails to "
                f"import: {failure(error)}"
            ) from error
        if point.name not in self._components:
            self._components[point.name] = component
            _entered.append((self, point.name))
        self._imported.add(point.name)

    def _checked(self, component: Any, name: str) -> T:
        if self._base is not None and not (isinstance(component, type) and issubclass(component, self._base)):
            raise MMBenchError(
                f"{self.kind} {name!r} must be a class that extends {self._base.__name__}: {component!r}."
            )
        if missing := sorted(getattr(component, "__abstractmethods__", ())):
            raise MMBenchError(
                f"{self.kind} {name!r} has no {' and no '.join(missing)}; define what its base class asks."
            )
        found: T = component
        return found

    def _forget(self, name: str) -> None:
        if name.endswith(":"):
            self._families.pop(name[:-1], None)
            for made in [made for made in self._made if made.startswith(name)]:
                del self._made[made]
        self._components.pop(name, None)
        self._imported.discard(name)


def entered_from_outside() -> Sequence[tuple["Registry[Any]", str]]:
    """What code from outside has registered so far, in order: the registry and the name (of a family: `prefix:`)."""
    return tuple(_entered)


def forget(entries: Sequence[tuple["Registry[Any]", str]]) -> None:
    """Take components from outside out of their registries again."""
    for registry, name in entries:
        registry._forget(name)
        _entered.remove((registry, name))


def failure(error: BaseException) -> str:
    """One sentence on what went wrong while foreign code was imported."""
    if isinstance(error, SystemExit):
        return 'it ends the program while it is imported; put what does so under `if __name__ == "__main__":`.'
    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, MMBenchError):
        return first
    return f"{type(error).__name__}: {first}".rstrip(":. ") + "."


def _origin(component: object) -> str:
    name = f"{getattr(component, '__module__', '?')}.{getattr(component, '__qualname__', component)}"
    origin = origin_of(component)
    return f"{name} of {origin}" if origin is not None and not origin.distribution else name
