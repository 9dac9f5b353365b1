"""On CUDA no step makes the host wait for the device: watched on the CPU, and by torch itself where there is CUDA."""

from dataclasses import replace

import pytest
import torch

from mmbench.models import MODELS
from mmbench.models.execution import Execution
from mmbench.seeding import StepNoise
from mmbench.testing.small_models import each_case, make_model, some_modalities, step_noise, trainable_observations
from mmbench.testing.small_models import rows as rows_of
from mmbench.testing.waiting import NoWaiting, WouldWait

NAMES = list(MODELS)
SAMPLED = [
    *(("meme", {"own": own}) for own in ("one", "all", "drawn")),
    *(("mmvae", {"objective": o, "looser": loose}) for o in ("iwae", "dreg") for loose in (True, False)),
    ("mmvaeplus", {"looser": False}),
    ("cmvae", {"objective": "dreg"}),
]


def require_no_waiting(model, values, stage: str) -> None:
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, fused=True)
    with NoWaiting():
        optimiser.zero_grad()
        found = model.objective(values, noise=step_noise(), stage=stage)
        if found.loss.requires_grad:
            found.loss.backward()
        optimiser.step()


@pytest.mark.parametrize("name", NAMES)
def test_no_step_of_any_form_of_a_model_waits(name):
    """Every preset's form, every pattern it learns from, every stage."""
    for model, values, stage in each_case(MODELS[name]):
        model.execution = Execution(static=True)
        require_no_waiting(model, values, stage)


@pytest.mark.parametrize("name", NAMES)
def test_nor_with_two_modalities(name):
    model = make_model(MODELS[name], modalities=some_modalities(2))
    model.execution = Execution(static=True)
    for names in trainable_observations(model):
        for stage in model.stages:
            require_no_waiting(model, {n: x for n, x in rows_of(model).items() if n in names}, stage.name)


@pytest.mark.parametrize("differentiated", [1, 2])
@pytest.mark.parametrize(("name", "settings"), SAMPLED, ids=str)
def test_nor_with_a_fixed_number_of_differentiated_samples(name, settings, differentiated):
    model = make_model(MODELS[name], k=5, **settings)
    model.execution = Execution(differentiated=differentiated, static=True)
    require_no_waiting(model, rows_of(model), "main")


def test_a_number_of_samples_that_follows_from_the_weights_is_found_out():
    model = make_model(MODELS["mmvae"], k=5)
    object.__setattr__(model, "arch", replace(model.arch, scale=0.01))
    with pytest.raises(WouldWait, match="is read"):
        require_no_waiting(model, rows_of(model), "main")


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: x.masked_fill(x > 0, 0.0)[(x > 0).nonzero()],
        lambda x: x + torch.tensor([1.0, 2.0]),
        lambda x: bool((x > 0).any()),
        lambda x: x.index_put((x > 0,), torch.zeros(())),
    ],
)
def test_what_waits_is_known(work):
    with pytest.raises(WouldWait), NoWaiting():
        work(torch.ones(2))


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_torch_sees_no_waiting_on_cuda(name):
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    for model, values, stage in each_case(MODELS[name]):
        model = model.float().cuda()
        model.execution = Execution(static=True)
        values = {key: value.float().cuda() for key, value in values.items()}
        optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], fused=True)
        for step in range(3):
            torch.cuda.set_sync_debug_mode("error" if step else "default")  # the first step sets libraries up
            try:
                optimiser.zero_grad()
                found = model.objective(values, noise=StepNoise(step, device="cuda"), stage=stage)
                if found.loss.requires_grad:
                    found.loss.backward()
                optimiser.step()
            finally:
                torch.cuda.set_sync_debug_mode("default")
