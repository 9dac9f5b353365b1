"""Drawn sprites: shapes of area one about their centroids, values and nuisance as described, seeds decide."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mmbench.datasets.sprites_drawing import ATTRIBUTES, INSIDE, LEVELS, PALETTE, TURN, cover, draw, scenes

SHAPES = ATTRIBUTES["shape"]


def one(shape: str, *, width: float = 12.0, angle: float = 0.0, x: float = 16.0, y: float = 16.0) -> np.ndarray:
    index = np.array([SHAPES.index(shape)])
    return cover(index, np.array([width]), np.array([angle]), np.array([[x, y]]), 32)[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_area_one_and_its_centroid_at_the_origin(shape: str) -> None:
    axis = (np.arange(2000) + 0.5) / 1000 - 1
    inside = INSIDE[shape](axis[None, :], axis[:, None])
    assert inside.sum() / 1000**2 == pytest.approx(1, abs=1e-3)
    assert (inside * axis[None, :]).sum() / inside.sum() == pytest.approx(0, abs=1e-3)
    assert (inside * axis[:, None]).sum() / inside.sum() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sprite_covers_its_area_and_moves_with_its_centre(shape: str) -> None:
    drawn = one(shape)
    assert drawn.sum() == pytest.approx(144, rel=0.02)
    assert np.allclose(one(shape, x=18, y=13)[: 32 - 3, 2:], drawn[3:, :-2])
    axis = np.arange(32) + 0.5
    drawn = one(shape, x=14.3, y=19.6)
    assert (drawn.sum(0) @ axis / drawn.sum(), drawn.sum(1) @ axis / drawn.sum()) == pytest.approx(
        (14.3, 19.6),
        abs=0.13,  # half of a sampling step of a quarter pixel
    )


def test_a_square_is_what_a_square_is() -> None:
    expected = np.zeros((32, 32))
    expected[10:22, 10:22] = 1
    assert np.array_equal(one("square"), expected)


def test_quarter_turns_turn_the_picture_clockwise() -> None:
    for shape in SHAPES:
        turned = one(shape, angle=math.pi / 2)
        assert np.abs(turned - np.rot90(one(shape), -1)).mean() < 0.002, shape


def test_an_ellipse_lies_and_a_heart_has_its_notch_above_and_its_tip_below() -> None:
    ellipse, heart = one("ellipse"), one("heart")
    assert np.ptp(np.nonzero(ellipse)[1]) > 1.4 * np.ptp(np.nonzero(ellipse)[0])
    covered = np.flatnonzero(heart.sum(1))
    top, bottom = heart[covered[0]], heart[covered[-1]]
    assert top[15:17].max() < 0.1 * top.max()
    assert np.flatnonzero(bottom).tolist() in ([15, 16], [14, 15, 16, 17])


def test_levels_fix_what_they_do_not_name() -> None:
    for level in range(1, LEVELS + 1):
        found = scenes(300, level=level, seed=1, split="train")
        columns = dict(zip(ATTRIBUTES, found.values.T, strict=True))
        for number, (name, values) in enumerate(ATTRIBUTES.items(), start=1):
            expected = {"size": {1}, "colour": {-1}, "position": {-1}, "background": {0}}
            assert set(columns[name]) == (set(range(len(values))) if number <= level else expected[name]), name
        white = found.ink.min(1) == found.ink.max(1)
        assert white.all() if level < 3 else not white.any()


def test_a_higher_level_shows_the_same_values_of_what_both_name() -> None:
    highest = scenes(50, level=5, seed=1, split="train").values
    for level in range(1, 5):
        assert np.array_equal(scenes(50, level=level, seed=1, split="train").values[:, :level], highest[:, :level])


def test_values_are_equally_frequent_and_independent() -> None:
    values = scenes(6000, level=5, seed=1, split="train").values
    for column, names in zip(values.T, ATTRIBUTES.values(), strict=True):
        p = 1 / len(names)
        assert np.abs(np.bincount(column) / 6000 - p).max() < 4 * math.sqrt(p * (1 - p) / 6000)
    assert np.abs(np.corrcoef(values.T) - np.eye(5)).max() < 0.06


def test_sprites_stay_inside_and_turn_no_further_than_stated() -> None:
    for level in (1, 5):
        found = scenes(1000, level=level, seed=1, split="train")
        assert np.abs(found.angle).max() <= TURN
        shape, width, centre = found.values[:, 0], found.width * 32, found.centre * 32
        shares = cover(shape, width, found.angle, centre, 32)
        assert np.array_equal(shares.sum((1, 2)), cover(shape, width, found.angle, centre + 8, 48).sum((1, 2)))


def test_an_image_depends_on_seed_split_and_index_alone() -> None:
    few, many = (draw(scenes(n, level=3, seed=1, split="train"), 32) for n in (2, 300))
    assert few.shape == (2, 3, 32, 32)
    assert few.dtype == np.uint8
    assert np.array_equal(few, many[:2])
    assert not np.array_equal(few, draw(scenes(2, level=3, seed=2, split="train"), 32))
    assert not np.array_equal(few, draw(scenes(2, level=3, seed=1, split="test"), 32))
    assert len(np.unique(many.reshape(300, -1), axis=0)) == 300


def test_both_sizes_show_the_same_scenes() -> None:
    found = scenes(20, level=5, seed=1, split="train")
    small, large = (draw(found, side).astype(float) for side in (32, 64))
    assert np.abs(large.reshape(20, 3, 32, 2, 32, 2).mean((3, 5)) - small).mean() < 1


def test_a_pixel_is_ink_over_ground_by_the_share_covered() -> None:
    found = scenes(5, level=5, seed=1, split="train")
    black = replace(found, background=np.zeros((5, 3)), ink=np.ones((5, 3)))
    share = draw(black, 32)[:, :1] / 255
    mixed = found.background[:, :, None, None] * (1 - share) + found.ink[:, :, None, None] * share
    assert np.abs(draw(found, 32) / 255 - mixed).max() < 0.01


def test_colours_are_far_apart_from_one_another_and_from_grey() -> None:
    gaps = np.linalg.norm(PALETTE[:, None] - PALETTE[None], axis=2)
    assert gaps[~np.eye(5, dtype=bool)].min() > 0.5
    assert np.ptp(PALETTE, axis=1).min() > 0.5
