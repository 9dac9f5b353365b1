"""Digits on patches: a patch by hand, the inversion undone, and corners that reach every side of the photograph."""

import numpy as np

from mmbench.datasets.patches import corners, on_patches


def test_a_digit_inverts_the_patch_under_its_ink_and_nowhere_else() -> None:
    photograph = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    digit = np.array([[0, 255], [128, 129]], np.uint8)
    shown = on_patches(digit[None], photograph, np.array([[1, 2]]))
    red = [[21, 255 - 24], [36, 255 - 39]]  # red of pixel (y, x) is 15 y + 3 x; 128 is paper, 129 is ink
    assert shown.dtype == np.uint8
    assert shown.shape == (1, 3, 2, 2)
    assert shown[0, 0].tolist() == red
    assert shown[0, 2].tolist() == [[23, 255 - 26], [38, 255 - 41]]


def test_inverting_twice_gives_the_patches_themselves() -> None:
    rng = np.random.default_rng(0)
    photograph = rng.integers(256, size=(9, 7, 3)).astype(np.uint8)
    digits = rng.integers(256, size=(20, 3, 3)).astype(np.uint8)
    places = corners(20, photograph, 3, rng=rng)
    shown = on_patches(digits, photograph, places)
    ink = np.broadcast_to((digits > 128)[:, None], shown.shape)
    undone = np.where(ink, 255 - shown, shown)
    expected = [photograph[y : y + 3, x : x + 3].transpose(2, 0, 1) for y, x in places.tolist()]
    assert np.array_equal(undone, np.stack(expected))


def test_patches_lie_in_the_photograph_and_reach_its_sides() -> None:
    places = corners(4000, np.zeros((33, 30, 3), np.uint8), 28, rng=np.random.default_rng(1))
    assert [sorted(set(axis.tolist())) for axis in places.T] == [[0, 1, 2, 3, 4, 5], [0, 1, 2]]
    whole = corners(5, np.zeros((28, 28, 3), np.uint8), 28, rng=np.random.default_rng(1))
    assert not whole.any()
