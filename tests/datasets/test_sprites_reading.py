"""Reading images of sprites: what they are drawn from, through blur and noise, and nothing where there is nothing."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mmbench.datasets.sprites_drawing import Scenes, draw, scenes
from mmbench.datasets.sprites_reading import read_sprites

SHAPE, SIZE, COLOUR, POSITION, BACKGROUND = range(5)


@pytest.fixture(scope="module")
def described() -> Scenes:
    return scenes(600, level=5, seed=7, split="unseen")


@pytest.fixture(scope="module")
def images(described: Scenes) -> np.ndarray:
    return draw(described, 32) / 255


def right(images: np.ndarray, described: Scenes) -> np.ndarray:
    return np.asarray((read_sprites(images) == described.values).mean(0))


def test_unseen_images_are_read_without_an_error(images: np.ndarray, described: Scenes) -> None:
    assert np.array_equal(read_sprites(images), described.values)
    assert np.array_equal(read_sprites(images.astype(np.float32)), described.values)
    assert read_sprites(images).dtype == np.int64
    assert read_sprites(images[:0]).shape == (0, 5)


def test_a_row_is_read_by_itself(images: np.ndarray) -> None:
    assert np.array_equal(np.concatenate([read_sprites(images[i : i + 1]) for i in range(5)]), read_sprites(images)[:5])


@pytest.mark.parametrize(("blur", "least"), [(0.5, 1.0), (1.0, 1.0), (1.5, 1.0), (2.0, 0.99)])
def test_a_blur_as_of_a_decoder_hardly_matters(
    images: np.ndarray, described: Scenes, blur: float, least: float
) -> None:
    assert right(gaussian_filter(images, (0, 0, blur, blur)), described).min() >= least


@pytest.mark.parametrize(("noise", "least"), [(0.02, 1.0), (0.05, 1.0), (0.1, 0.98)])
def test_noise_hardly_matters(images: np.ndarray, described: Scenes, noise: float, least: float) -> None:
    drawn = np.random.default_rng(0).normal(0, noise, images.shape)
    assert right(np.clip(images + drawn, 0, 1), described).min() >= least


def test_a_heavy_blur_is_more_than_it_can_read(images: np.ndarray, described: Scenes) -> None:
    found = right(gaussian_filter(images, (0, 0, 4, 4)), described)
    assert found[[SHAPE, SIZE, COLOUR]].max() < 0.75
    assert found[[POSITION, BACKGROUND]].min() > 0.99


def test_a_blank_image_shows_its_ground_and_nothing_else() -> None:
    greys = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    blank = np.broadcast_to(greys[:, None, None, None], (5, 3, 32, 32))
    read = read_sprites(blank)
    assert (read[:, :BACKGROUND] == -1).all()
    assert read[:, BACKGROUND].tolist() == [0, 0, -1, 1, 1]


def test_noise_alone_and_many_sprites_at_once_are_no_sprite(images: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    assert (read_sprites(rng.random((50, 3, 32, 32)))[:, :BACKGROUND] == -1).all()
    everywhere = images.mean(0, keepdims=True)  # what a decoder shows that knows nothing
    assert (read_sprites(everywhere) == -1).all()


def test_a_colour_between_two_and_a_place_between_two_are_neither() -> None:
    found = scenes(1, level=5, seed=7, split="unseen")
    described = Scenes(
        values=np.zeros((3, 5), np.int64),
        width=np.full(3, 0.34),
        angle=np.zeros(3),
        centre=np.array([(0.27, 0.27), (0.5, 0.27), (0.27, 0.27)]),
        ink=np.array([(0.9, 0.2, 0.2), (0.9, 0.2, 0.2), (0.45, 0.15, 0.6)]),  # red, red, purple
        background=np.repeat(found.background * 0 + 0.1, 3, axis=0),
    )
    assert read_sprites(draw(described, 32) / 255)[:, [COLOUR, POSITION]].tolist() == [[0, 0], [0, -1], [-1, 0]]


def test_large_images_are_read_by_the_same_rule(described: Scenes) -> None:
    assert np.array_equal(read_sprites(draw(described, 64) / 255), described.values)
