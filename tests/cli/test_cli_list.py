"""`list` and `data`: whole outputs where they are fixed; of what grows with every component, the structure."""

import pytest

from mmbench.listing import reference
from mmbench.models import MODELS
from mmbench.models.mvae import MVAE

MISSING = (
    "mnist-svhn needs files, and no folder was named; run `mmbench data fetch mnist-svhn --data-root DIR` on a machine "
    "with internet, then name DIR by --data-root or MMBENCH_DATA."
)


@pytest.fixture
def sections(invoke):
    """The parts of `list models` as lists of lines."""
    return [part.splitlines() for part in invoke("list", "models").stdout.split("\n\n")]


def cells(lines: list[str]) -> dict[str, dict[str, str]]:
    """A printed table as first cell -> column -> cell."""
    head = lines[0]
    starts = [0, *(i for i in range(2, len(head)) if head[i - 2 : i] == "  " and head[i] != " ")]
    names = [head[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
    rows = [[line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)] for line in lines[1:]]
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows}


def test_list_models_begins_with_the_capability_table(sections):
    table = cells(sections[0])
    assert list(table) == list(MODELS)
    assert table["mvae"] == {
        "model": "mvae",
        "test": "yes",
        "train: source": "in theory",
        "train: here": "yes",
        "modalities": "any",
        "density": "every subset",
        "private": "no",
        "stages": "main",
        "joint": "q(z|s) q(z|t) p(z)",
    }
    assert table["meme"]["density"] == "conditionals"
    assert (table["mmvae"]["train: source"], table["mmvae"]["train: here"]) == ("no", "yes")


def test_list_models_names_sources_rules_and_presets_of_each(sections):
    _, legend, sources, training, likelihoods, _ = sections
    assert legend[0].startswith("test: generates one modality from another.")
    known = cells(sources)
    assert (known["meme"]["title"], known["meme"]["reference"]) == ("MEME", "Joy et al. 2022")
    assert known["meme"]["presets"] == "common, paper, paper-literal, released, source"
    assert all(row["reference"][-4:].isdigit() for row in known.values())
    rule = cells(training)["mvae"]["training with missing modalities"]
    assert rule == f"{MVAE.facts.partial_train_rule} (source: in theory, not verified empirically)"
    assert cells(likelihoods)["mvae"]["log likelihoods"] == "importance sampling from the product"
    assert list(known) == list(cells(training)) == list(cells(likelihoods)) == list(MODELS.builtin())


def test_the_capability_table_fits_a_terminal(sections):
    assert max(map(len, sections[0])) <= 140


@pytest.mark.parametrize(
    ("whole", "short"),
    [
        ("Wu & Goodman, Multimodal Generative Models, NeurIPS 2018", "Wu & Goodman 2018"),
        ("Joy et al., Learning Multimodal VAEs, ICLR 2022", "Joy et al. 2022"),
        ("Sutter, Daunhawer & Vogt, Generalized Multimodal ELBO, ICLR 2021", "Sutter et al. 2021"),
        ("Suzuki, Nakayama & Matsuo, Joint Learning, 2016, arXiv:1611.01891", "Suzuki et al. 2016"),
        ("Doe, A Space Odyssey of 2001 Latents, arXiv:2010.12345, 2020", "Doe 2020"),
        ("Doe, A Book", "Doe"),
    ],
)
def test_a_reference_in_short_is_authors_and_year(whole, short):
    assert reference([whole, "Other, Work, 1999"]) == short


def test_list_datasets_schemes_and_metrics_name_them_all(invoke):
    def first_column(kind):
        return [line.split()[0] for line in invoke("list", kind).stdout.splitlines()]

    datasets, schemes, metrics = map(first_column, ("datasets", "schemes", "metrics"))
    assert datasets[0] == "dataset"
    assert {"digits", "mnist-svhn"} < set(datasets)
    assert schemes[0] == "scheme"
    assert {"<modality>-only", "complete", "split"} < set(schemes)
    named = {"cross_coherence", "joint_coherence", "latent_accuracy", "relatedness", "log_likelihood", "samples"}
    assert named < set(metrics)


def test_data_list_says_how_to_get_what_is_missing(invoke, monkeypatch):
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    listed = cells(invoke("data", "list").stdout.splitlines())
    assert listed["digits"]["files"] == "digits is embedded: there is nothing to verify."
    assert listed["mnist-svhn"]["files"] == MISSING


def test_data_path_is_where_files_are_read_from(invoke, tmp_path):
    assert invoke("data", "path", "--data-root", tmp_path).stdout == f"{tmp_path}\n"


def test_data_fetch_of_the_embedded_digits(invoke, tmp_path):
    result = invoke("data", "fetch", "digits", "--data-root", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "digits is embedded: there is nothing to fetch.\n")
