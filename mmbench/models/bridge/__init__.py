"""The models of the package multivae as models here: `--model multivae:MoPoE`.

They train on our data under our schemes, and our metrics, store and report take them as they take any model. What is
multivae's own is the objective, the posteriors and the decoding; networks, likelihoods and training are ours.

    package      whether it is installed; imported when a model of it is asked for
    kinds        which of its models are offered, what is known of each, and why the others are not
    settings     the fields of its configurations as our settings
    networks     our encoders and decoders in its classes
    inputs       our rows as its data sets
    drawing      its random numbers as a function of our noise
    latents      its latents in one flat vector
    posteriors   its posteriors in our classes
    priors       its priors
    model        all of it together

`multivae` is Senellart, Chadebec & Allassonniere, MultiVae: A Python package for Multimodal Variational Autoencoders on
Partial Datasets, JOSS 2025. docs/bridge.md says what works, and where its objectives differ from ours.
"""

from mmbench.errors import CannotBear, UnknownName
from mmbench.models.base import MODELS, MultimodalVAE
from mmbench.models.bridge.kinds import KINDS, REFUSED

__all__ = ["family", "offers"]


def offers() -> str:
    """The names that the family takes, and whether the package is there."""
    from mmbench.models.bridge.package import state

    return f"{', '.join(sorted(KINDS))}; multivae {state()}"


@MODELS.family("multivae", offers=offers)
def family(name: str) -> type[MultimodalVAE]:
    """The model of the package multivae whose class is `name`.

    Raises:
        UnknownName, CannotBear: there is none, or it is not offered.
        MMBenchError: the package is not installed.
    """
    from mmbench.models.bridge.model import made_for

    if name in REFUSED:
        raise CannotBear(f"model 'multivae:{name}' is not offered: {REFUSED[name]}.")
    if name not in KINDS:
        raise UnknownName("model of multivae", name, KINDS)
    return made_for(KINDS[name])
