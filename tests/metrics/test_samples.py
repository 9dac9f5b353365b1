import numpy as np
import pytest
import torch

from mmbench.metrics.samples import as_stored
from mmbench.modality import ModalitySpec


def arrays(evaluation):
    return {a.name: a for a in evaluation.arrays}


def test_inputs_are_the_first_row_of_each_class_whatever_the_batch(toy, score, data):
    split = data.splits["test"]
    first = [int(np.flatnonzero(split.targets["a"] == c)[0]) for c in range(4)]
    for batch in (3, 300):
        found = arrays(score(toy(), {"samples": {}}, batch=batch))
        assert found["input/a"].value == pytest.approx(split.arrays["a"][first])
        assert found["input/a"].meta["classes"] == [0, 1, 2, 3]


def test_grids_have_their_shapes_and_names(toy, score):
    found = arrays(score(toy(), {"samples": {"per_class": 2, "generations": 3, "joint": 7}}))
    shapes = {name: a.value.shape for name, a in found.items()}
    assert shapes == {
        "input/a": (8, 6),
        "input/b": (8, 6),
        "cross/a|b": (8, 3, 6),
        "cross/b|a": (8, 3, 6),
        "joint/a": (7, 6),
        "joint/b": (7, 6),
    }
    assert (found["cross/a|b"].meta["given"], found["cross/a|b"].meta["target"]) == ("a", "b")
    assert found["input/b"].meta["target"] == "b"
    assert found["joint/a"].meta["prior"] == "standard"


def test_an_identity_generator_gives_its_inputs_back(toy, score):
    found = arrays(score(toy(), {"samples": {"generations": 2}}))
    for k in range(2):
        assert found["cross/a|b"].value[:, k] == pytest.approx(found["input/a"].value, abs=1e-4)


def test_generations_of_one_input_differ_and_do_not_depend_on_the_batch(toy, score):
    few, many = (arrays(score(toy(scale=1.0), {"samples": {}}, batch=b))["cross/a|b"].value for b in (3, 300))
    assert few == pytest.approx(many, abs=1e-6)
    assert not np.allclose(few[:, 0], few[:, 1])


def test_without_classes_the_first_rows_are_taken(toy, score, data):
    found = arrays(score(toy(), {"samples": {"rows": 9}}, targets=False, batch=4))
    assert found["input/b"].value == pytest.approx(data.splits["test"].arrays["b"][:9])
    assert "classes" not in found["input/b"].meta


def test_images_are_rounded_to_bytes_and_clamped():
    x = torch.tensor([-0.1, 0.0, 0.5, 1.0, 1.3])
    stored = as_stored(x, ModalitySpec("x", "image", (1, 1, 5)))
    assert (stored.dtype, stored.tolist()) == (np.uint8, [0, 0, 128, 255, 255])
