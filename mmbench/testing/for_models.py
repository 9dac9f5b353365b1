"""What every model promises, checked on small networks over three small modalities (or as many as it takes).

What a model claims of itself, in its `Facts`, is checked by `claims`; its checks stand in the same list.
"""

import dataclasses
import io
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor

from mmbench.config import parse_settings
from mmbench.errors import CannotBear
from mmbench.models.architecture import Architecture
from mmbench.models.base import MultimodalVAE
from mmbench.models.posteriors import Diagonal, Gaussian, Normalised, Posterior
from mmbench.seeding import RowNoise, StepNoise
from mmbench.testing import claims
from mmbench.testing.contract import NotApplicable, collector, promise
from mmbench.testing.small_models import (
    MODALITIES,
    ROWS,
    TEXT,
    Kind,
    cases_of,
    each_case,
    evaluated,
    loss_of,
    make_model,
    observations,
    rows,
    step_noise,
    variants,
)
from mmbench.training.stages import enter_stage, trainable

__all__ = ["CHECKS", "make_model", "observations", "rows", "variants"]

CHECKS, check = collector()
CHECKS.extend(claims.CHECKS)


# What it says of itself -----------------------------------------------------------------------------------------------
@check
def facts_and_presets_are_complete(kind: Kind) -> None:
    """Facts have no empty answer and a dated reference; `source` and `common` exist; every preset's settings parse."""
    for field in dataclasses.fields(kind.facts):
        value = getattr(kind.facts, field.name)
        promise(value not in ("", ()), f"{kind.__name__}.facts.{field.name} is empty.")
    first = kind.facts.references[0]
    dated = re.search(r", .*\b(19|20)\d\d(?!\.?\d)", first)
    promise(dated, f"the first reference, {first!r}, should read: authors, title, venue and year.")
    promise({"source", "common"} <= set(kind.presets), f"{kind.__name__}.presets needs source and common.")
    for preset in kind.presets.values():
        parse_settings(kind.Settings, preset.get("model", {}), "model")
        parse_settings(Architecture, preset.get("arch", {}), "arch")
    promise(kind.__doc__, f"{kind.__name__} needs a docstring.")


@check
def every_setting_has_a_help_text(kind: Kind) -> None:
    """Settings are a frozen dataclass whose fields say what they are."""
    promise(kind.Settings.__dataclass_params__.frozen, "Settings must be frozen.")  # type: ignore[attr-defined]  # not in typeshed
    for field in dataclasses.fields(kind.Settings):
        promise(field.metadata.get("help"), f"setting {field.name} of {kind.__name__} needs a help text.")


# What it computes -----------------------------------------------------------------------------------------------------
@check
def an_objective_that_follows_progress_says_so(kind: Kind) -> None:
    """Where `follows_progress` is false, a step may be recorded once and replayed: the loss is the same at any time."""
    for model, values, stage in each_case(kind):
        if not model.follows_progress:
            early, late = (
                model.objective(values, noise=step_noise(), progress=progress, stage=stage).loss
                for progress in (0.1, 0.7)
            )
            promise(
                torch.equal(early, late), "the loss depends on progress; the property follows_progress must say so."
            )


@check
def the_objective_is_a_finite_scalar_with_detached_terms(kind: Kind) -> None:
    """For every observation pattern that it can learn from."""
    for model, values, stage in each_case(kind):
        found = evaluated(model, values, step_noise(), stage)
        promise(found.loss.shape == () and found.loss.isfinite(), f"loss on {sorted(values)} is {found.loss}.")
        promise(found.loss.dtype == torch.float64, f"a model in float64 gave a loss in {found.loss.dtype}.")
        for name, term in found.terms.items():
            promise(term.shape == () and term.isfinite(), f"term {name} on {sorted(values)} is {term}.")
            promise(not term.requires_grad, f"term {name} carries a graph; detach it.")


@check
def gradients_reach_what_a_stage_trains_and_nothing_else(kind: Kind) -> None:
    """Over all patterns together every parameter of a stage gets a gradient; none is NaN; the others get none."""
    for settings in variants(kind):
        _gradients_reach_every_stage(cases_of(kind, settings), f"with {settings}")


