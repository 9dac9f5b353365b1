"""Attribute coherence: shares by hand, a closed form for a noisy posterior, and an oracle on the sprites themselves."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mmbench.datasets.cdsprites import CdSprites, CdSpritesSettings
from mmbench.datasets.loader import paired_rows
from mmbench.metrics import evaluate
from mmbench.metrics.attribute_coherence import agreement, mean_share
from mmbench.seeding import RowNoise, stream

METRIC = {"attribute_coherence": {"samples": 300}}


def test_readings_agree_where_all_read_the_same_known_value():
    first = np.array([[0, 1], [2, -1], [1, 1]])
    second = np.array([[0, 1], [2, -1], [0, 1]])
    assert agreement([first, second]).tolist() == [[True, True], [True, False], [False, True]]
    assert agreement([first, second, np.array([[0, 0], [2, 2], [0, 1]])]).tolist() == [
        [True, False],
        [True, False],
        [False, True],
    ]


def test_the_mean_share_and_its_error():
    right = np.array([[True, True], [True, False], [False, False], [True, False]])
    shares = [1, 0.5, 0, 0.5]
    assert mean_share(right) == pytest.approx((0.5, np.std(shares, ddof=1) / 2))
    assert mean_share(right[:1]) == (1.0, None)


# Vectors, whose signs are read --------------------------------------------------------------------------------------
class Signs:
    """Reads the signs of the first values; a value that is next to nothing has none."""

    def __init__(self, *names: str, least: float = 1e-3) -> None:
        self.attributes = dict.fromkeys(names, ("minus", "plus"))
        self._least = least

    def read(self, x: np.ndarray) -> np.ndarray:
        x = x[:, : len(self.attributes)]
        return np.where(np.abs(x) < self._least, -1, x > 0).astype(np.int64)


def readers(**held: Signs) -> Callable[[str], Signs | None]:
    return held.get


def scores_of(found, **fields):
    return {
        (s.given, s.target, s.estimator, s.params.get("attribute")): s
        for s in found.scores
        if all(getattr(s, k) == v for k, v in fields.items())
    }


def test_an_identity_generator_has_every_attribute_right(toy, score):
    signs = Signs("x", "y", least=0)
    found = scores_of(score(toy(), METRIC, reader=readers(a=signs, b=signs)))
    cross = [(g, t, e, n) for g, t in ("ab", "ba") for e, n in KINDS]
    joint = [("", "", "joint-features", None), ("", "", "joint-strict", None)]
    assert list(found) == [*cross, *joint]
    assert all(found[key].value == 1 and found[key].stderr == 0 and found[key].n == 300 for key in cross)
    assert all(found[key].details["recognised"] == 1 for key in cross)


KINDS = [("attribute", "x"), ("attribute", "y"), ("features", None), ("strict", None)]


def test_a_generator_of_nothing_has_nothing_right_and_nothing_recognised(toy, score):
    found = scores_of(score(toy(gain=0.0, scale=1e-6), METRIC, reader=readers(b=Signs("x", "y"))))
    for kind in KINDS:
        assert (found[("a", "b", *kind)].value, found[("a", "b", *kind)].details) == (0, {"recognised": 0})


@pytest.mark.statistical
def test_a_noisy_posterior_has_the_share_of_a_normal_distribution(toy, score, data):
    """sign(x + s e) = sign(x) with probability Phi(|x| / s), independently for each value."""
    scale = 0.8
    found = scores_of(score(toy(scale=scale), METRIC, reader=readers(b=Signs("x", "y", least=0))))
    x = np.abs(data.splits["test"].arrays["b"][:, :2].astype(float)) / scale
    p = 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    expected = {("attribute", "x"): p[:, 0], ("attribute", "y"): p[:, 1], ("strict", None): p.prod(1)}
    for kind, chances in expected.items():
        error = math.sqrt((chances * (1 - chances)).sum()) / len(chances)
        assert found[("a", "b", *kind)].value == pytest.approx(chances.mean(), abs=4 * error)
        assert abs(chances.mean() - 1) > 6 * error  # an identity generator would not pass
    parts = [found[("a", "b", "attribute", name)].value for name in "xy"]
    assert found["a", "b", "features", None].value == pytest.approx(np.mean(parts))


def test_only_targets_with_a_reader_are_scored_and_one_alone_has_no_joint(toy, score):
    found = score(toy(), METRIC, reader=readers(b=Signs("x", "y"))).scores
    assert {(s.given, s.target) for s in found if s.status == "ok"} == {("a", "b")}
    (skipped,) = [s for s in found if s.status == "skipped"]
    assert (skipped.estimator, skipped.note) == (
        "joint-strict",
        "no attribute is read from two modalities (read by rule: b).",
    )


def test_without_a_reader_it_is_skipped_with_its_reason(toy, score):
    (only,) = score(toy(), METRIC).scores
    assert (only.status, only.note) == ("skipped", "no modality of this dataset is read by rule.")


def test_joint_is_the_agreement_on_the_same_prior_samples_in_what_both_read(toy, score):
    """b decodes -z in its first value, so that the signs of x disagree and those of y agree."""
    model = toy()
    model.decoders["b"].weight.data[0, 0] = -1
    held = readers(a=Signs("x", "y", least=0.5), b=Signs("x", "y", "z", least=0.5))
    found = scores_of(score(model, METRIC, reader=held))
    noise = RowNoise(stream(0, "evaluation", "attribute_coherence"), range(300), dtype=torch.float64)
    z = model.prior().sample(1, 300, noise)[0, :, :2].numpy()
    known = np.abs(z) >= 0.5
    features, strict = found["", "", "joint-features", None], found["", "", "joint-strict", None]
    assert features.value == pytest.approx(known[:, 1].mean() / 2)
    assert features.details["recognised"] == pytest.approx(known.mean())
    assert (strict.value, strict.n, strict.params) == (0, 300, {"prior": "standard"})
    assert strict.details["recognised"] == pytest.approx(known.all(1).mean())
    signs = (z[known.all(1)] > 0).astype(int)
    both = np.concatenate([signs, np.stack([1 - signs[:, 0], signs[:, 1]], 1)])
    largest = max(np.bincount(2 * both[:, 0] + both[:, 1]))
    assert strict.details["commonest"] == pytest.approx(largest / 600)


def test_neither_classes_nor_the_size_of_a_batch_matter(toy, score):
    held = readers(a=Signs("x"), b=Signs("x", "y"))
    whole, small, blind = (
        score(toy(scale=0.5), METRIC, reader=held, **options).scores
        for options in ({"batch": 300}, {"batch": 7}, {"targets": False})
    )
    assert whole == small == blind


# Sprites ------------------------------------------------------------------------------------------------------------
class Oracle(nn.Module):
    """Reads its input, and shows another row of the training split with the same attributes, or with one changed.

    z holds the values of all attributes; `swap` is an attribute of which it shows the next value instead.
    """

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, dataset: CdSprites, swap: int | None = None) -> None:
        super().__init__()
        self._dataset, self._swap = dataset, swap
        self._train = dataset.split("train")
        self._sizes = [len(values) for values in dataset.reader("image").attributes.values()]
        read = dataset.reader("caption").read(self._train.arrays["caption"])
        self._row_of = {tuple(values): row for row, values in enumerate(read.tolist())}

    def posterior(self, values):
        ((name, x),) = values.items()
        read = torch.from_numpy(self._dataset.reader(name).read(x.numpy()))
        return SimpleNamespace(rsample=lambda k, noise: read.expand(k, *read.shape))

    def prior(self):
        def sample(k, n, noise):
            numbers = np.random.default_rng(0).integers(0, self._sizes, (n, len(self._sizes)))
            return torch.from_numpy(numbers).expand(k, n, -1)

        return SimpleNamespace(name="uniform", sample=sample)

    def likelihood(self, name, z):
        values = z[0].clone()
        if self._swap is not None and name == "image":
            values[:, self._swap] = (values[:, self._swap] + 1) % self._sizes[self._swap]
        shown = self._train.arrays[name][[self._row_of[tuple(v)] for v in values.tolist()]]
        x = torch.from_numpy(shown)
        return SimpleNamespace(mean=(x / 255 if name == "image" else x)[None])


def evaluated(dataset: CdSprites, model: Oracle):
    def rows():
        return paired_rows(dataset.split("test"), dataset.pairing("test", 0), batch_size=256)

    return evaluate(
        model,
        train=rows,
        test=rows,
        modalities=dataset.modalities,
        classes=dataset.classes,
        metrics=METRIC,
        classifiers=None,
        seed=0,
        reader=dataset.reader,
    )


@pytest.fixture(scope="module")
def sprites() -> CdSprites:
    return CdSprites(CdSpritesSettings(level=4))


def test_an_oracle_on_sprites_is_right_in_all(sprites):
    found = evaluated(sprites, Oracle(sprites)).scores
    assert [s.params["attribute"] for s in found if s.estimator == "attribute"] == [
        *("shape", "size", "colour", "position"),
        *("shape", "size", "colour", "position"),
    ]
    assert {s.n for s in found} == {1000, 300}
    assert all(s.value == 1 and s.details["recognised"] == 1 for s in found)
    assert all(s.details["commonest"] < 0.05 for s in found if s.estimator.startswith("joint"))


@pytest.mark.parametrize("swap", range(4))
def test_one_wrong_attribute_of_images_is_that_attribute(sprites, swap):
    found = evaluated(sprites, Oracle(sprites, swap)).scores
    wrong = {(s.given, s.target, s.estimator, s.params.get("attribute")): s.value for s in found if s.value != 1}
    assert wrong == {
        ("caption", "image", "attribute", list(sprites.reader("image").attributes)[swap]): 0,
        ("caption", "image", "features", None): 0.75,
        ("caption", "image", "strict", None): 0,
        ("", "", "joint-features", None): 0.75,
        ("", "", "joint-strict", None): 0,
    }
