"""Schemes and datasets that break their contract are found out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

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


@pytest.mark.parametrize(
    ("component", "check"),
    [
        (Silent, for_schemes.every_pattern_it_draws_is_one_that_it_names),
        (Secretive, for_schemes.rows_without_classes_are_divided_or_refused),
        (Misjudged, for_datasets.a_known_density_is_that_of_the_rows),
        (Unmeasurable, for_datasets.names_and_presets_are_complete),
    ],
)
def test_a_broken_component_is_found_out(component: Any, check: Callable[[Any], None]) -> None:
    with pytest.raises(Broken):
        check(component)