@check
def tokens_are_learned_from_and_generated(kind: Kind) -> None:
    """An image with a text: finite losses, gradients to every parameter, and tokens of the vocabulary generated."""
    pair = (MODALITIES[0], TEXT)[-(kind.facts.modalities_max or 2) :]
    common, *_ = variants(kind)
    _gradients_reach_every_stage(cases_of(kind, common, modalities=pair), "on an image with a text")
    model = make_model(kind, modalities=pair, **common)
    z = model.prior().sample(2, ROWS, step_noise())
    text = model.likelihood(TEXT.name, z).mean
    promise(text.shape == (2, ROWS, *TEXT.shape), f"generated tokens have shape {tuple(text.shape)}.")
    promise(not text.is_floating_point() and text.min() >= 0 and text.max() < 5, "generated tokens are no tokens.")


def _gradients_reach_every_stage(cases: Iterable[tuple[MultimodalVAE, dict[str, Tensor], str]], where: str) -> None:
    reached: dict[str, set[str]] = {}
    wanted: dict[str, set[str]] = {}
    for model, values, stage in cases:
        wanted[stage] = {name for name, p in model.named_parameters() if p.requires_grad}
        found = evaluated(model, values, step_noise(), stage)
        promise(found.loss.isfinite(), f"the loss on {sorted(values)} is {found.loss} {where}.")
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        finite = all(g.isfinite().all() for g in gradients.values())
        promise(finite, f"a gradient on {sorted(values)} is not finite {where}.")
        some = {name for name, gradient in gradients.items() if gradient.abs().max() > 0}
        reached[stage] = reached.get(stage, set()) | some
    for stage, names in wanted.items():
        missed, too_many = sorted(names - reached[stage]), sorted(reached[stage] - names)
        promise(not missed, f"no gradient reaches {missed} in stage {stage!r} {where}.")
        promise(not too_many, f"stage {stage!r} {where} moves {too_many}, which it does not train.")


@check
def every_row_counts_alike_and_none_influences_another(kind: Kind) -> None:
    """The loss of a batch is the mean of the losses of its rows, each with its own noise; a batch of one works."""
    if kind.couples_rows:
        raise NotApplicable(f"rows influence one another: {kind.couples_rows}")
    for model, values, stage in each_case(kind):
        whole = loss_of(model, values, RowNoise(5, range(ROWS), dtype=torch.float64), stage)
        parts = [
            loss_of(model, {n: v[i : i + 1] for n, v in values.items()}, RowNoise(5, [i], dtype=torch.float64), stage)
            for i in range(ROWS)
        ]
        promise(
            torch.allclose(whole, torch.stack(parts).mean(), rtol=1e-9, atol=1e-9),
            f"the loss on {sorted(values)} is {whole:.6f}, the mean over its rows {torch.stack(parts).mean():.6f}.",
        )


@check
def the_same_noise_gives_the_same_bits_and_other_noise_others(kind: Kind) -> None:
    """Loss and gradients are a function of weights, values and noise alone."""
    for model, values, stage in each_case(kind):
        found = []
        for i, key in enumerate((0, 0, 1)):
            torch.default_generator.manual_seed(i)  # a draw past the noise shows in the second
            loss = evaluated(model, values, step_noise(key), stage).loss
            grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
            found.append([loss.detach(), *grads])
        promise(
            all(torch.equal(a, b) for a, b in zip(found[0], found[1], strict=True)), "the same noise gave other bits."
        )
        learns = loss.requires_grad  # a stage may have nothing to learn from a pattern
        promise(not (learns and torch.equal(found[0][0], found[2][0])), "other noise gave the same loss.")


@check
def the_order_of_modalities_does_not_matter(kind: Kind) -> None:
    """The same weights and noise with the modalities declared in the other order give the same loss."""
    for settings in variants(kind):
        for model, values, stage in cases_of(kind, settings):
            turned = make_model(kind, reverse=True, **settings)
            turned.load_state_dict(model.state_dict())
            losses = [loss_of(m, values, step_noise(), stage) for m in (model, turned)]
            promise(
                torch.allclose(losses[0], losses[1], rtol=1e-9, atol=1e-9),
                f"the loss on {sorted(values)} changes from {losses[0]:.6f} to {losses[1]:.6f} with the order.",
            )


