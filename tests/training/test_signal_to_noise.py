"""Signal-to-noise ratios of gradients: closed forms, what is left out, and a training that does not notice them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmbench.modality import Batch, ModalitySpec, Step
from mmbench.models import MODELS, Architecture, Coder, Facts, MultimodalVAE, Objective
from mmbench.models.execution import PLAIN, Execution
from mmbench.models.posteriors import Distribution, Posterior
from mmbench.seeding import Noise, stream
from mmbench.testing.small_models import make_model, rows
from mmbench.training.callbacks import Callback
from mmbench.training.checkpoint import Checkpoints
from mmbench.training.curves import Recorder
from mmbench.training.loop import Trained, fit
from mmbench.training.signal_to_noise import Moments, networks_measured, signal_to_noise

SPEC = ModalitySpec("a", "vector", (2,))
DATA = Step((Batch({"a": torch.zeros(3, 2)}),))


@dataclass(frozen=True)
class KnownSettings:
    mean: tuple[float, ...] = (1.0,)
    std: tuple[float, ...] = (0.5,)


@final
class Known(MultimodalVAE):
    """The gradient of parameter i of the encoder is mean_i + std_i eps_i; the decoder gets none."""

    name: ClassVar[str] = "known"
    Settings: ClassVar[type] = KnownSettings
    facts: ClassVar[Facts] = Facts("Known", (), "-", "-", True, "no", True, "-", None, "none", "-")
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {"common": {}, "source": {}}

    def __init__(self, **settings: Any) -> None:
        coders = {"a": Coder(nn.Linear(2, 2, bias=False), nn.Linear(2, 2))}
        super().__init__((SPEC,), KnownSettings(**settings), Architecture(likelihood="normal", latent_dim=2), coders)
        self.seen: list[Execution] = []

    @property
    def gradient_estimators(self) -> Mapping[str, Any]:
        doubled = tuple(2 * std for std in self.settings.std)
        return {"own": self.settings, "twice the noise": replace(self.settings, std=doubled)}

    def prior(self) -> Distribution:
        raise AssertionError("gradients of an objective ask for no prior")

    def posterior(self, values: Mapping[str, Tensor]) -> Posterior:
        raise AssertionError("gradients of an objective ask for no posterior")

    def objective(
        self, values: Mapping[str, Tensor], *, noise: Noise, progress: float = 1.0, stage: str = "main"
    ) -> Objective:
        self.seen.append(self.execution)
        weight = next(self.encoders["a"].parameters()).flatten()
        mean, std = (torch.tensor(x).expand(4) for x in (self.settings.mean, self.settings.std))
        return Objective((weight * (mean + std * noise.normal("eps", (1, 4))[0])).sum())


@pytest.mark.statistical
@pytest.mark.parametrize("mean, std", [(1.0, 0.5), (-3.0, 1.5), (0.1, 1.0), (2.0, 0.2)])
def test_of_a_gradient_with_a_known_mean_and_deviation(mean: float, std: float) -> None:
    draws = 2000
    found = signal_to_noise(Known(mean=(mean,), std=(std,)), DATA, draws=draws, key=1)
    assert set(found) == {"own/encoder/a", "twice the noise/encoder/a"}
    for value, wanted in zip(found.values(), (abs(mean) / std, abs(mean) / std / 2), strict=True):
        spread = math.sqrt((1 + wanted**2 / 2) / draws / 4)  # of the mean of four such ratios
        assert value == pytest.approx(wanted, abs=4 * spread)


@pytest.mark.statistical
def test_of_pure_noise_is_the_floor_that_the_text_names() -> None:
    values = [signal_to_noise(Known(mean=(0.0,)), DATA, draws=100, key=key)["own/encoder/a"] for key in range(60)]
    floor = math.sqrt(2 / (math.pi * 100))
    assert np.mean(values) == pytest.approx(floor, rel=0.2)  # 240 ratios whose deviation is 0.76 of their mean


def test_a_parameter_whose_gradient_does_not_vary_is_left_out() -> None:
    wanted = signal_to_noise(Known(std=(0.5, 0.5, 0.5, 0.5)), DATA, draws=50, key=3)["own/encoder/a"]
    some = Known(mean=(1.0, 1.0, 0.3, 0.0), std=(0.5, 0.5, 0.0, 0.0))
    ratios = [signal_to_noise(some, DATA, draws=50, key=3)["own/encoder/a"]]
    ratios += [signal_to_noise(Known(std=std), DATA, draws=50, key=3)["own/encoder/a"] for std in _alone(0, 1)]
    assert ratios[0] == pytest.approx((ratios[1] + ratios[2]) / 2, rel=1e-6)
    assert ratios[0] != wanted
    for mean in (0.3, 0.0):
        assert signal_to_noise(Known(mean=(mean,), std=(0.0,)), DATA, draws=50, key=3) == {}


def _alone(*places: int) -> list[tuple[float, ...]]:
    return [tuple(0.5 if i == place else 0.0 for i in range(4)) for place in places]


def test_a_gradient_that_is_not_finite_gives_no_value_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert signal_to_noise(Known(mean=(1.0, 1.0, 1.0, math.inf)), DATA, draws=3, key=0) == {}
    assert "own/encoder/a is not finite" in caplog.text


def test_the_plain_path_is_taken_and_everything_put_back() -> None:
    model = Known()
    model.execution = execution = Execution(differentiated=2)
    settings = model.settings
    signal_to_noise(model, DATA, draws=2, key=0)
    assert model.seen == [PLAIN] * 4
    assert model.execution is execution
    assert model.settings is settings
    assert all(parameter.grad is None for parameter in model.parameters())


def test_moments_are_those_of_all_values_at_once() -> None:
    random = np.random.default_rng(0)
    values = random.normal(loc=3.0, size=(20, 2, 3))
    moments = Moments([torch.zeros(2, 3, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)])
    for i, value in enumerate(values):
        moments.add([torch.from_numpy(value), None if i % 2 else torch.ones(1, dtype=torch.float64)])
    first, second = moments.ratios()
    np.testing.assert_allclose(first, (values.mean(0) / values.std(0, ddof=1)).flatten(), rtol=1e-12)
    halves = np.arange(20) % 2
    np.testing.assert_allclose(second, [halves.mean() / halves.std(ddof=1)], rtol=1e-12)


def test_frozen_networks_are_not_measured(trainee: ModuleType) -> None:
    model = trainee.model()
    assert set(networks_measured(model)) == {"encoder/a", "encoder/b", "decoder/a", "decoder/b"}
    model.encoders.requires_grad_(False)
    assert set(networks_measured(model)) == {"decoder/a", "decoder/b"}
    model.requires_grad_(False)
    data = next(trainee.loader().epoch(0))
    assert signal_to_noise(model, data, draws=2, key=0) == {}


# Along a training -----------------------------------------------------------------------------------------------------
def train(
    trainee: ModuleType, folder: Path | None, *callbacks: Callback, every: int | None = 20, **given: Any
) -> tuple[Any, Trained]:
    settings = replace(trainee.SETTINGS, log_snr_every=every, log_snr_draws=5, **given)
    checkpoints = None if folder is None else Checkpoints(folder, trainee.OWNER)
    model = trainee.model()
    trained = fit(
        model, trainee.loader(), settings, seed=0, checkpoints=checkpoints, checkpoint_seconds=0.0, callbacks=callbacks
    )
    return model, trained


def curves_of(trained: Trained, prefix: str) -> dict[str, tuple[list[int], list[float]]]:
    return {c.name: (c.steps.tolist(), c.values.tolist()) for c in trained.curves if c.name.startswith(prefix)}


class Generators(Callback):
    """The state of torch's generator after each step."""

    def __init__(self) -> None:
        self.states: list[bytes] = []

    def stepped(self, step: int, rows: int) -> None:
        self.states.append(torch.get_rng_state().numpy().tobytes())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_training_ends_with_the_same_bits_whether_it_is_watched_or_not(trainee: ModuleType, precision: str) -> None:
    unseen, seen = Generators(), Generators()
    plain, without = train(trainee, None, unseen, every=None, precision=precision)
    watched, measured = train(trainee, None, seen, every=7, precision=precision)
    for (name, a), (_, b) in zip(plain.state_dict().items(), watched.state_dict().items(), strict=True):
        assert torch.equal(a, b), name  # running statistics of batch normalisation among them
    assert curves_of(without, "train/") == curves_of(measured, "train/")
    assert unseen.states == seen.states
    assert curves_of(without, "snr/") == {}
    names = {f"snr/own/{kind}/{name}" for kind in ("encoder", "decoder") for name in "ab"}
    found = curves_of(measured, "snr/")
    assert set(found) == names
    for steps, values in found.values():
        assert steps == [7, 14, 21, 28, 35, 42, 45]
        assert all(0 < value < 100 for value in values)


