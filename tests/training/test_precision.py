"""Networks in bfloat16, everything else in float32."""

import pytest
import torch
from torch import nn

from mmbench.errors import InvalidSetting
from mmbench.models import MODELS
from mmbench.models.likelihoods import NormalLikelihood
from mmbench.seeding import StepNoise
from mmbench.testing.small_models import each_case, make_model, rows
from mmbench.training import precision
from mmbench.training.loop import fit
from mmbench.training.precision import networks_in
from mmbench.training.settings import TrainSettings


def in_float32(name: str):
    model = make_model(MODELS[name]).float()
    return model, {n: x.float() for n, x in rows(model).items()}


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_takes_steps_in_bfloat16(name):
    for model, values, stage in each_case(MODELS[name]):
        model.float()
        found = []
        for name_of_precision in ("float32", "bf16"):
            with networks_in(model, name_of_precision):
                given = {n: x.float() for n, x in values.items()}
                objective = model.objective(given, noise=StepNoise(1, dtype=torch.float32), stage=stage)
            assert objective.loss.dtype == torch.float32
            assert all(term.dtype == torch.float32 for term in objective.terms.values())
            if objective.loss.requires_grad:
                objective.loss.backward()
            found.append(objective.loss.detach())
        assert found[1] == pytest.approx(float(found[0]), rel=0.03, abs=0.05)
        assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())


def test_networks_compute_in_bfloat16_and_likelihoods_see_float32(monkeypatch):
    model, values = in_float32("meme")
    inside, outside = [], []
    model.decoders["a"][0].register_forward_hook(lambda _m, _i, output: inside.append(output.dtype))
    log_prob = NormalLikelihood.log_prob

    def spied(self, x):
        found = log_prob(self, x)
        outside.extend([self.location.dtype, x.dtype, found.dtype])
        return found

    monkeypatch.setattr(NormalLikelihood, "log_prob", spied)
    with networks_in(model, "bf16"):
        model.objective(values, noise=StepNoise(0, dtype=torch.float32))
    assert set(inside) == {torch.bfloat16}
    assert set(outside) == {torch.float32}


@pytest.mark.parametrize("kind", ["float32", "tf32", "bf16"])
def test_the_model_is_left_as_it_was(kind):
    model, values = in_float32("mvae")
    keys, before = list(model.state_dict()), model.objective(values, noise=StepNoise(0)).loss
    with pytest.raises(RuntimeError, match="stop"), networks_in(model, kind):
        raise RuntimeError("stop")
    assert list(model.state_dict()) == keys
    assert torch.equal(model.objective(values, noise=StepNoise(0)).loss, before)


def test_a_network_that_returns_something_else_is_refused():
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> object:
            return object()

    model, values = in_float32("mvae")
    model.decoders["a"] = Odd()
    with pytest.raises(InvalidSetting, match="bf16"), networks_in(model, "bf16"):
        model.objective(values, noise=StepNoise(0, dtype=torch.float32))


def test_training_in_bfloat16_differs_and_ends_the_same_each_time(trainee):
    ends = []
    for name in ("float32", "bf16", "bf16"):
        model = trainee.model()
        fit(model, trainee.loader(), TrainSettings(batch_size=10, steps=12, precision=name), seed=0)
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        assert model.execution.tolerance == 1e-5
    assert not torch.equal(ends[0], ends[1])
    assert torch.equal(ends[1], ends[2])
    assert torch.allclose(ends[0], ends[1], atol=0.05)


@pytest.mark.parametrize("allowed", [True, False])
def test_products_are_as_asked_for_and_as_before_afterwards(allowed):
    """The older flags stay readable within: `torch.backends.cudnn.flags` reads them."""

    def flags() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before = flags()
    with precision._tf32(allowed):
        assert flags() == (allowed, allowed)
        with torch.backends.cudnn.flags(enabled=False):
            pass
    assert flags() == before
    with pytest.raises(RuntimeError, match="stop"), precision._tf32(allowed):
        raise RuntimeError("stop")
    assert flags() == before


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="this torch has the older flags alone")
def test_a_process_that_uses_the_newer_flags_keeps_them():
    convolutions = torch.backends.cudnn.conv
    convolutions.fp32_precision = "ieee"
    try:
        with precision._tf32(True):
            assert convolutions.fp32_precision == "tf32"
        assert convolutions.fp32_precision == "ieee"
    finally:
        torch.backends.cudnn.allow_tf32 = True


@pytest.mark.parametrize("name", ["float32", "tf32", "bf16"])
def test_on_a_cpu_the_flags_stay_as_they_are(name):
    before = torch.backends.cudnn.allow_tf32
    with precision.float32_products(name, torch.device("cpu")):
        assert torch.backends.cudnn.allow_tf32 == before
