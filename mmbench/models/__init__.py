"""Models behind one interface: posteriors, bounds, likelihoods and networks, and one file a model."""

from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS, Facts, MultimodalVAE, Objective, Stage
from mmbench.models.networks import NETWORKS, Coder, build

__all__ = ["MODELS", "NETWORKS", "Architecture", "Coder", "Facts", "MultimodalVAE", "Objective", "Stage", "build"]
