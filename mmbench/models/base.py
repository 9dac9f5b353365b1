"""The one interface of all models, and what a model says about itself.

A model returns distributions and objectives. It never trains, loads, saves, plots or scores itself, never sees labels,
and draws random numbers only through the `Noise` it is given. Axis letters everywhere: K samples, B batch rows,
D latent dimensions, M modalities.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.modality import Batch, ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.execution import Execution
from mmbench.models.likelihoods import Likelihood, likelihood_of, output_shape, rescaling
from mmbench.models.networks import Coder, build
from mmbench.models.networks.tokens import embedding_of
from mmbench.models.posteriors import Density, Diagonal, Distribution, Gaussian, Posterior, diagonal
from mmbench.registry import Registry
from mmbench.seeding import Noise

__all__ = ["DENSITIES", "MODELS", "Facts", "Layout", "MultimodalVAE", "Objective", "Stage", "require_observed"]

DENSITIES = ("every subset", "single modalities", "conditionals", "none")
"""Which log likelihoods a model has: of every set of modalities, of each alone, of one set given another, or none."""


@dataclass(frozen=True)
class Facts:
    """What a model is and can do: `claims` is its source's word, `holds` is what mmbench does (and by which rule).

    Stored with each run, so that the report prints the capability table (Table 1 of the MEME paper) without a model.

    Attributes:
        title, references: the name in the literature, and the sources.
        joint, additional: form of the joint posterior for two modalities s and t, and what else is needed (Table 1).
        partial_test: whether one modality can be generated from another at test time.
        partial_train_claims: the source's word on training with missing modalities.
        partial_train_holds, partial_train_rule: whether mmbench trains so, and by which rule (or why not).
        modalities_max: the largest number of modalities; None for any number.
        density, density_rule: one of `DENSITIES`, and how the log likelihoods are estimated (or why there are none).
        private_latents: whether some latent dimensions belong to one modality alone (see `Layout`).
    """

    title: str
    references: tuple[str, ...]
    joint: str
    additional: str
    partial_test: bool
    partial_train_claims: str
    partial_train_holds: bool
    partial_train_rule: str
    modalities_max: int | None
    density: str
    density_rule: str
    private_latents: bool = False


@dataclass(frozen=True)
class Stage:
    """A part of training: its share of the steps and the prefixes of the parameters it trains (all when empty)."""

    name: str = "main"
    share: float = 1.0
    trains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Which dimensions of the flat latent are shared by all modalities, and which are private to one.

    Latent accuracy and distances between modalities look at the shared ones.
    """

    shared: slice = field(default_factory=lambda: slice(None))
    private: Mapping[str, slice] = field(default_factory=dict)


@dataclass(frozen=True)
class Objective:
    """`loss` is the batch mean of what is minimised (a scalar); `terms` are detached scalars to be logged."""

    loss: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)


