"""Weights after 2,500 steps of the default training on MNIST-SVHN, for steps whose time depends on the weights."""

import tempfile
from pathlib import Path

import torch

from mmbench.results.store import Store
from mmbench.run import Request, RunOptions, load, resolve, run

__all__ = ["provide"]

STEPS = 2500
SETS = {"meme": {}, "mmvae": {"model.k": 10}}


def provide(folder: Path) -> None:
    """Train what `folder` does not hold yet: `meme.pt` and `mmvae.pt`. Needs MMBENCH_DATA."""
    folder.mkdir(parents=True, exist_ok=True)
    for model, own in SETS.items():
        path = folder / f"{model}.pt"
        if path.exists():
            continue
        sets = {
            "arch.networks": "released",
            "arch.latent_dim": 64,
            "train.batch_size": 128,
            "train.test_rows": 0,
            **own,
        }
        spec = resolve(Request(model=model, dataset="mnist-svhn", steps=STEPS, metrics=(), sets=sets))
        with tempfile.TemporaryDirectory() as place, Store.open(Path(place) / "weights.db") as store:
            record = run(spec, store, RunOptions(device="cpu"))
            torch.save(load(record.id, store).model.state_dict(), path)
