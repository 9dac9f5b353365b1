"""What a model claims in its `Facts`, run: the capability table holds nothing that was not tried.

Every preset's model settings are tried, on small networks over three modalities (or as many as the model takes).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from mmbench.errors import CannotBear
from mmbench.metrics.base import Skipped
from mmbench.metrics.likelihood import LogLikelihoods
from mmbench.models.base import DENSITIES, MultimodalVAE
from mmbench.testing.contract import NotApplicable, collector, promise
from mmbench.testing.small_models import (
    ROWS,
    Kind,
    evaluated,
    loss_of,
    make_model,
    observations,
    rows,
    some_modalities,
    step_noise,
    variants,
)
from mmbench.training.stages import enter_stage, trainable

__all__ = ["CHECKS"]

CHECKS, check = collector()

Names = tuple[str, ...]


@check
def partial_test_holds(kind: Kind) -> None:
    """Each modality alone generates every other one, and what it generates depends on it."""
    if not kind.facts.partial_test:
        raise NotApplicable(f"{kind.__name__} does not claim to generate one modality from another.")
    for model in models(kind):
        first, second = rows(model), rows(model, seed=1)
        for source in model.modalities:
            found = [model.posterior({source: x[source]}).rsample(2, step_noise()) for x in (first, second)]
            for target, spec in model.modalities.items():
                means = [model.likelihood(target, z).mean for z in found]
                told = f"{target} generated from {source}"
                promise(means[0].shape == (2, ROWS, *spec.shape), f"{told} has shape {tuple(means[0].shape)}.")
                promise(all(mean.isfinite().all() for mean in means), f"{told} is not finite.")
                promise(not torch.allclose(means[0], means[1]), f"{told} does not depend on {source}.")


@check
def partial_training_holds_or_is_refused(kind: Kind) -> None:
    """True: every proper subset is taken, has a finite loss and moves a parameter in some stage. False: none is taken.

    Complete rows are taken by every model.
    """
    for settings, model in zip(variants(kind), models(kind), strict=True):
        *proper, complete = observations(model)
        among = trainable(model)
        promise(model.cannot_bear(complete) is None, f"rows with all modalities are refused with {settings}.")
        for names in proper:
            reason = model.cannot_bear(names)
            if kind.facts.partial_train_holds:
                promise(reason is None, f"facts claim partial training, but rows with {names} are refused: {reason}")
                promise(learns(model, names, among), f"rows with {names} move no parameter with {settings}.")
            else:
                promise(reason, f"facts claim no partial training, but rows with {names} are taken.")


@check
def the_number_of_modalities_holds(kind: Kind) -> None:
    """Any number: two and four give a finite loss. A largest number: that gives one, and one more is refused."""
    limit = kind.facts.modalities_max
    for settings in variants(kind):
        for count in (2, 4) if limit is None else (limit,):
            losses = losses_with(kind, count, settings)
            promise(losses is not None, f"facts claim that {count} modalities are taken; {settings} refuses them.")
            promise(torch.tensor(losses).isfinite().all(), f"{count} modalities with {settings}: losses {losses}.")
        if limit is not None:
            refused = losses_with(kind, limit + 1, settings) is None
            promise(refused, f"facts claim at most {limit} modalities; {settings} takes {limit + 1}.")


@check
def the_density_holds(kind: Kind) -> None:
    """What `facts.density` names has finite log likelihoods, and what it leaves out is refused with a reason."""
    density = kind.facts.density
    promise(density in DENSITIES, f"facts.density must be one of {', '.join(DENSITIES)}, not {density!r}.")
    for model in models(kind):
        answers = LogLikelihoods(model.eval(), rows(model), k=2, noise=step_noise())
        for target, given in questions(model):
            refused, claimed = refusal(answers, target, given), ANSWERED[density](target, given)
            promise(not (claimed and refused), f"facts.density is {density!r}, but {refused}")
            promise(claimed or refused, f"facts.density is {density!r}, but {target} given {given} is answered.")


@check
def the_stages_hold(kind: Kind) -> None:
    """Unique names, positive shares, prefixes that name parameters; the class has those of its default settings."""
    for settings, model in zip(variants(kind), models(kind), strict=True):
        names = [stage.name for stage in model.stages]
        promise(names and len(set(names)) == len(names), f"stages with {settings} are named {names}.")
        for stage in model.stages:
            promise(stage.share > 0, f"stage {stage.name!r} has the share {stage.share}.")
            for prefix in stage.trains:
                parts = dict(model.named_parameters()), dict(model.named_modules())
                promise(any(prefix in part for part in parts), f"stage {stage.name!r} trains {prefix!r}: no such part.")
    promise(
        make_model(kind).stages == kind.stages,
        f"{kind.__name__}.stages must be those of its default settings: `mmbench list models` shows them.",
    )


def models(kind: Kind) -> Iterator[MultimodalVAE]:
    """A small model of every variant."""
    return (make_model(kind, **settings) for settings in variants(kind))


def learns(model: MultimodalVAE, names: Names, among: frozenset[str]) -> bool:
    """Whether rows that hold only `names` give a finite loss in every stage and a gradient in one or more."""
    values = {name: x for name, x in rows(model).items() if name in names}
    moved = False
    for stage in model.stages:
        trained = enter_stage(model, stage, among)
        loss = evaluated(model, values, step_noise(), stage.name).loss
        promise(loss.isfinite(), f"the loss of rows with {names} is {loss} in stage {stage.name!r}.")
        moved = moved or any(p.grad is not None and bool(p.grad.abs().max() > 0) for p in trained)
    return moved


def losses_with(kind: Kind, count: int, settings: Mapping[str, Any]) -> list[float] | None:
    """Losses of complete rows of `count` modalities in every stage; None where the model refuses that number."""
    try:
        model = make_model(kind, modalities=some_modalities(count), **settings)
    except CannotBear:
        return None
    return [loss_of(model, rows(model), step_noise(), stage.name).item() for stage in model.stages]


def questions(model: MultimodalVAE) -> list[tuple[Names, Names]]:
    """Every (target, given) of disjoint sets, `given` possibly empty."""
    sets = observations(model)
    return [(a, b) for a in sets for b in [(), *sets] if not set(a) & set(b)]


ANSWERED: Mapping[str, Callable[[Names, Names], bool]] = {
    "every subset": lambda target, given: True,
    "single modalities": lambda target, given: len(target) == 1 and not given,
    "conditionals": lambda target, given: bool(given),
    "none": lambda target, given: False,
}
"""`facts.density` -> whether a model that claims it has log p(x_target | x_given)."""


def refusal(answers: LogLikelihoods, target: Names, given: Names) -> str | None:
    """Why a log likelihood is refused; None where it is answered, by finite numbers."""
    asked = f"log p({', '.join(target)}{' | ' if given else ''}{', '.join(given)})"
    try:
        found = answers.of(target, given)
    except (CannotBear, Skipped) as reason:
        promise(str(reason), f"{asked} is refused without a reason.")
        return f"{asked} is refused: {reason}"
    promise(found.value.shape == (ROWS,), f"{asked} has shape {tuple(found.value.shape)}.")
    promise(found.value.isfinite().all(), f"{asked} is {found.value.tolist()}.")
    return None
