"""The same models of the `multivae` package, with the same layers written as its users write them.

The networks are ordinary torch modules in torch's default memory format. `coders=ours` puts mmbench's own modules (1x1
convolutions as linear layers, channels last) into `multivae`, which tells the networks' share from the engine's.
"""

import logging
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.steps import ARCH, RATE, SPECS
from mmbench import _torchvision
from mmbench.models.networks import build

__all__ = ["peer_step"]

LATENT = ARCH.latent_dim


def peer_step(model: str, settings: Mapping[str, str], data: list[dict[str, Tensor]], trained: bool) -> Any:
    """A training step of multivae's `model`; `trained` is refused: its time does not depend on the weights."""
    if trained:
        raise ValueError("a step of multivae takes the same time with any weights")
    _torchvision.load()
    logging.disable(logging.INFO)
    from multivae.data.datasets.base import MultimodalBaseDataset
    from multivae.models import (
        JMVAE,
        MMVAE,
        MVAE,
        MVTCAE,
        JMVAEConfig,
        MMVAEConfig,
        MoPoE,
        MoPoEConfig,
        MVAEConfig,
        MVTCAEConfig,
    )

    kinds: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "mvae": (MVAE, MVAEConfig, {"warmup": 0}),
        "jmvae": (JMVAE, JMVAEConfig, {"warmup": 0}),
        "mopoe": (MoPoE, MoPoEConfig, {}),
        "mvtcae": (MVTCAE, MVTCAEConfig, {}),
        "mmvae": (
            MMVAE,
            MMVAEConfig,
            {"loss": "iwae_looser", "prior_and_posterior_dist": "normal", "learn_prior": False},
        ),
    }
    kind, config, own = kinds[model]
    if "k" in settings:
        own["K"] = int(settings["k"])
    torch.manual_seed(0)
    encoders, decoders = _coders(settings.get("coders", "plain"))
    names = [spec.name for spec in SPECS]
    made = config(
        n_modalities=2,
        latent_dim=LATENT,
        input_dims={spec.name: spec.shape for spec in SPECS},
        decoders_dist=dict.fromkeys(names, "laplace"),
        decoder_dist_params={name: {"scale": ARCH.scale} for name in names},
        **own,
    )
    net: nn.Module = kind(made, encoders, decoders)
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    endless = cycle([MultimodalBaseDataset(x) for x in data])

    def step() -> None:
        optimiser.zero_grad()
        net(next(endless), epoch=1).loss.backward()
        optimiser.step()

    return step


def _coders(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):  # type: ignore[misc]  # multivae has no types
        def __init__(self, location: nn.Module, scale: nn.Module | None, trunk: nn.Module) -> None:
            BaseEncoder.__init__(self)
            self.latent_dim = LATENT
            self.trunk, self.location, self.log_variance = trunk, location, scale

        def forward(self, x: Tensor) -> Any:
            features = self.trunk(x)
            if self.log_variance is None:
                location, scale = features
                return ModelOutput(embedding=location, log_covariance=2 * scale.log())
            return ModelOutput(embedding=self.location(features), log_covariance=self.log_variance(features))

    class Decoder(BaseDecoder):  # type: ignore[misc]  # multivae has no types
        def __init__(self, body: nn.Module, shape: tuple[int, ...]) -> None:
            BaseDecoder.__init__(self)
            self.body, self.shape, self.latent_dim = body, shape, LATENT

        def forward(self, z: Tensor) -> Any:
            flat = self.body(z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], *self.shape)
            return ModelOutput(reconstruction=flat.sigmoid())

    if kind == "ours":
        built = {spec.name: build(spec, ARCH) for spec in SPECS}
        return (
            {name: Encoder(nn.Identity(), None, coder.encoder) for name, coder in built.items()},
            {spec.name: Decoder(built[spec.name].decoder, spec.shape) for spec in SPECS},
        )
    perceptron = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ELU(), nn.Linear(512, 512), nn.Softplus())
    convolutions = nn.Sequential(
        *(nn.Conv2d(3, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU()),
        *(nn.Conv2d(64, 128, 4, 2, 1), nn.ReLU(), nn.Conv2d(128, 512, 4, 1, 0), nn.ReLU(), nn.Flatten()),
    )
    grey = nn.Sequential(
        *(nn.Linear(LATENT, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 784)),
    )
    colour = nn.Sequential(
        *(nn.Unflatten(1, (LATENT, 1, 1)), nn.ConvTranspose2d(LATENT, 128, 4, 1, 0), nn.ReLU()),
        *(nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU()),
        nn.ConvTranspose2d(32, 3, 4, 2, 1),
    )

    def head() -> nn.Module:
        return nn.Linear(512, LATENT)

    return (
        {"mnist": Encoder(head(), head(), perceptron), "svhn": Encoder(head(), head(), convolutions)},
        {"mnist": Decoder(grey, SPECS[0].shape), "svhn": Decoder(colour, SPECS[1].shape)},
    )