@check
def one_sample_is_enough(kind: Kind) -> None:
    """K = 1, where the model has such a setting."""
    if "k" not in {field.name for field in dataclasses.fields(kind.Settings)}:
        raise NotApplicable(f"{kind.__name__} has no setting k.")
    model = make_model(kind, k=1)
    for stage in model.stages:
        loss = loss_of(model, rows(model), step_noise(), stage.name)
        promise(loss.isfinite(), f"K = 1 gives the loss {loss} in stage {stage.name!r}.")


@check
def weights_survive_a_file(kind: Kind) -> None:
    """Saved and loaded with `weights_only=True`, the loss is the same to the bit."""
    model, buffer = make_model(kind), io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    other = make_model(kind, seed=7)
    values, stage = rows(model), model.stages[0].name
    first = loss_of(model, values, step_noise(), stage)
    promise(
        not torch.equal(first, loss_of(other, values, step_noise(), stage)),
        "another seed gave the same weights.",
    )
    other.load_state_dict(torch.load(buffer, weights_only=True))
    promise(torch.equal(first, loss_of(other, values, step_noise(), stage)), "loaded weights give another loss.")


@check
def fifty_steps_at_a_tenfold_learning_rate_stay_finite(kind: Kind) -> None:
    """Adam at 1e-2 on one batch in float32, stage after stage: losses and weights stay finite.

    With the settings of `common` the loss goes down too; the forms of other presets take twenty steps.
    """
    common, *others = variants(kind)
    for settings in (common, *others):
        model = make_model(kind, **settings).float()
        values, among = {name: x.float() for name, x in rows(model, 8).items()}, trainable(model)
        for stage in model.stages:
            optimiser, losses = torch.optim.Adam(enter_stage(model, stage, among), 1e-2, fused=True), []
            for step in range(50 if settings == common else 20):
                loss = evaluated(model, values, StepNoise(step, dtype=torch.float32), stage.name).loss
                optimiser.step()
                losses.append(loss.item())
            told = f"in stage {stage.name!r} with {settings}"
            promise(all(torch.isfinite(torch.tensor(losses))), f"the loss became {losses[-1]} {told}.")
            promise(all(p.isfinite().all() for p in model.parameters()), f"a weight became NaN or infinite {told}.")
            learned = settings != common or sum(losses[-10:]) < sum(losses[:10])
            promise(learned, f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g} {told}.")


# What it gives to metrics ---------------------------------------------------------------------------------------------
@check
def every_set_of_modalities_has_a_posterior(kind: Kind) -> None:
    """Samples `[K, B, D]`, densities `[K, B]` where there are any, positive standard deviations.

    A model may refuse a set of several modalities with its reason; each alone has a posterior.
    """
    model = make_model(kind)
    values, dim = rows(model), latent_dim(model)
    for names in observations(model):
        q = posterior_of(model, {name: values[name] for name in names})
        if q is None:
            continue
        z = q.rsample(4, step_noise())
        promise(z.shape == (4, ROWS, dim), f"samples given {names} have shape {tuple(z.shape)}.")
        if isinstance(q, Normalised):
            promise(
                q.log_prob(z).shape == (4, ROWS),
                f"log densities given {names} have shape {tuple(q.log_prob(z).shape)}.",
            )
        if isinstance(q, Diagonal):
            promise((q.stddev > 0).all() and q.mean.shape == (ROWS, dim), f"stddev given {names} is not positive.")
        promise(torch.equal(z[0], z[1]) == q.deterministic, f"samples given {names}: deterministic {q.deterministic}?")


