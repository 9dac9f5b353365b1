"""`list` and `data`: whole outputs."""

SCHEMES = """\
scheme           description
<modality>-only  a fraction f stays complete, the rest keeps this modality alone
complete         all modalities are observed; for f < 1 the rest of the rows is left out
split            a fraction f stays complete, of the rest an equal part keeps each modality alone
"""

MODELS = """\
model  partial training  presets                                         title
meme   yes               common, paper, paper-literal, released, source  MEME
mmvae  yes               common, source                                  MMVAE
mvae   yes               common, source                                  MVAE
"""

DATA = """\
dataset     files
digits      digits is embedded: there is nothing to verify.
mnist-svhn  mnist-svhn needs files, and no folder was named; run `mmbench data fetch mnist-svhn --data-root DIR` \
on a machine with internet, then name DIR by --data-root or MMBENCH_DATA.
"""


def test_list_schemes(invoke):
    assert invoke("list", "schemes").stdout == SCHEMES


def test_list_models(invoke):
    assert invoke("list", "models").stdout == MODELS


def test_list_datasets_and_metrics_name_them_all(invoke):
    datasets = [line.split()[0] for line in invoke("list", "datasets").stdout.splitlines()]
    assert datasets == ["dataset", "digits", "mnist-svhn"]
    metrics = [line.split()[0] for line in invoke("list", "metrics").stdout.splitlines()]
    named = {"cross_coherence", "joint_coherence", "latent_accuracy", "relatedness", "log_likelihood", "samples"}
    assert named < set(metrics)


def test_data_list_says_how_to_get_what_is_missing(invoke, monkeypatch):
    monkeypatch.delenv("MMBENCH_DATA", raising=False)
    assert invoke("data", "list").stdout == DATA


def test_data_path_is_where_files_are_read_from(invoke, tmp_path):
    assert invoke("data", "path", "--data-root", tmp_path).stdout == f"{tmp_path}\n"


def test_data_fetch_of_the_embedded_digits(invoke, tmp_path):
    result = invoke("data", "fetch", "digits", "--data-root", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "digits is embedded: there is nothing to fetch.\n")
