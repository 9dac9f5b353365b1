"""What the papers say of how their numbers were made: what a run must share before it is compared with them.

Joy et al. (ICLR 2022): appendix K has optimiser, epochs and networks (Table 8), the text on the experiments the
likelihoods. Correlations of captions are measured by the released code of MMVAE, which the paper follows (appendix G).
The counts of the originals are those of the published datasets, 56,068 the pairs of the released code,
which pairs each digit once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["STATED", "UNSTATED", "Stated"]

UNSTATED = (
    "The paper states neither latent size, batch size, K, number of pseudo-inputs nor likelihood scale, nor how many "
    "seeds its standard deviations are over: a comparable run shares what is stated, and may differ in the rest."
)
"""What holds for every number of Joy et al., comparable or not."""


@dataclass(frozen=True)
class Stated:
    """The setting of a paper's runs on one dataset.

    Attributes:
        originals: split -> modality -> images of the published data; empty where they are not known here.
        pairs: training pairs; None where they are not known here.
        epochs: passes over the training pairs.
        networks, likelihood: as section `arch` of a run's settings calls them.
        optimiser: settings of section `train`.
        data: settings of section `data`.
        protocol: what a score's `params` must say, where they say anything of it: metric -> name -> value.
    """

    originals: Mapping[str, Mapping[str, int]]
    pairs: int | None
    epochs: int
    networks: str
    likelihood: str
    optimiser: Mapping[str, str | float | bool]
    data: Mapping[str, str] = field(default_factory=dict)
    protocol: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def steps(self, batch_size: int) -> int | None:
        """Optimiser steps of all epochs in batches of `batch_size`, the last one short; None without `pairs`.

        >>> STATED["mnist-svhn"].steps(128)
        43900
        """
        return None if self.pairs is None else self.epochs * -(-self.pairs // batch_size)


def _adam(lr: float) -> Mapping[str, str | float | bool]:
    return MappingProxyType({"optimizer": "adam", "lr": lr, "beta1": 0.9, "beta2": 0.999, "amsgrad": False})


STATED: Mapping[str, Stated] = MappingProxyType(
    {
        "mnist-svhn": Stated(
            originals={"train": {"mnist": 60_000, "svhn": 73_257}, "test": {"mnist": 10_000, "svhn": 26_032}},
            pairs=56_068,
            epochs=100,
            networks="paper",
            likelihood="laplace",
            optimiser=_adam(5e-4),
        ),
        "cub": Stated(
            originals={},
            pairs=None,
            epochs=300,
            networks="paper",
            likelihood="laplace",
            optimiser=_adam(1e-4),
            data=MappingProxyType({"features": "resnet101"}),
            protocol=MappingProxyType({"caption_correlation": MappingProxyType({"protocol": "mmvae"})}),
        ),
    }
)
"""Dataset -> the setting of Joy et al."""
