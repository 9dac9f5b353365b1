"""The folder of a run: one process at a time, its checkpoints while it trains, its weights afterwards.

It lies beside the store, `runs/<fit key>/`, and holds `model.pt` (weights alone, for `torch.load(weights_only=True)`)
and `spec.json`. The lock is held by the process, so a killed one leaves none behind.
"""

import hashlib
import io
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from mmbench.config import RunSpec
from mmbench.errors import CheckpointError
from mmbench.results.store import Store
from mmbench.run.specs import spec_hash
from mmbench.training.checkpoint import Checkpoints, unwritable, write_whole

if TYPE_CHECKING:
    from torch import Tensor

    from mmbench.models.base import MultimodalVAE

__all__ = ["RunFolder"]

ELSEWHERE = Path("mmbench-results")  # for stores that are no file


@dataclass(frozen=True)
class RunFolder:
    """The folder of one fit key beside a store."""

    path: Path
    key: str

    @classmethod
    def of(cls, store: Store, key: str) -> "RunFolder":
        """The folder of a fit key; nothing is made yet."""
        return cls((store.folder or ELSEWHERE) / "runs" / key, key)

    @property
    def weights(self) -> Path:
        """The file of the final weights."""
        return self.path / "model.pt"

    def checkpoints(self, spec: RunSpec) -> Checkpoints:
        """The checkpoints of a training of `spec`."""
        return Checkpoints(self.path, {"fit key": self.key, "spec": spec_hash(spec)})

    @contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[None]:
        """Let no other process train into this folder; waits for one that does, and says so."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / "lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"another process is at this run ({self.path}); waiting for it.")
                lock.acquire()
        except OSError as error:
            raise unwritable(self.path, error) from error
        try:
            yield
        finally:
            lock.release()

    def save(self, model: "MultimodalVAE", spec: RunSpec) -> None:
        """Write the spec and the final weights, each whole or not at all. Raises `StorageFull`, `StoreError`."""
        import torch

        weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
        buffer = io.BytesIO()
        torch.save({"key": self.key, "digest": weights_digest(weights), "weights": weights}, buffer)
        write_whole(self.path / "spec.json", (json.dumps(spec.to_dict(), indent=2) + "\n").encode())
        write_whole(self.weights, buffer.getbuffer())

    def load_into(self, model: "MultimodalVAE") -> None:
        """Put the final weights into a model built from the spec.

        Raises:
            CheckpointError: the file is missing, torn, or belongs to another run.
        """
        held = self._read()
        if held.get("key") != self.key:
            raise CheckpointError(
                f"{self.weights} belongs to another run (fit key {held.get('key')}); train again with --force."
            )
        model.load_state_dict(held["weights"])

    def digest(self) -> str:
        """Digest of the final weights, for records and comparisons."""
        return str(self._read()["digest"])

    def _read(self) -> dict[str, Any]:
        import torch

        try:
            held: dict[str, Any] = torch.load(self.weights, map_location="cpu", weights_only=True)
            whole = weights_digest(held["weights"]) == held["digest"]
        except FileNotFoundError as error:
            sentence = (
                f"the weights of this run are not at {self.weights}; move them there or train again with --force."
            )
            raise CheckpointError(sentence) from error
        except (RuntimeError, EOFError, OSError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{self.weights} is torn or no file of weights; train again with --force.") from error
        if not whole:
            raise CheckpointError(f"{self.weights} does not match its digest; train again with --force.")
        return held


def weights_digest(weights: "Mapping[str, Tensor]") -> str:
    """SHA-256 over names and contents, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
