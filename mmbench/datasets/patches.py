"""Digits on patches of a photograph: what PolyMNIST shows.

Source: Sutter et al., Generalized Multimodal ELBO, ICLR 2021, and its released code (thomassutter/MoPoE). A digit is
made black and white and laid over a random patch as a stencil: where it has ink, the patch's colours are inverted.
"""

import numpy as np

__all__ = ["corners", "on_patches"]

BRIGHTEST = 255
PAPER = 128  # ink is what is brighter than this, as in the released code


def corners(count: int, photograph: np.ndarray, side: int, *, rng: np.random.Generator) -> np.ndarray:
    """Top left corners of patches of `side` pixels, uniform over all that lie in a photograph `[H, W, 3]`: `[N, 2]`."""
    height, width = photograph.shape[:2]
    return rng.integers([height - side + 1, width - side + 1], size=(count, 2))


def on_patches(digits: np.ndarray, photograph: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Each digit on its patch.

    Args:
        digits: grey images `[N, S, S]` uint8, bright ink on black.
        photograph: `[H, W, 3]` uint8.
        places: top and left pixel of each patch `[N, 2]`.

    Returns:
        `[N, 3, S, S]` uint8: the patch, and `255 - patch` under the ink.
    """
    patches = np.lib.stride_tricks.sliding_window_view(photograph, digits.shape[1:], axis=(0, 1))
    chosen = patches[places[:, 0], places[:, 1]]
    shown: np.ndarray = np.where((digits > PAPER)[:, None], BRIGHTEST - chosen, chosen)
    return shown