class MultimodalVAE(nn.Module, ABC):
    """A multimodal VAE. Subclasses are final and registered with `@MODELS.register(name)`.

    Args:
        modalities: at least one.
        settings: an instance of the class's own `Settings`.
        arch: the shared architecture settings.
        coders: modality -> its encoder and decoder.

    Class attributes:
        name, facts, version: its name, its facts, and a number raised whenever its mathematics changes.
        Settings: frozen dataclass of its own settings (section `model`).
        presets: preset -> section (`model`, `arch`, `train`, `loader`) -> values. `source` and `common` always
            exist; a model's `common` holds what it adds to the dataset's own `common`.
        stages: parts of training in their order; an instance may set its own, where its settings decide.
        couples_rows: why the loss of a batch is not the mean of its rows' losses; empty where it is.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    facts: ClassVar[Facts]
    Settings: ClassVar[type]
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]]
    stages: tuple[Stage, ...] = (Stage(),)
    couples_rows: ClassVar[str] = ""

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: Any,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__()
        limit = self.facts.modalities_max
        if limit is not None and len(modalities) > limit:
            raise CannotBear(
                f"model {self.name!r} takes at most {limit} modalities, the dataset has {len(modalities)}; "
                "`mmbench list models` shows which take more."
            )
        self.modalities = {spec.name: spec for spec in modalities}
        self.settings = settings
        self.arch = arch
        self.encoders = nn.ModuleDict({name: coders[name].encoder for name in self.modalities})
        self.decoders = nn.ModuleDict({name: coders[name].decoder for name in self.modalities})
        self.weights = rescaling(modalities, arch.rescale)
        self.execution = Execution()

    @classmethod
    def coders(cls, modalities: Sequence[ModalitySpec], settings: Any, arch: Architecture) -> dict[str, Coder]:
        """The networks that the constructor takes, freshly initialised: by default encoder and decoder of all of z."""
        return {spec.name: build(spec, arch) for spec in modalities}

    # What a model must say -------------------------------------------------------------------------------------------
    @abstractmethod
    def prior(self) -> Distribution:
        """The prior over z, event shape `[D]`, or a stand-in whose `name` says what it is where there is none."""

    @abstractmethod
    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        """q(z | x_S) for any non-empty set S of observed modalities; values are `[B, *shape]`."""

    @abstractmethod
    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        """What is minimised on rows that share one pattern; `progress` in [0, 1] drives annealing."""

    # What most models leave as it is ---------------------------------------------------------------------------------
    def generative_prior(self, given: Mapping[str, Tensor]) -> Density:
        """p(z | x_given) of the *generative* model: `prior()` when nothing is given.

        Raises `CannotBear` for a condition that the model has no exact answer to.
        """
        if given:
            raise CannotBear(f"model {self.name!r} has no generative prior given {sorted(given)}.")
        return self.prior()

    def proposal(self, values: Mapping[str, Tensor]) -> Posterior:
        """What importance sampling of log p(x_S) draws from: the posterior, but where that is no density and this is.

        A proposal decides the variance, not what is estimated.
        """
        return self.posterior(values)

    def initialise(self, batch: Batch) -> None:
        """Set data-dependent parameters (pseudo-inputs) from observed training rows, before the first step."""

    @property
    def layout(self) -> Layout:
        """Shared and private dimensions of z; all are shared by default."""
        return Layout()

    @property
    def follows_progress(self) -> bool:
        """Whether the objective depends on `progress`; a step that does is never recorded (see `training.graphs`)."""
        return False

    @property
    def gradient_estimators(self) -> Mapping[str, Any]:
        """Name -> settings under which the gradient is estimated; `train.log_snr_every` compares them.

        Each is an instance of `Settings` that may take the place of `settings` for a while: it changes nothing that the
        constructor made of them. By default there is the model's own alone.
        """
        return {"own": self.settings}

    def cannot_bear(self, names: Sequence[str]) -> str | None:
        """Why training on rows that hold only `names` is refused; None where the model can learn from them."""
        if len(names) == len(self.modalities) or self.facts.partial_train_holds:
            return None
        return f"model {self.name!r} cannot learn from rows that hold only {', '.join(names)}"

    # Free of choice --------------------------------------------------------------------------------------------------
    def encode(self, name: str, x: Tensor, family: str = "normal") -> Diagonal:
        """The distribution that modality `name`'s encoder gives for x `[B, *shape]`."""
        location, scale = self.encoders[name](x)
        return diagonal(family, location, scale)

    def continuous(self, name: str, x: Tensor) -> Tensor:
        """Rows `[B, *shape]` as the encoder of modality `name` can be differentiated by them.

        Tokens become their embeddings `[B, L, E]`, which the encoder takes as well; all else stays as it is.
        """
        embedding = embedding_of(self.encoders[name])
        return x if embedding is None else embedding(x)

    def continuous_shape(self, name: str) -> tuple[int, ...]:
        """Shape of one row of `continuous`."""
        embedding = embedding_of(self.encoders[name])
        return self.modalities[name].shape if embedding is None else embedding.input_shape

    def gaussian(self, name: str, x: Tensor) -> Gaussian:
        """The Gaussian that modality `name`'s encoder gives for x `[B, *shape]`."""
        return Gaussian(*self.encoders[name](x))

    def likelihood(self, name: str, z: Tensor) -> Likelihood:
        """p(x_name | z) for z of shape `[K, B, D]`: batch shape `[K, B]`, never rescaled."""
        flat = self.decoders[name](z.reshape(-1, z.shape[-1]))
        output = flat.reshape(*z.shape[:-1], *output_shape(self.modalities[name]))
        return likelihood_of(self.modalities[name], self.arch.likelihood, self.arch.scale, output)

    def log_likelihood(self, name: str, x: Tensor, z: Tensor) -> Tensor:
        """lambda_name log p(x_name | z), shape `[K, B]`: the weighted form that objectives use."""
        return self.weights[name] * self.likelihood(name, z).log_prob(x)

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the model's parameters."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """The device of the model's parameters."""
        return next(self.parameters()).device


def require_observed(model: MultimodalVAE, values: Mapping[str, Tensor]) -> None:
    """Raise `InvalidSetting` unless `values` is a non-empty set of the model's modalities."""
    if not values or not set(values) <= set(model.modalities):
        raise InvalidSetting(
            f"model {model.name!r} needs a non-empty set of {sorted(model.modalities)}, got {sorted(values)}."
        )


MODELS: Registry[type[MultimodalVAE]] = Registry(
    "model", package="mmbench.models", group="mmbench.models", base=MultimodalVAE
)
