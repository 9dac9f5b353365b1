"""What `mmbench new` writes: the numbers of its components, computed a second time without mmbench."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from mmbench import plugins
from mmbench.datasets import DATASETS, SCHEMES
from mmbench.metrics import METRICS, Context, View
from mmbench.modality import ModalitySpec, Tokens
from mmbench.models import MODELS
from mmbench.seeding import generator
from mmbench.testing import starting
from mmbench.testing.checks import ZeroNoise
from mmbench.testing.small_models import MODALITIES, make_model, rows


@pytest.fixture
def new(outside):
    """Write and load the component of a kind and a name."""

    def made(kind, name="mine"):
        plugins.load(outside.file(f"{name}.py", starting.source(kind, name)))
        return {"model": MODELS, "dataset": DATASETS, "scheme": SCHEMES, "metric": METRICS}[kind][name]

    return made


@pytest.mark.parametrize("names", [("a",), ("b", "c"), ("a", "b", "c")])
@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_the_models_loss_is_minus_the_elbo_of_what_is_observed(new, names, beta):
    model = make_model(new("model"), beta=beta)
    values = {name: rows(model)[name] for name in names}
    with torch.no_grad():
        experts = [model.encoders[name](x) for name, x in values.items()]
        precision = 1 + sum(scale**-2 for _, scale in experts)  # [B, D]
        mean = sum(location / scale**2 for location, scale in experts) / precision
        q = Independent(Normal(mean, precision**-0.5), 1)
        p = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
        expected = beta * kl_divergence(q, p)
        for name, x in values.items():  # no noise: z is the mean
            raw = model.decoders[name](mean).reshape(x.shape)
            decoded = raw.sigmoid() if model.modalities[name].kind == "image" else raw
            expected = expected - Normal(decoded, 0.5).log_prob(x).flatten(1).sum(1)
        found = model.objective(values, noise=ZeroNoise())
    torch.testing.assert_close(found.loss, expected.mean())
    torch.testing.assert_close(found.terms["kl"], kl_divergence(q, p).mean())


@pytest.mark.parametrize("root", [False, True])
def test_the_metrics_value_is_the_mean_squared_error_of_the_decoded_sample(new, root):
    kind = new("metric")
    model = make_model(MODELS["mvae"]).eval()
    values = rows(model, 9)
    metric = kind(kind.Settings(root=root))
    metric.prepare(context(model, MODALITIES))
    parts = [np.arange(4), np.arange(4, 9)]
    errors = []
    with torch.no_grad():
        for part in parts:
            view = View(model, {n: x[part] for n, x in values.items()}, None, part, seed=0)
            metric.update(view)
            decoded = model.likelihood("b", view.sample(("a",))).mean[0].numpy()
            errors += [np.mean((decoded[i] - values["b"][row].numpy()) ** 2) for i, row in enumerate(part)]
    errors = np.sqrt(errors) if root else np.array(errors)
    scores = metric.compute().scores
    score = next(score for score in scores if (score.given, score.target) == ("a", "b"))
    assert len(scores) == 6
    assert score.value == pytest.approx(errors.mean())
    assert score.stderr == pytest.approx(errors.std(ddof=1) / 3)
    assert (score.n, score.estimator) == (9, "root" if root else "squared")


def test_the_metric_leaves_out_tokens(new):
    kind = new("metric")
    text = ModalitySpec("text", "tokens", (3,), Tokens(5))
    metric = kind(kind.Settings())
    metric.prepare(context(None, (*MODALITIES[:2], text)))
    assert set(metric._errors) == {("a", "b"), ("b", "a")}


def context(model, modalities):
    return Context(model, modalities, None, None, None, 0, None, None)


def test_the_scheme_takes_one_modality_from_each_incomplete_row_in_equal_parts(new):
    parts = new("scheme")().assign(101, ("a", "b", "c"), None, 0.5, generator(0, "scheme"))
    counts = {"".join(names): len(found) for names, found in parts}
    assert counts == {"abc": 50, "bc": 17, "ac": 17, "ab": 17}


def test_the_dataset_shows_the_class_of_a_row_in_both_modalities(new):
    kind = new("dataset")
    split = kind(kind.Settings()).split("test")
    pictures, points, classes = split.arrays["picture"], split.arrays["direction"], split.targets["picture"]
    quarters = pictures[:, 0].reshape(-1, 2, 4, 2, 4).mean((2, 4)).reshape(-1, 4)
    assert (quarters.argmax(1) == classes).all()
    angles = np.round(np.arctan2(points[:, 1], points[:, 0]) / (np.pi / 2)).astype(int) % 4
    assert (angles == classes).mean() > 0.98
    assert Counter(classes.tolist()) == dict.fromkeys(range(4), 100)


@pytest.mark.parametrize(
    ("kind", "name", "class_name"),
    [
        ("model", "my-model", "MyModel"),
        ("model", "mean-vae", "MeanVaeModel"),
        ("dataset", "dataset", "DatasetDataset"),
        ("metric", "w2_mean", "W2MeanMetric"),
    ],
)
def test_classes_are_named_after_the_component_and_its_kind(kind, name, class_name):
    assert f"class {class_name}(" in starting.source(kind, name)


@pytest.mark.parametrize("kind", starting.KINDS)
@pytest.mark.parametrize("name", ["none-such", "facts", "objective", "view", "split", "gaussian", "a" * 40])
def test_no_name_spoils_the_file(outside, kind, name):
    """Its class takes the name of nothing that the file imports or defines."""
    text = starting.source(kind, name)
    class_name = next(line for line in text.splitlines() if line.startswith("class ") and "Settings" not in line)
    assert text.count(class_name.split("(")[0] + "(") == 1
    assert all(len(line) <= 120 for line in text.splitlines())
    plugins.load(outside.file("named.py", text.replace(f'register("{name}")', 'register("another")')))
