"""Encoders and decoders by name: `small` for the embedded digits, `linear` for linear-Gaussian data, `transformer` for
captions, `paper` (Table 8), and `released` (the MEME code).
"""

from mmbench.models.networks.base import NETWORKS, Coder, ScaleHead, build

__all__ = ["NETWORKS", "Coder", "ScaleHead", "build"]
