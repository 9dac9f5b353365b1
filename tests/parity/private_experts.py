"""What the comparisons of MMVAE+ and CMVAE share: mixtures of experts with private latents, and cross samples."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mmbench.models import MultimodalVAE
from mmbench.models.private import size_of
from tests.parity.comparison import Run, Undo
from tests.parity.differences import BATCH_SUM, DREG_VALUE, POSTERIOR_FLOOR, PRIOR_FLOOR, SOFTMAX_OF_A_PART
from tests.parity.noise import Tape, played
from tests.parity.shells import inputs_of, peer
from tests.parity.weights import kept
from tests.parity.worlds import Rows

__all__ = ["auxiliary_log_scales", "private_against"]


def private_against(
    name: str,
    model: MultimodalVAE,
    rows: Rows | Mapping[str, Tensor],
    given_priors: Callable[[Any], None],
    **config: Any,
) -> Run:
    """Our loss of the rows and that of multivae's model `name`, with masks or of complete values.

    Args:
        given_priors: gives multivae's model the parameters of our priors.
    """
    masked = rows if isinstance(rows, Rows) else Rows(rows, {tuple(model.modalities): range(len(rows["a"]))})
    border, softmax = size_of(model.layout.shared), model.arch.posterior_scale == "softmax"
    config |= {
        "split": border,
        "K": 1 if model.settings.objective == "elbo" else model.settings.k,
        "modalities_specific_dim": model.settings.private,
        "prior_and_posterior_dist": "laplace_with_softmax" if softmax else "normal",
    }

    def run(undo: Undo) -> tuple[Tensor, Tensor]:
        for encoder in model.encoders.values():
            encoder.scale.floor = 1e-6 if undo(POSTERIOR_FLOOR) else 1e-4
        tapes = {pattern: Tape(seed) for seed, pattern in enumerate(masked.patterns)}
        losses = [len(i) * model.objective(masked.observed(p), noise=tapes[p]).loss for p, i in masked.patterns.items()]
        other = peer(name, model, **config)
        given_priors(other)
        if softmax:
            other._log_var_to_std = scale_of(other._log_var_to_std, undo)
        with played(noise_of(model, masked, tapes, border)), kept(other, "_compute_k_lws") as weights:
            theirs = other(inputs_of(model, rows, undo)).loss
        if config.get("loss") == "dreg_looser" and undo(DREG_VALUE):
            theirs = theirs - weights.dreg_excess()
        return torch.stack(losses).sum() / masked.count, theirs / masked.count if undo(BATCH_SUM) else theirs

    return run


def noise_of(model: MultimodalVAE, rows: Rows, tapes: Mapping[tuple[str, ...], Tape], border: int) -> list[Tensor]:
    """In multivae's order: of each expert the shared sample, the private one, and a cross sample of each other."""
    names = [name for name in model.modalities if any(name in pattern for pattern in rows.patterns)]
    found = []
    for expert in names:
        whole = rows.together({p: tape[f"{expert}/z"] for p, tape in tapes.items() if expert in p})
        found += [whole[..., :border], whole[..., border:]]
        for cross in names:
            if cross != expert:
                parts = {p: tape[f"{expert}/{cross}/w"] for p, tape in tapes.items() if {expert, cross} <= set(p)}
                found.append(rows.together(parts) if parts else torch.zeros_like(whole[..., border:]))
    return found


def scale_of(original: Callable[[Tensor], Tensor], undo: Undo) -> Callable[[Tensor], Tensor]:
    """multivae's scales by the softmax: of priors `[1, d]`, and of posteriors `[B, d]` with more than one row."""

    def scale(raw: Tensor) -> Tensor:
        if len(raw) == 1:
            return original(raw) - 1e-6 if undo(PRIOR_FLOOR) else original(raw)
        return raw.exp() + 1e-6 if undo(SOFTMAX_OF_A_PART) else original(raw)

    return scale


def auxiliary_log_scales(model: MultimodalVAE, raw: Tensor) -> dict[str, Tensor]:
    """Our raw scales of private priors, by modality `[1, d]`, as what multivae's are: logits, or log variances."""
    sizes = [size_of(part) for part in model.layout.private.values()]
    factor = 1 if model.arch.posterior_scale == "softmax" else 2
    parts = zip(model.layout.private, torch.split(raw, sizes), strict=True)
    return {name: factor * part.unsqueeze(0) for name, part in parts}
