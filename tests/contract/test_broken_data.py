"""Schemes and datasets that break their contract are found out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from mmbench.datasets.base import Reader, Split, SplitName
from mmbench.datasets.cdsprites import CdSprites
from mmbench.datasets.linear_gaussian import LinearGaussianData
from mmbench.datasets.missing import Mcar, Mnar
from mmbench.testing import for_datasets, for_schemes
from mmbench.testing.contract import Broken


class Silent(Mcar):
    """Draws patterns that it does not name."""

    def patterns(self, names: Sequence[str]) -> Sequence[tuple[str, ...]]:
        return super().patterns(names)[:2]

    def divide(self, rest, names, classes, rng):
        return Mcar().divide(rest, names, classes, rng)


class Secretive(Mnar):
    """Looks at the classes where there are any, and does not say so."""

    needs_classes = False

    def divide(self, rest, names, classes, rng):
        kind = Mcar if classes is None else Mnar
        return kind().divide(rest, names, classes, rng)


class Misjudged(LinearGaussianData):
    """A density with the wrong sign: rows that are far out have the most."""

    def log_density(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        return -super().log_density(values)


class Unmeasurable(LinearGaussianData):
    """Names a metric that there is not."""

    default_metrics: ClassVar[tuple[str, ...] | None] = ("truth_gab",)


class Confused(CdSprites):
    """Reads another class than that of the row."""

    def reader(self, name: str) -> Reader:
        sound = super().reader(name)
        assert sound is not None
        return Reader(sound.attributes, lambda rows: np.flip(sound.read(rows), axis=0))


class Speechless(CdSprites):
    """Reads nothing in some rows."""

    def reader(self, name: str) -> Reader:
        sound = super().reader(name)
        assert sound is not None
        return Reader(sound.attributes, lambda rows: sound.read(rows) - 1)


class Leaking(CdSprites):
    """Tests on what it trained on."""

    def split(self, which: SplitName) -> Split:
        return super().split("train")


@pytest.mark.parametrize(
    ("component", "check"),
    [
        (Silent, for_schemes.every_pattern_it_draws_is_one_that_it_names),
        (Secretive, for_schemes.rows_without_classes_are_divided_or_refused),
        (Misjudged, for_datasets.a_known_density_is_that_of_the_rows),
        (Unmeasurable, for_datasets.names_and_presets_are_complete),
        (Confused, for_datasets.a_reader_reads_the_class_of_every_real_row),
        (Speechless, for_datasets.a_reader_reads_the_class_of_every_real_row),
        (Leaking, for_datasets.no_original_stands_in_two_splits),
    ],
)
def test_a_broken_component_is_found_out(component: Any, check: Callable[[Any], None]) -> None:
    with pytest.raises(Broken):
        check(component)
