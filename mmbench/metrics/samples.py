"""Sample grids: what the model generates from a few fixed test rows, and from its prior.

The inputs are the first test row of each class (the first rows where there are no classes), the same for every model on
a dataset. Generations are decoder means at several samples of q(z | x_given). Images are stored as uint8, tokens as
they are, with their texts beside them.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from mmbench.config import setting
from mmbench.metrics.base import METRICS, Context, Metric, Outcome, Skipped, View
from mmbench.modality import ModalitySpec
from mmbench.results.records import ArrayRecord
from mmbench.seeding import RowNoise, stream

__all__ = ["Samples", "SamplesSettings", "as_stored", "texts_of"]


@dataclass(frozen=True)
class SamplesSettings:
    """Settings of `samples`."""

    per_class: int = setting(1, low=1, help="Test rows of each class that are inputs.")
    rows: int = setting(10, low=1, help="Test rows that are inputs where there are no classes.")
    generations: int = setting(5, low=1, help="Generations of each other modality for an input.")
    joint: int = setting(20, low=1, help="Prior samples.")


def as_stored(x: Tensor, spec: ModalitySpec) -> np.ndarray:
    """Values in [0, 1] as uint8 for an image, int32 for tokens, float32 for a vector."""
    if spec.kind == "image":
        return (x.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    if spec.kind == "tokens":
        return x.int().cpu().numpy()
    return x.float().cpu().numpy()


def texts_of(tokens: np.ndarray, spec: ModalitySpec) -> Any:
    """Nested lists of the texts of tokens `[..., L]`; None for a modality that is no text."""
    if spec.tokens is None or not spec.tokens.words:
        return None
    if tokens.ndim == 1:
        return spec.tokens.text(tokens.tolist())
    return [texts_of(part, spec) for part in tokens]


@final
@METRICS.register("samples")
class Samples(Metric):
    """Grids of inputs, cross generations and joint generations."""

    name = "samples"
    description = "Generations from fixed test rows and from the prior, for the report's grids."
    Settings = SamplesSettings
    references: ClassVar[tuple[str, ...]] = (
        "Joy et al., Learning Multimodal VAEs through Mutual Supervision, ICLR 2022",
    )

    def prepare(self, context: Context) -> None:
        self._context = context
        self._wanted = dict.fromkeys(range(context.classes or 0), self.settings.per_class)
        self._left = self.settings.rows
        self._classes: list[np.ndarray] = []
        self._parts: dict[str, list[np.ndarray]] = {}

    def update(self, view: View) -> None:
        chosen = self._chosen(view)
        if not len(chosen):
            return
        inputs = view.select(chosen)
        if inputs.targets is not None:
            self._classes.append(inputs.targets)
        for spec in self._context.modalities:
            self._parts.setdefault(f"input/{spec.name}", []).append(as_stored(inputs.values[spec.name], spec))
        for given in self._context.names:
            z = inputs.posterior((given,)).rsample(self.settings.generations, inputs.noise(f"samples|{given}"))
            for spec in self._context.modalities:
                if spec.name != given:
                    made = inputs.model.likelihood(spec.name, z).mean.transpose(0, 1)
                    self._parts.setdefault(f"cross/{given}|{spec.name}", []).append(as_stored(made, spec))

    def compute(self) -> Outcome:
        if not self._parts:
            raise Skipped("the test split has no complete rows.")
        arrays = [self._grid(name, np.concatenate(parts)) for name, parts in self._parts.items()]
        return Outcome((), (*arrays, *self._joint()))

    def _chosen(self, view: View) -> np.ndarray:
        """Positions in the view of rows that are still wanted, in row order."""
        if view.targets is None or not self._wanted:
            count = min(self._left, len(view.rows))
            self._left -= count
            return np.arange(count)
        chosen = []
        for position, c in enumerate(view.targets.tolist()):
            if self._wanted.get(c, 0) > 0:
                self._wanted[c] -= 1
                chosen.append(position)
        return np.array(chosen, dtype=np.int64)

    def _grid(self, name: str, value: np.ndarray) -> ArrayRecord:
        """The array with its rows in the order of their classes."""
        kind, _, modalities = name.partition("/")
        given, _, target = modalities.rpartition("|")
        meta: dict[str, Any] = {"given": given, "target": target, "kind": kind}
        if self._classes:
            classes = np.concatenate(self._classes)
            order = np.argsort(classes, kind="stable")
            value, meta["classes"] = value[order], classes[order].tolist()
        return ArrayRecord(self.name, name, value, meta | self._texts(target, value))

    def _texts(self, target: str, value: np.ndarray) -> dict[str, Any]:
        (spec,) = [spec for spec in self._context.modalities if spec.name == target]
        texts = texts_of(value, spec)
        return {} if texts is None else {"texts": texts}

    def _joint(self) -> list[ArrayRecord]:
        model, count = self._context.model, self.settings.joint
        key = stream(self._context.seed, "evaluation", "samples", "joint")
        prior = model.prior()
        z = prior.sample(1, count, RowNoise(key, range(count), device=model.device, dtype=model.dtype))
        made = {s.name: as_stored(model.likelihood(s.name, z).mean[0], s) for s in self._context.modalities}
        meta = {"given": "", "kind": "joint", "prior": prior.name}
        return [
            ArrayRecord(self.name, f"joint/{name}", value, {**meta, "target": name, **self._texts(name, value)})
            for name, value in made.items()
        ]
