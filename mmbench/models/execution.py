"""How an objective is computed, never what it is: which samples are differentiated, and whether shapes may vary.

A model holds one `Execution`; training sets it from its settings (`train.tolerance`, `train.differentiated`) and its
device. `carrying` is where it acts.
"""

from dataclasses import dataclass

__all__ = ["PLAIN", "Execution"]


@dataclass(frozen=True)
class Execution:
    """The way through a bound over several samples.

    Attributes:
        tolerance: epsilon, the normalised weight that may be left out of a row's gradient in total; below 0 leaves
            nothing out, which is the plain path.
        differentiated: how many samples a row are differentiated: the heaviest ones, and one drawn from the rest, which
            keeps the gradient unbiased. None leaves the number to the weights and the tolerance.
        static: all shapes must follow from the inputs' shapes alone, and nothing may be read back from the device
            (CUDA). Without a number of samples, all are differentiated then.
    """

    tolerance: float = 1e-5
    differentiated: int | None = None
    static: bool = False


PLAIN = Execution(tolerance=-1.0)
"""Every sample is differentiated."""