def test_the_first_mini_batch_and_a_noise_of_its_own_are_used(trainee: ModuleType) -> None:
    model, trained = train(trainee, None, every=45)
    model.train()
    again = signal_to_noise(model, next(trainee.loader().epoch(0)), draws=5, key=stream(0, "snr", 45), progress=1.0)
    assert {f"snr/{name}": ([45], [value]) for name, value in again.items()} == curves_of(trained, "snr/")


class Raise(Callback):
    """Raises after a step, before its ratios are recorded and the step is saved."""

    def __init__(self, step: int) -> None:
        self._step = step

    def stepped(self, step: int, rows: int) -> None:
        if step == self._step:
            raise RuntimeError("a power cut")


@pytest.mark.parametrize("step", [20, 21, 45])
def test_ratios_travel_in_checkpoints(trainee: ModuleType, tmp_path: Path, step: int) -> None:
    with pytest.raises(RuntimeError, match="a power cut"):
        train(trainee, tmp_path, Raise(step))
    resumed, whole = train(trainee, tmp_path), train(trainee, None)
    assert curves_of(resumed[1], "snr/") == curves_of(whole[1], "snr/") != {}
    for (name, a), (_, b) in zip(resumed[0].state_dict().items(), whole[0].state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_names_with_slashes_survive_the_state_of_a_recorder() -> None:
    recorder, other = Recorder(1), Recorder(1)
    recorder.signal_to_noise(10, {"stop-gradient/encoder/a": 0.5})
    recorder.signal_to_noise(20, {"stop-gradient/encoder/a": 0.25})
    assert recorder.last_test() == 0
    other.load_state_dict(recorder.state_dict())
    (curve,) = other.curves()
    assert (curve.name, curve.steps.tolist(), curve.values.tolist()) == (
        "snr/stop-gradient/encoder/a",
        [10, 20],
        [0.5, 0.25],
    )


# MEME: Figure 10 ------------------------------------------------------------------------------------------------------
def meme(**settings: Any) -> tuple[MultimodalVAE, Step]:
    kind = MODELS["meme"]
    specs = (ModalitySpec("s", "vector", (6,)), ModalitySpec("t", "vector", (5,)))
    model = make_model(kind, modalities=specs, direction="s->t", pseudo_inputs=3, **settings)
    return model, Step((Batch(rows(model)),))


def test_meme_names_the_estimators_of_the_figure() -> None:
    for own in ("one", "all"):
        model, _ = meme(own=own)
        found = model.gradient_estimators
        assert found == {
            "stop-gradient": replace(model.settings, detach_weight=True),
            "full": replace(model.settings, detach_weight=False),
        }
    model, _ = meme(own="drawn")
    assert model.gradient_estimators == {
        "drawn": model.settings,
        "stop-gradient": replace(model.settings, own="one"),
        "full": replace(model.settings, own="one", detach_weight=False),
    }


def test_without_more_samples_the_weight_of_meme_is_one_and_both_estimators_are_the_same() -> None:
    model, data = meme(own="one", k=0, c=10.0)
    found = signal_to_noise(model, data, draws=10, key=0)
    for network in ("encoder/s", "encoder/t", "decoder/s", "decoder/t"):
        assert found[f"full/{network}"] == pytest.approx(found[f"stop-gradient/{network}"], rel=1e-9)
    model, data = meme(own="one", k=5, c=10.0)
    found = signal_to_noise(model, data, draws=10, key=0)
    assert found["full/encoder/s"] != pytest.approx(found["stop-gradient/encoder/s"], rel=1e-4)


def test_the_decoder_of_t_has_no_gradient_where_the_two_terms_of_meme_cancel() -> None:
    model, data = meme(own="one", k=0, c=1.0)  # then d_t's gradient is zero, up to rounding: no parameter has a ratio
    found = signal_to_noise(model, data, draws=10, key=0)
    assert "stop-gradient/encoder/s" in found
    assert "stop-gradient/decoder/t" not in found
