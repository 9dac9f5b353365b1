"""A model of ours and the same one of `multivae`, around the same networks.

No weights are copied: multivae's encoders and decoders are thin shells around *our* modules, so that both losses are
functions of one set of parameters, and their gradients are compared name by name.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from mmbench import _torchvision
from mmbench.config import parse_settings
from mmbench.models import MODELS, MultimodalVAE
from mmbench.models.architecture import Architecture
from mmbench.models.execution import PLAIN
from mmbench.models.likelihoods import output_shape
from tests.parity.comparison import Undo
from tests.parity.differences import PADDING
from tests.parity.worlds import Rows, World

__all__ = ["inputs_of", "joint_shell", "library", "ours", "peer"]


def ours(name: str, world: World, *, arch: Mapping[str, Any] | None = None, **settings: Any) -> MultimodalVAE:
    """Our model with small networks in float64; it differentiates every sample."""
    kind = MODELS[name]
    made = Architecture("small", world.latent, world.likelihood, world.scale, world.rescale)
    made = replace(made, **(arch or {}))
    own: Any = parse_settings(kind.Settings, settings, "model")
    torch.manual_seed(0)
    model = kind(world.modalities, own, made, kind.coders(world.modalities, own, made)).double()
    model.execution = PLAIN
    return model


@cache
def library() -> SimpleNamespace:
    """multivae's models, data sets and base classes. Raises `ImportError` where it is not installed."""
    _torchvision.load()
    logging.disable(logging.INFO)
    import multivae.models
    from multivae.data.datasets.base import IncompleteDataset, MultimodalBaseDataset
    from multivae.models.base import BaseDecoder, BaseEncoder, ModelOutput
    from multivae.models.nn import BaseJointEncoder

    return SimpleNamespace(
        models=multivae.models,
        IncompleteDataset=IncompleteDataset,
        MultimodalBaseDataset=MultimodalBaseDataset,
        BaseDecoder=BaseDecoder,
        BaseEncoder=BaseEncoder,
        BaseJointEncoder=BaseJointEncoder,
        ModelOutput=ModelOutput,
    )


def peer(
    name: str,
    model: MultimodalVAE,
    *,
    networks: Mapping[str, Any] | None = None,
    encoders: Mapping[str, Any] | None = None,
    split: int | None = None,
    **config: Any,
) -> Any:
    """multivae's model `name` around our model's networks.

    Args:
        networks: shells beside encoders and decoders, by the names that multivae has for them.
        encoders: shells in the place of those around our encoders.
        split: how many of an encoder's dimensions are shared, where the others are private.
        config: its settings; those that say what mmbench calls architecture are taken from our model.
    """
    lib, specs, arch = library(), model.modalities, model.arch
    kind, made = getattr(lib.models, name), getattr(lib.models, f"{name}Config")
    shared = {
        "n_modalities": len(specs),
        "latent_dim": split or arch.latent_dim,
        "input_dims": {n: spec.shape for n, spec in specs.items()},
        "uses_likelihood_rescaling": arch.rescale == "largest",
        "decoders_dist": {n: arch.likelihood if spec.tokens is None else "categorical" for n, spec in specs.items()},
        "decoder_dist_params": {n: {"scale": arch.scale} for n in specs},
    }
    settings = made(**{**shared, **config})
    encoders = encoders or {n: encoder_shell(model, n, split) for n in specs}
    decoders = {n: decoder_shell(model, n) for n in specs}
    return kind(settings, encoders, decoders, **(networks or {}))


def encoder_shell(model: MultimodalVAE, name: str, split: int | None = None) -> Any:
    """multivae's encoder around ours: it gives a log variance; of text it gets one-hot rows, and ours the tokens.

    Where our scale is a softmax with a floor, multivae makes its own of the logits: the log of our scale without the
    floor, which sums to D, has that softmax. Private dimensions follow the first `split`, which are shared.
    """
    lib, encoder = library(), model.encoders[name]
    softmax, tokens = model.arch.posterior_scale == "softmax", model.modalities[name].tokens is not None

    class Encoder(lib.BaseEncoder):
        def __init__(self) -> None:
            lib.BaseEncoder.__init__(self)
            self.encoder, self.latent_dim = encoder, model.arch.latent_dim

        def forward(self, x: Tensor) -> Any:
            location, scale = self.encoder(x.argmax(-1) if tokens else x)
            raw = (scale - encoder.scale.floor).log() if softmax else 2 * scale.log()
            if split is None:
                return lib.ModelOutput(embedding=location, log_covariance=raw)
            return lib.ModelOutput(
                embedding=location[:, :split],
                log_covariance=raw[:, :split],
                style_embedding=location[:, split:],
                style_log_covariance=raw[:, split:],
            )

    return Encoder()


def decoder_shell(model: MultimodalVAE, name: str) -> Any:
    """multivae's decoder around ours: the mean of the likelihood, or logits."""
    lib, spec, arch = library(), model.modalities[name], model.arch
    bounded = spec.kind == "image" and arch.likelihood != "bernoulli"

    class Decoder(lib.BaseDecoder):
        def __init__(self) -> None:
            lib.BaseDecoder.__init__(self)
            self.decoder, self.latent_dim = model.decoders[name], arch.latent_dim

        def forward(self, z: Tensor) -> Any:
            flat = self.decoder(z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], *output_shape(spec))
            return lib.ModelOutput(reconstruction=flat.sigmoid() if bounded else flat)

    return Decoder()


def joint_shell(joint: nn.Module, latent: int) -> Any:
    """multivae's joint encoder around ours."""
    lib = library()

    class Joint(lib.BaseJointEncoder):
        def __init__(self) -> None:
            lib.BaseJointEncoder.__init__(self)
            self.joint, self.latent_dim = joint, latent

        def forward(self, x: Mapping[str, Tensor]) -> Any:
            values = {name: value.argmax(-1) if value.dim() == 3 else value for name, value in x.items()}
            location, scale = self.joint(values)
            return lib.ModelOutput(embedding=location, log_covariance=2 * scale.log())

    return Joint()


def inputs_of(model: MultimodalVAE, rows: Rows | Mapping[str, Tensor], undo: Undo) -> Any:
    """multivae's data set: complete values, or rows with masks whose hidden values are filled with others.

    Text is one-hot. A row of zeros adds nothing to multivae's cross entropy, and its `argmax` is token 0, the padding.
    """
    lib = library()
    values = dict(rows.values if isinstance(rows, Rows) else rows)
    for name, spec in model.modalities.items():
        if spec.tokens is not None:
            hot = torch.nn.functional.one_hot(values[name], spec.tokens.vocabulary).double()
            if undo(PADDING):
                hot = hot * (values[name] != spec.tokens.ignored).unsqueeze(-1)
            values[name] = hot
    if not isinstance(rows, Rows):
        return lib.MultimodalBaseDataset(values)
    masks = rows.masks
    return lib.IncompleteDataset({n: _filled(x, masks[n]) for n, x in values.items()}, masks)


def _filled(x: Tensor, mask: Tensor) -> Tensor:
    """x with other rows where nothing is observed."""
    return torch.where(mask.view(-1, *[1] * (x.dim() - 1)), x, x.flip(0))
