"""A model of multivae as a `MultimodalVAE`: the parts of this package put together.

The objective is the `forward` of the package's model with its loss brought to a batch mean. It runs with gradients even
where none are asked for, as its DReG estimators put hooks on the samples. Its terms are logged as the package names
them; some of them are sums over the batch there. The networks stand in the model twice, as `encoders` and `decoders`
and within `theirs`: the same modules, once in our classes and once in the package's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.modality import ModalitySpec
from mmbench.models.architecture import Architecture
from mmbench.models.base import Layout, MultimodalVAE, Objective, Stage, require_observed
from mmbench.models.bridge import inputs, networks
from mmbench.models.bridge.drawing import drawing_from
from mmbench.models.bridge.kinds import Kind
from mmbench.models.bridge.latents import FIELD, layout_of, lower_sizes
from mmbench.models.bridge.package import load
from mmbench.models.bridge.posteriors import POSTERIORS
from mmbench.models.bridge.priors import prior_of
from mmbench.models.bridge.settings import by_modality, epoch_of, fields_of, mapping_fields, sets_of, settings_class
from mmbench.models.likelihoods import Likelihood, likelihood_of, output_shape
from mmbench.models.networks import Coder, build
from mmbench.models.networks.joint import JointEncoder
from mmbench.models.posteriors import Distribution, Posterior
from mmbench.models.private import coders_of, own_part, size_of
from mmbench.seeding import Noise

__all__ = ["MultivaeModel", "made_for"]

JOINT, LAST = "joint", "single"


def made_for(kind: Kind) -> type[MultimodalVAE]:
    """The class of one model of the package, with its settings, facts and presets."""
    config = getattr(load(), f"{kind.name}Config")
    made = settings_class(kind.name, config)
    body = {
        "__doc__": f"{kind.name} of the package multivae.",
        "__module__": __name__,
        "name": f"multivae:{kind.name}",
        "kind": kind,
        "config": config,
        "facts": kind.facts,
        "Settings": made,
        "presets": kind.presets,
        "stages": _stages(kind, made()),
    }
    return type(kind.name, (MultivaeModel,), body)


class MultivaeModel(MultimodalVAE):
    """What the models of the package have in common; `made_for` makes the class of each."""

    kind: ClassVar[Kind]
    config: ClassVar[type]
    couples_rows: ClassVar[str] = "multivae draws the numbers of a batch all at once"

    def __init__(
        self,
        modalities: Sequence[ModalitySpec],
        settings: Any,
        arch: Architecture,
        coders: Mapping[str, Coder],
    ) -> None:
        super().__init__(modalities, settings, arch, coders)
        self._require_likelihood()
        self._layout = layout_of(self.kind, settings, list(self.modalities), arch.latent_dim)
        self.stages = _stages(self.kind, settings)
        self.ordered = dict(sorted(self.modalities.items()))
        self.theirs: nn.Module = self._made()

    @classmethod
    def coders(cls, modalities: Sequence[ModalitySpec], settings: Any, arch: Architecture) -> dict[str, Coder]:
        names = [spec.name for spec in modalities]
        if cls.kind.name == "Nexus":
            sizes = lower_sizes(settings, names, arch.latent_dim)
            return {spec.name: build(spec, replace(arch, latent_dim=sizes[spec.name])) for spec in modalities}
        layout = layout_of(cls.kind, settings, names, arch.latent_dim)
        return coders_of(modalities, arch, layout) if layout.private else super().coders(modalities, settings, arch)

    @property
    def layout(self) -> Layout:
        return self._layout

    @property
    def follows_progress(self) -> bool:
        """Always: generators that are seeded in a step are nothing that can be recorded."""
        return True

    def cannot_bear(self, names: Sequence[str]) -> str | None:
        if reason := super().cannot_bear(names):
            return f"{reason}, as {self.facts.partial_train_rule}"
        subsets = getattr(self.settings, "subsets", None)
        if subsets and not any(set(some.split("+")) <= set(names) for some in subsets):
            return f"model {self.name!r} has no set of model.subsets that rows with only {', '.join(names)} hold"
        return None

    def prior(self) -> Distribution:
        return prior_of(self.kind.name, self.theirs, self.arch.latent_dim)

    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        require_observed(self, values)
        return POSTERIORS[self.kind.name](self.theirs, inputs.complete(values, self.ordered, self._like))

    def likelihood(self, name: str, z: Tensor) -> Likelihood:
        """p(x_name | z) of z `[K, B, D]`; of Nexus, at the mean of the lower latent given z."""
        spec, code = self.modalities[name], z
        if self._layout.private:
            code = own_part(self._layout, name, z)
        if self.kind.name == "Nexus":
            code = self.theirs.top_decoders[name](z).reconstruction  # type: ignore[index, operator]  # a ModuleDict
        output = self.decoders[name](code.reshape(-1, code.shape[-1]))
        shaped = output.reshape(*z.shape[:-1], *output_shape(spec))
        return likelihood_of(spec, self.arch.likelihood, self.arch.scale, shaped)

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        require_observed(self, values)
        if reason := self.cannot_bear(sorted(values)):
            raise CannotBear(f"{reason}.")
        rows = len(next(iter(values.values())))
        data = inputs.dataset(values, self.ordered, self._like)
        learned = [parameter.requires_grad for parameter in self.parameters()]
        with drawing_from(noise, rows, like=self._like), torch.enable_grad():
            found = self.theirs(data, **self._when(progress, stage))
        for parameter, wanted in zip(self.parameters(), learned, strict=True):
            parameter.requires_grad_(wanted)  # the package freezes parts by itself, for good
        loss = found["loss"] / rows if self.kind.summed else found["loss"]
        terms = {name: torch.as_tensor(term, device=loss.device).detach() for name, term in found["metrics"].items()}
        scalars = {name: term.reshape(()) for name, term in terms.items() if term.numel() == 1}
        return Objective(loss if torch.is_grad_enabled() else loss.detach(), scalars)

    def _when(self, progress: float, stage: str) -> dict[str, Any]:
        """What the package is told of how far the training is."""
        if self.kind.staged:
            return {"epoch": self.settings.warmup + (stage == LAST)}
        if "epochs" not in vars(self.settings):
            return {}
        epoch, share = epoch_of(progress, self.settings.epochs)
        return {"epoch": epoch, "batch_ratio": share}

    @property
    def _like(self) -> Tensor:
        return next(self.parameters())

    def _require_likelihood(self) -> None:
        for spec in self.modalities.values():
            if self.arch.likelihood == "bernoulli" and spec.kind == "image":
                raise CannotBear(
                    f"model {self.name!r} cannot have a Bernoulli likelihood of {spec.name!r}: the package takes "
                    "values that are 0 or 1 there, and images are in between; use arch.likelihood=laplace or normal."
                )

    # The package's model ---------------------------------------------------------------------------------------------
    def _made(self) -> nn.Module:
        parts: dict[str, Any] = {
            "encoders": {name: self._encoder(spec) for name, spec in self.ordered.items()},
            "decoders": {name: self._decoder(spec) for name, spec in self.ordered.items()},
        }
        if self.kind.joint:
            joint = JointEncoder(list(self.ordered.values()), self.arch, self.arch.latent_dim)
            parts["joint_encoder"] = networks.joint_encoder(joint, self.arch.latent_dim, self.ordered)
        if self.kind.name == "Nexus":
            parts |= self._upper()
        made: nn.Module = getattr(load(), self.kind.name)(self._config(), **parts)
        return made

    def _encoder(self, spec: ModalitySpec) -> Any:
        network, family = self.encoders[spec.name], getattr(self.settings, "prior_and_posterior_dist", "normal")
        if self.kind.name == "Nexus":
            return networks.encoder(network, self._lower[spec.name], spec=spec)
        if not self._layout.private:
            return networks.encoder(network, self.arch.latent_dim, family=family, spec=spec)
        shared = size_of(self._layout.shared)
        dim = shared + size_of(self._layout.private[spec.name])
        return networks.multilatent_encoder(network, shared, dim, family=family, spec=spec)

    def _decoder(self, spec: ModalitySpec) -> Any:
        dim = self._lower[spec.name] if self.kind.name == "Nexus" else self.arch.latent_dim
        return networks.decoder(self.decoders[spec.name], dim, spec)

    @property
    def _lower(self) -> Mapping[str, int]:
        return lower_sizes(self.settings, list(self.modalities), self.arch.latent_dim)

    def _upper(self) -> dict[str, Any]:
        """The upper networks of Nexus: small ones, between vectors. The package's own end in a sigmoid."""
        words, dim, sizes = self.settings.msg_dim, self.arch.latent_dim, self._lower

        def coder(latent: int, outer: int) -> Coder:
            small = replace(self.arch, networks="small", latent_dim=latent)
            return build(ModalitySpec("latent", "vector", (outer,)), small)

        return {
            "top_encoders": {n: networks.message(coder(size, words).decoder, words) for n, size in sizes.items()},
            "joint_encoder": networks.encoder(coder(dim, words).encoder, dim),
            "top_decoders": {
                n: networks.plain_decoder(coder(dim, size).decoder, dim, size) for n, size in sizes.items()
            },
        }

    def _config(self) -> Any:
        names, tokens = list(self.ordered), {n for n, spec in self.ordered.items() if spec.tokens is not None}
        decided = {
            "n_modalities": len(names),
            "latent_dim": size_of(self._layout.shared) if self._layout.private else self.arch.latent_dim,
            "input_dims": {name: output_shape(spec) for name, spec in self.ordered.items()},
            "uses_likelihood_rescaling": True,
            "rescale_factors": {name: self.weights[name] for name in names},
            "decoders_dist": {n: "categorical" if n in tokens else self.arch.likelihood for n in names},
            "decoder_dist_params": {n: {"scale": self.arch.scale} for n in names if n not in tokens},
        }
        return self.config(**decided, **self._fields())

    def _fields(self) -> dict[str, Any]:
        """The settings as the fields of the package's configuration."""
        maps, names, fields = mapping_fields(self.config), list(self.ordered), {}
        for name in (field.name for field in fields_of(self.config)):
            value, where = getattr(self.settings, name), f"model.{name}"
            if name == "subsets":
                value = sets_of(value, names, where=where)
            elif name in maps:
                value = by_modality(value, names, of=maps[name], where=where)
            fields[name] = list(value) if isinstance(value, tuple) else value
        if self._layout.private:
            sizes = {name: size_of(part) for name, part in self._layout.private.items()}
            fields[FIELD] = sizes if FIELD in maps else next(iter(sizes.values()))
        elif self.kind.name == "Nexus":
            fields[FIELD] = dict(self._lower)
        return fields


def _stages(kind: Kind, settings: Any) -> tuple[Stage, ...]:
    """One, or two whose shares are the package's warm-up and the epochs after it."""
    if not kind.staged:
        return (Stage(),)
    before, after = settings.warmup, settings.epochs - settings.warmup
    if before < 1 or after < 1:
        raise InvalidSetting(
            f"model.warmup={before} of model.epochs={settings.epochs} leaves a part of model 'multivae:{kind.name}' "
            "without training: its joint encoder learns during the warm-up, its other encoders after it."
        )
    share = before / settings.epochs
    return (
        Stage(JOINT, share, ("decoders", "theirs.joint_encoder")),
        Stage(LAST, 1 - share, kind.trains_last),
    )
