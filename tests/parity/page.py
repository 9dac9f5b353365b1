"""The page `docs/parity.md`, made of the table of differences: `python -m tests.parity.page` writes it."""

from pathlib import Path

from tests.parity.differences import Difference, differences

__all__ = ["COMPARED", "PAGE", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"

COMPARED = {
    "cmvae": "The looser bound with 1 and 4 samples, three clusters, `cross=auxiliary`, `beta`, `dreg`, Gaussians and "
    "Laplaces; complete rows, and a batch of three patterns.",
    "crmvae": "`beta`; complete rows, and rows of one pattern.",
    "dmvae": "Both weights of KLs; complete rows, rows of one pattern, and a batch of three patterns.",
    "jmvae": "`variant=kl` on complete rows, with `alpha`, `beta` and the warm-up.",
    "mhvae": "Two and three levels, `subsets=all`, `beta`; complete rows, and rows of one pattern.",
    "mmvae": "The looser bound with 1 and 4 samples, the tight one, `dreg` with its gradient, Gaussians, and Laplaces "
    "with a learned prior; complete rows, rows of one pattern, and a batch of three patterns.",
    "mmvaeplus": "The looser bound with 1 and 4 samples, `cross=auxiliary`, `beta`, `dreg`, Gaussians and Laplaces; "
    "complete rows, rows of one pattern, and a batch of three patterns. Not `learn_prior`: multivae has one p(w) for "
    "all modalities, with one softmax over z and w.",
    "mopoe": "A component drawn for each row, `prior_expert=full-only`, `beta`; complete rows, rows of one pattern, "
    "and a batch of three patterns.",
    "mvae": "All fixed subsets, `subsets` of 1 and 2, `beta` and the warm-up; complete rows, rows of one pattern, and "
    "a batch of three patterns.",
    "mvtcae": "`alpha` and `beta`; complete rows, and rows of one pattern.",
    "nexus": "Both levels with their betas, `gamma`, the warm-up, and perceptual dropout with `rho`; complete rows, "
    "rows of one pattern, and a batch of three patterns. `top_scale` is 1, as in multivae.",
}
"""Model -> which of its forms a test compares."""

HEAD = """# Parity with the package multivae

<!-- Written by `python -m tests.parity.page`; edit tests/parity/differences.py instead. -->

[multivae](https://pypi.org/project/multivae/) (Senellart et al., version 1.0.3) implements many of the same models.
`make parity` builds an environment that has it, without its pins, and compares objectives. Both packages compute on the
*same* network modules, multivae's encoders and decoders being thin shells around ours, and on the same random numbers,
in float64. Loss and gradients must agree to 1e-12, relative to the loss and to the largest entry of any gradient, after
the differences named below are undone; and with any single one of them left they must not. Two and three modalities
(images, vectors, text), Normal, Laplace, Bernoulli and categorical likelihoods, and rescaled ones stand in the tests.

This says that two implementations agree on what is computed. It does not say that either is what a paper meant; where
the two differ, the module of the model says what mmbench follows.

Rows with missing modalities: multivae gets masks, and other values in place of what is hidden; mmbench gets each
pattern of observation as a batch of its own, and their losses are weighted by rows.

## What is compared
"""


def page() -> str:
    """The whole page, in Markdown."""
    table = "\n".join(f"| `{model}` | {forms} |" for model, forms in sorted(COMPARED.items()))
    return f"{HEAD}\n| model | compared |\n| --- | --- |\n{table}\n\n## The differences\n\n" + "\n".join(
        section(difference) for difference in differences()
    )


def section(difference: Difference) -> str:
    """One difference."""
    models = ", ".join(f"`{name}`" for name in difference.models) or "all models"
    return (
        f"### {difference.name[0].upper()}{difference.name[1:]}\n\n"
        f"In {models}.\n\n"
        f"- multivae: {difference.multivae}\n"
        f"- mmbench: {difference.mmbench}\n"
        f"- undone in the tests: {difference.undone}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
