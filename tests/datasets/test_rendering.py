"""Drawn street numbers: every font has every digit, the digit stands whole in the middle, and seeds decide."""

from dataclasses import replace

import numpy as np
import pytest

from mmbench.datasets.rendering import FONTS, PALETTES, Plate, draw, ink, plate
from mmbench.seeding import generator

PLAIN = Plate(
    text=" 8 ",
    font=0,
    height=0.7,
    centre=(0.5, 0.5),
    angle=0.0,
    blur=0.0,
    noise=0.0,
    background=(0.0, 0.0, 0.0),
    ink=(255.0, 255.0, 255.0),
    light=(0.0, 0.0),
)


@pytest.mark.parametrize("font", range(len(FONTS)))
def test_each_font_draws_ten_different_digits_centred_and_inside(font: int) -> None:
    glyphs = [ink(replace(PLAIN, font=font, text=f" {digit} "), 32) for digit in range(10)]
    for glyph in glyphs:
        rows, columns = np.nonzero(glyph > 0.1)
        assert abs((rows.min() + rows.max()) / 2 - 15.5) <= 1
        assert abs((columns.min() + columns.max()) / 2 - 15.5) <= 2  # a slanted glyph's box includes its advance
        assert glyph[[0, -1]].max() == glyph[:, [0, -1]].max() == 0
        assert 0.5 * 32 < np.ptp(rows) < 0.85 * 32
    flat = np.array(glyphs).reshape(10, -1)
    distances = np.abs(flat[:, None] - flat[None]).sum(-1)
    assert distances[~np.eye(10, dtype=bool)].min() > 15


def test_neighbours_add_ink_at_their_side_and_leave_the_digit() -> None:
    alone, left, right = (ink(replace(PLAIN, text=text), 32) for text in (" 1 ", "11 ", " 11"))
    assert alone[:, :6].sum() == right[:, :6].sum() == 0 < left[:, :6].sum()
    assert alone[:, -6:].sum() == left[:, -6:].sum() == 0 < right[:, -6:].sum()
    assert np.array_equal(alone[:, 12:20], left[:, 12:20])


def test_the_centre_rotation_and_blur_act_as_described() -> None:
    plain = ink(PLAIN, 32)
    moved = ink(replace(PLAIN, centre=(0.5 + 1 / 8, 0.5)), 32)
    assert np.allclose(moved[:, 8:], plain[:, 4:-4], atol=1e-9)
    turned = ink(replace(PLAIN, text=" 1 ", angle=90.0), 32)
    assert np.ptp(np.nonzero(turned)[1]) > np.ptp(np.nonzero(turned)[0])
    blurred = ink(replace(PLAIN, blur=0.05), 32)
    assert blurred.sum() == pytest.approx(plain.sum(), rel=0.05)
    assert blurred.max() < plain.max()


def test_half_of_the_plates_have_neighbours_and_all_palettes_fonts_and_sides_occur() -> None:
    rng = np.random.default_rng(0)
    plates = [plate(i % 10, rng) for i in range(2000)]
    neighbours = sum(p.text.strip() != p.text[1] for p in plates)
    assert abs(neighbours - 1000) < 4 * np.sqrt(2000 / 4)
    assert {p.font for p in plates} == set(range(len(FONTS)))
    assert {(p.text[0] == " ", p.text[2] == " ") for p in plates} == {
        (a, b) for a in (True, False) for b in (True, False)
    }
    assert all(p.text[1] == str(i % 10) for i, p in enumerate(plates))
    nearest = {
        min(range(len(PALETTES)), key=lambda k: np.abs(np.subtract(PALETTES[k][0], p.background)).sum()) for p in plates
    }
    assert nearest == set(range(len(PALETTES)))


def test_no_direction_in_colour_space_marks_the_ink_of_all_palettes() -> None:
    contrasts = np.array([np.subtract(ink_, background) for background, ink_ in PALETTES])
    directions = np.random.default_rng(0).normal(size=(20000, 3))
    signs = np.sign(directions @ contrasts.T)
    assert not (np.abs(signs.sum(1)) == len(PALETTES)).any()


def test_an_image_depends_on_seed_split_and_index_alone() -> None:
    few, many = draw([3, 1], 16, seed=1, split="train"), draw([3, 1, 4], 16, seed=1, split="train")
    assert few.shape == (2, 3, 16, 16)
    assert few.dtype == np.uint8
    assert np.array_equal(few, many[:2])
    assert not np.array_equal(few, draw([3, 1], 16, seed=2, split="train"))
    assert not np.array_equal(few, draw([3, 1], 16, seed=1, split="test"))


def test_both_sizes_show_the_same_scenes() -> None:
    digits = [i % 10 for i in range(20)]
    small, large = (draw(digits, side, seed=1, split="train").astype(float) for side in (16, 32))
    halved = large.reshape(20, 3, 16, 2, 16, 2).mean((3, 5))
    for i in range(20):
        correlations = [np.corrcoef(halved[i].ravel(), small[j].ravel())[0, 1] for j in range(20)]
        assert int(np.argmax(correlations)) == i
        assert correlations[i] > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_the_drawing_has_the_colours_of_its_plate(seed: int) -> None:
    image = draw([8], 32, seed=seed, split="train")[0].astype(float)
    scene = plate(8, generator(seed, "street", "train", 0))
    # a pixel is background + share * (ink - background), up to noise and light that average out: a straight line
    design = np.stack([np.ones(32 * 32), ink(scene, 32).ravel()], axis=1)
    background, contrast = np.linalg.lstsq(design, image.reshape(3, -1).T, rcond=None)[0]
    assert np.abs(background - np.clip(scene.background, 0, 255)).max() < 10
    assert np.abs(background + contrast - np.clip(scene.ink, 0, 255)).max() < 10