@check
def posterior_rows_are_independent(kind: Kind) -> None:
    """With noise keyed by row, a row's sample is the same in any batch."""
    model = make_model(kind).eval()
    values = rows(model)
    for names in observations(model):
        some = {name: values[name] for name in names}
        last = {name: value[-1:] for name, value in some.items()}
        posteriors = posterior_of(model, some), posterior_of(model, last)
        if posteriors[0] is None or posteriors[1] is None:
            continue
        whole = posteriors[0].rsample(2, RowNoise(3, range(ROWS), dtype=torch.float64))
        alone = posteriors[1].rsample(2, RowNoise(3, [ROWS - 1], dtype=torch.float64))
        promise(torch.allclose(whole[:, -1:], alone, atol=1e-9), f"a row's sample given {names} depends on its batch.")


@check
def an_unknown_or_empty_observation_is_refused(kind: Kind) -> None:
    """`objective` and `posterior` name what they need."""
    model = make_model(kind)
    for values in ({}, {"nonsense": torch.zeros(2, 1).double()}):
        _refused(partial(model.posterior, values), "posterior")
        _refused(partial(model.objective, values, noise=step_noise()), "objective")


@check
def the_prior_names_itself_and_is_a_density(kind: Kind) -> None:
    """Samples `[K, rows, D]`; for a normalised density, importance sampling from it gives one."""
    model = make_model(kind)
    prior, dim = model.prior(), latent_dim(model)
    z = prior.sample(3, 5, step_noise())
    promise(prior.name, "the prior needs a name.")
    promise(z.shape == (3, 5, dim), f"prior samples have shape {tuple(z.shape)}.")
    promise(prior.log_prob(z).shape == (3, 5), f"prior log densities have shape {tuple(prior.log_prob(z).shape)}.")
    width = 1.0 + 2.0 / dim**0.5  # the importance weights' spread must not grow with the dimension
    wide = width * torch.randn(8_000, 1, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    proposal = Gaussian(torch.zeros(dim), torch.full((dim,), width)).log_prob(wide)
    with torch.no_grad():
        mass = (prior.log_prob(wide) - proposal).exp().mean()
    promise((mass - 1).abs() < 0.1, f"the prior's density integrates to {mass:.2f}.")


@check
def likelihoods_have_the_modalities_shapes(kind: Kind) -> None:
    """Batch shape `[K, B]`, event shape of the modality; the weighted form is the plain one times its weight."""
    model = make_model(kind)
    values, z = rows(model), model.prior().sample(2, ROWS, step_noise())
    for name, spec in model.modalities.items():
        found = model.likelihood(name, z)
        promise(found.mean.shape == (2, ROWS, *spec.shape), f"the mean of {name} has shape {tuple(found.mean.shape)}.")
        plain = found.log_prob(values[name])
        promise(plain.shape == (2, ROWS), f"log likelihoods of {name} have shape {tuple(plain.shape)}.")
        weighted = model.log_likelihood(name, values[name], z)
        promise(torch.allclose(weighted, model.weights[name] * plain), f"{name} is not weighted by its weight.")


@check
def the_layout_divides_the_latent(kind: Kind) -> None:
    """Shared and private dimensions are disjoint, and together they are all of z."""
    model = make_model(kind)
    dim = latent_dim(model)
    parts = [model.layout.shared, *model.layout.private.values()]
    covered = sorted(i for part in parts for i in range(dim)[part])
    promise(covered == list(range(dim)), f"the layout covers the dimensions {covered} of {dim}.")
    promise(bool(model.layout.private) == kind.facts.private_latents, "facts.private_latents and the layout disagree.")


def latent_dim(model: MultimodalVAE) -> int:
    """D, as the prior's samples tell."""
    return model.prior().sample(1, 1, step_noise()).shape[-1]


def posterior_of(model: MultimodalVAE, values: Mapping[str, Tensor]) -> Posterior | None:
    """The posterior; None where the model refuses several modalities, which it says of itself."""
    try:
        return model.posterior(values)
    except CannotBear:
        promise(len(values) > 1, f"there is no posterior given {sorted(values)} alone.")
        return None


def _refused(act: Callable[[], object], what: str) -> None:
    try:
        act()
    except ValueError:  # InvalidSetting and CannotBear are both
        return
    promise(False, f"{what} takes an observation that it should refuse.")
