"""JMVAE, variant kl."""

from typing import Any

import pytest
from torch import Tensor

from mmbench.models import MultimodalVAE
from mmbench.models.jmvae import JMVAE
from tests.parity.comparison import Undo, agree, differ
from tests.parity.differences import EPOCHS, PADDING, Difference
from tests.parity.noise import Tape
from tests.parity.shells import inputs_of, joint_shell, ours, peer
from tests.parity.worlds import BINARY, THREE, TWO, World

pytestmark = pytest.mark.parity

ALPHA, BETA = 0.4, 1.7


def loss(
    model: MultimodalVAE, values: dict[str, Tensor], tape: Tape, undo: Undo, *, epoch: int = 1, **more: Any
) -> Any:
    """multivae's loss."""
    assert isinstance(model, JMVAE)
    joint = {"joint_encoder": joint_shell(model.joint, model.arch.latent_dim)}
    other = peer("JMVAE", model, networks=joint, **{"alpha": ALPHA, "beta": BETA, "warmup": 0, **more})
    with tape.played("joint encoder/z"):
        found: Tensor = other(inputs_of(model, values, undo), epoch=epoch).loss
    return found


@pytest.mark.parametrize("world, known", [(TWO, ()), (THREE, (PADDING,)), (BINARY, ())])
def test_complete_rows(world: World, known: tuple[Difference, ...]) -> None:
    model, values = ours("jmvae", world, alpha=ALPHA, beta=BETA), world.data()

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        return model.objective(values, noise=tape).loss, loss(model, values, tape, undo)

    agree(model, run, *known)


@pytest.mark.parametrize("epoch", [1, 3])
def test_warm_up(epoch: int) -> None:
    model, values = ours("jmvae", TWO, alpha=ALPHA, beta=BETA, anneal=1.0), TWO.data()

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        mine = model.objective(values, noise=tape, progress=epoch / 10 if undo(EPOCHS) else 1.0).loss
        return mine, loss(model, values, tape, undo, epoch=epoch, warmup=10)

    agree(model, run, EPOCHS)


@pytest.mark.parametrize("change", [{"alpha": ALPHA * (1 + 1e-6)}, {"beta": BETA * (1 + 1e-6)}])
def test_another_weight_is_seen(change: dict[str, float]) -> None:
    model, values = ours("jmvae", TWO, alpha=ALPHA, beta=BETA), TWO.data()

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        tape = Tape(1)
        return model.objective(values, noise=tape).loss, loss(model, values, tape, undo, **change)

    differ(model, run)
