"""Rows of one observation pattern as a data set of multivae: complete, or incomplete with masks and fillers.

Complete rows go as its `MultimodalBaseDataset`. Rows that hold some of the modalities go as its `IncompleteDataset`,
which wants a tensor for every modality: what is missing is filled with zeros here, behind a mask that is false. (The
hidden values never come so far.) Tokens go one-hot, `[B, L, V]`, which is what its categorical likelihood reads; a
place of a token that does not count is all zeros there, and so adds nothing.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from mmbench.modality import ModalitySpec
from mmbench.models.bridge.package import modules
from mmbench.models.likelihoods import output_shape

__all__ = ["complete", "dataset", "shown", "tokens_of"]


def dataset(values: Mapping[str, Tensor], modalities: Mapping[str, ModalitySpec], like: Tensor) -> Any:
    """The rows as multivae takes them for training.

    Args:
        values: modality -> `[B, *shape]`, some of the modalities.
        modalities: all of them.
        like: a tensor of the model's device and floating type.
    """
    if len(values) == len(modalities):
        return complete(values, modalities, like)
    rows = len(next(iter(values.values())))
    data, masks = {}, {}
    for name, spec in modalities.items():
        held = name in values
        data[name] = shown(spec, values[name], like) if held else like.new_zeros(rows, *output_shape(spec))
        masks[name] = torch.full((rows,), held, device=like.device)
    return modules("multivae.data.datasets.base").IncompleteDataset(data, masks)


def complete(values: Mapping[str, Tensor], modalities: Mapping[str, ModalitySpec], like: Tensor) -> Any:
    """The rows without masks: of all modalities, or of those that a posterior is asked for."""
    data = {name: shown(spec, values[name], like) for name, spec in modalities.items() if name in values}
    return modules("multivae.data.datasets.base").MultimodalBaseDataset(data)


def shown(spec: ModalitySpec, x: Tensor, like: Tensor) -> Tensor:
    """Rows `[B, *shape]` as multivae sees them; of tokens `[B, L, V]`."""
    if spec.tokens is None:
        return x.contiguous()
    ids = x.long()
    hot = one_hot(ids, spec.tokens.vocabulary).to(like.dtype)
    return hot if spec.tokens.ignored is None else hot * (ids != spec.tokens.ignored).unsqueeze(-1)


def tokens_of(spec: ModalitySpec, hot: Tensor) -> Tensor:
    """Tokens `[B, L]` of what `shown` made of them."""
    ids = hot.argmax(-1)
    if spec.tokens is None or spec.tokens.ignored is None:
        return ids
    return ids.masked_fill(hot.sum(-1) == 0, spec.tokens.ignored)
