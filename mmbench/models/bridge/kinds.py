"""Which models of multivae are offered, what each is, and why the others are not.

Read in the source of version 1.0.3, and tried by the tests of the bridge: whether a model takes rows with missing
modalities, whether its loss is a sum over the batch or a mean, what its latents are, and whether it trains in parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mmbench.models.base import Facts
from mmbench.models.bridge.package import READ

__all__ = ["KINDS", "REFUSED", "Kind"]

MASKS = "rows go as an IncompleteDataset: zeros behind masks in the place of what is missing"
COMPLETE = "the package refuses an IncompleteDataset: its joint encoder needs complete rows"
PACKAGE = f"Senellart, Chadebec & Allassonniere, MultiVae, JOSS 2025 (package multivae {READ})"

SOURCE: Mapping[str, Mapping[str, Any]] = {
    "arch": {"latent_dim": 10, "likelihood": "normal", "scale": 1.0, "rescale": "none"},
    "train": {"lr": 1e-4, "batch_size": 64, "epochs": 100, "steps": None},
}
"""The package's own defaults of configurations and trainer. Its default networks are not taken over."""


@dataclass(frozen=True)
class Kind:
    """One model of the package.

    Attributes:
        name: its class in `multivae.models`.
        facts: as for any model here.
        common: its settings in the preset `common`, as near as can be to those of mmbench's own model.
        summed: whether its loss is the sum over the batch; the mean otherwise.
        private: whether it has private latents: none, where it is asked to (`some`), or always.
        joint: whether it has a joint encoder.
        staged: whether the joint encoder and decoders are trained first, and the rest with them frozen.
        trains_last: what the second part trains.
    """

    name: str
    facts: Facts
    common: Mapping[str, Any] = field(default_factory=dict)
    summed: bool = False
    private: Literal["none", "some", "always"] = "none"
    joint: bool = False
    staged: bool = False
    trains_last: tuple[str, ...] = ("encoders",)

    @property
    def presets(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """`common` and `source`, as every model has them."""
        return {"common": {"model": self.common}, "source": SOURCE}


def _facts(
    name: str,
    source: str,
    joint: str,
    *,
    additional: str = "-",
    partial: bool = True,
    density: str = "every subset",
    density_rule: str = "importance sampling from its posterior",
    private: bool = False,
) -> Facts:
    return Facts(
        title=f"{name} of multivae",
        references=(source, PACKAGE),
        joint=joint,
        additional=additional,
        partial_test=True,
        partial_train_claims="yes; the package's table of models for incomplete data" if partial else "no",
        partial_train_holds=partial,
        partial_train_rule=MASKS if partial else COMPLETE,
        modalities_max=None,
        density=density,
        density_rule=density_rule,
        private_latents=private,
    )


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "MVAE",
            _facts(
                "MVAE",
                "Wu & Goodman, Multimodal Generative Models for Scalable Weakly-Supervised Learning, NeurIPS 2018",
                "q(z|s) q(z|t) p(z)",
                additional="sub-sampling",
            ),
            {"warmup": 0, "k": 1},
        ),
        Kind(
            "MMVAE",
            _facts(
                "MMVAE",
                "Shi et al., Variational Mixture-of-Experts Autoencoders for Multi-Modal Deep Generative Models, "
                "NeurIPS 2019",
                "q(z|s) + q(z|t)",
                density_rule="importance sampling, stratified over experts",
            ),
            {"loss": "iwae_looser", "K": 5, "prior_and_posterior_dist": "normal", "learn_prior": False},
            summed=True,
        ),
        Kind(
            "MoPoE",
            _facts(
                "MoPoE",
                "Sutter, Daunhawer & Vogt, Generalized Multimodal ELBO, ICLR 2021",
                "q(z|s) + q(z|t) + q(z|s) q(z|t)",
                density_rule="importance sampling from the product",
            ),
            private="some",
        ),
        Kind(
            "JMVAE",
            _facts(
                "JMVAE",
                "Suzuki, Nakayama & Matsuo, Joint Multimodal Learning with Deep Generative Models, 2016, "
                "arXiv:1611.01891",
                "q(z|s,t)",
                additional="q(z|s), q(z|t)",
                partial=False,
            ),
            {"alpha": 1.0, "warmup": 0},
            joint=True,
        ),
        Kind(
            "MVTCAE",
            _facts(
                "MVTCAE",
                "Hwang, Kim, Hong & Kim, Multi-View Representation Learning via Total Correlation Objective, "
                "NeurIPS 2021",
                "q(z|s) q(z|t)",
            ),
            {"alpha": 5 / 6, "beta": 1.0},
        ),
        Kind(
            "CRMVAE",
            _facts(
                "CRMVAE",
                "Suzuki & Matsuo, Mitigating the Limitations of Multimodal VAEs with Coordination-Based Approach, "
                "OpenReview 2022",
                "q(z|s) q(z|t)",
            ),
            {"beta": 1.0},
            summed=True,
        ),
        Kind(
            "TELBO",
            _facts(
                "TELBO",
                "Vedantam et al., Generative Models of Visually Grounded Imagination, ICLR 2018",
                "q(z|s,t)",
                additional="q(z|s), q(z|t)",
                partial=False,
                density_rule="importance sampling from its posterior; several but not all modalities have none",
            ),
            {"warmup": 50},
            joint=True,
            staged=True,
        ),
        Kind(
            "JNF",
            _facts(
                "JNF",
                "Senellart, Chadebec & Allassonniere, Bridging the Inference Gap in Multimodal Variational "
                "Autoencoders, 2025, arXiv:2502.03952",
                "q(z|s,t)",
                additional="flows q(z|s), q(z|t)",
                partial=False,
                density_rule="importance sampling from the joint encoder, a flow, or the mixture of several flows",
            ),
            {"warmup": 50},
            joint=True,
            staged=True,
            trains_last=("encoders", "theirs.flows"),
        ),
        Kind(
            "DMVAE",
            _facts(
                "DMVAE",
                "Lee & Pavlovic, Private-Shared Disentangled Multimodal VAE for Learning of Latent Representations, "
                "CVPR Workshops 2021",
                "q(z|s) q(z|t) p(z), q(w|s), q(w|t)",
                private=True,
            ),
            private="always",
        ),
        Kind(
            "MMVAEPlus",
            _facts(
                "MMVAE+",
                "Palumbo, Daunhawer & Vogt, MMVAE+: Enhancing the Generative Quality of Multimodal VAEs without "
                "Compromises, ICLR 2023",
                "q(z|s) + q(z|t), q(w|s), q(w|t)",
                density_rule="importance sampling, stratified over experts",
                private=True,
            ),
            {"loss": "iwae_looser", "K": 5, "prior_and_posterior_dist": "normal"},
            summed=True,
            private="always",
        ),
        Kind(
            "CMVAE",
            _facts(
                "CMVAE",
                "Palumbo et al., Deep Generative Clustering with Multimodal Diffusion Variational Autoencoders, "
                "ICLR 2024",
                "q(z|s) + q(z|t), q(w|s), q(w|t)",
                additional="clusters",
                density_rule="importance sampling, stratified over experts",
                private=True,
            ),
            {"loss": "iwae_looser", "K": 5, "prior_and_posterior_dist": "normal"},
            summed=True,
            private="always",
        ),
        Kind(
            "Nexus",
            _facts(
                "Nexus",
                "Vasco et al., Leveraging Hierarchy in Multimodal Generative Models for Effective Cross-Modality "
                "Inference, Neural Networks 2022",
                "q(z|z_s,z_t)",
                additional="q(z_s|s), q(z_t|t)",
                density="none",
                density_rule="q(z|x) is an integral over the latents of single modalities",
            ),
            {"warmup": 1},
        ),
    )
}
"""Name of the class -> what it is."""

REFUSED: Mapping[str, str] = {
    "CVAE": "it generates one modality given the others and has no latent that all modalities share",
    "MHVAE": "it has no default networks for the blocks of its levels, and `arch` describes none",
}
"""Name of the class -> why it is not offered."""
