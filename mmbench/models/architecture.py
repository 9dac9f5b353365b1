"""The settings that every model shares: networks, latent size and likelihoods (section `arch` of a run spec)."""

from dataclasses import dataclass

from mmbench.config import setting

__all__ = ["Architecture"]


@dataclass(frozen=True)
class Architecture:
    """Frozen values; a dataset's preset `common` fills them for all models alike."""

    networks: str = setting(
        "small", help="Encoders and decoders by name: small, linear, transformer, paper (Table 8) or released (code)."
    )
    latent_dim: int = setting(16, low=1, help="D, the size of the latent space.")
    likelihood: str = setting(
        "laplace", choices=("laplace", "normal", "bernoulli"), help="Likelihood of images and vectors."
    )
    scale: float = setting(1.0, above=0.0, help="Scale of the Laplace or Normal likelihood.")
    rescale: str = setting(
        "none",
        choices=("none", "largest"),
        help="Weights of the log likelihoods in objectives: none, or D_max / D_m as MMVAE does.",
    )
    norm: str = setting("none", choices=("none", "group", "batch"), help="Normalisation in the released image encoder.")
    posterior_scale: str = setting(
        "softplus",
        choices=("softplus", "softmax"),
        help="Positive scale of the encoders: softplus, or D * softmax as MMVAE does.",
    )
