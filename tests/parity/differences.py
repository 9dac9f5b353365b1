"""Every difference between an objective of mmbench and that of the package `multivae` 1.0.3, by name.

A test states the differences that its case has, and undoes them; `comparison.agree` then asks that the two are equal,
and that they are not where any one of the differences is left. `page.py` renders this table as `docs/parity.md`.
"""

from dataclasses import dataclass

__all__ = ["Difference", "differences"]


@dataclass(frozen=True)
class Difference:
    """What the two packages do, and how a test makes them do the same.

    Attributes:
        name: unique.
        models: by their names in mmbench; empty for all.
        multivae, mmbench: what each does.
        undone: the exact correction, after which the losses are equal.
    """

    name: str
    models: tuple[str, ...]
    multivae: str
    mmbench: str
    undone: str


PADDING = Difference(
    "padding counts",
    (),
    "The cross entropy of text runs over all places of a row.",
    "Places whose token is the padding add nothing to the likelihood.",
    "The one-hot targets of the padding are zeros.",
)
BERNOULLI_VALUES = Difference(
    "grey values",
    (),
    "A Bernoulli likelihood refuses values other than 0 and 1, as `torch.distributions` does.",
    "Values between are taken as probabilities, as the literature does.",
    "The argument checks of `torch.distributions` are off.",
)
BATCH_SUM = Difference(
    "batch sum",
    ("cmvae", "crmvae", "mhvae", "mmvae", "mmvaeplus"),
    "The loss is a sum over the rows of the batch.",
    "The loss of every model is a mean over them.",
    "multivae's loss is divided by the number of rows.",
)
EPOCHS = Difference(
    "warm-up by epochs",
    ("jmvae", "mvae", "nexus"),
    "The weight of the KLs grows over `warmup` epochs: MVAE's is (epoch - 1 + part of the epoch) / warmup. JMVAE's, "
    "which multiplies the KLs to the single encoders too, and Nexus's are epoch / warmup: the first epoch is not at 0.",
    "It grows over `anneal` trainings, with the progress of the training from 0 to 1; by default not at all.",
    "`anneal` = 1, and the progress is multivae's factor.",
)
SUBSET_OF_BATCH = Difference(
    "a subset for the batch",
    ("mvae",),
    "The k random subsets are drawn once for the whole batch, without replacement, and in training mode only.",
    "They are drawn anew for each row, independently.",
    "mmbench is given noise that draws, in every row, the subsets that multivae drew.",
)
COUNTED_TWICE = Difference(
    "single modalities twice",
    ("mvae",),
    "For rows that hold one modality the ELBO of all that is observed and that of the modality are the same; it is "
    "added twice, with two samples.",
    "It is added once: such a row's loss is that of a model of one modality.",
    "Both samples are given the same noise, and half of multivae's loss on these rows alone is taken off.",
)
ROWS_OF_A_TERM = Difference(
    "rows of a term",
    ("mvae",),
    "In a batch with missing values each ELBO is a mean over the rows that hold any modality of its subset, so that a "
    "row counts the more the fewer others hold that modality.",
    "Every row counts 1/B in every term.",
    "Each ELBO, as multivae reports it, is multiplied by the number of its rows and divided by B.",
)
POE_EPS = Difference(
    "epsilon of the product",
    ("crmvae", "mhvae", "mopoe", "mvtcae"),
    "1e-8 is added to the experts' variances before a product of experts (`poe`).",
    "The product is taken in log space, without it.",
    "`poe` is called with eps = 0.",
)
CHUNKS = Difference(
    "contiguous chunks",
    ("mopoe",),
    "On complete rows no component of the mixture is drawn: the batch is cut into 2^M - 1 contiguous parts, one a "
    "component, the last of which takes the remainder. (With masks it is drawn for each row.)",
    "A component is drawn for each row (`sampling=row`), or all are decoded (`enumerate`).",
    "mmbench is given noise that draws, in every row, the component of its part.",
)
PRIOR_OF_THE_OBSERVED = Difference(
    "prior of the full set",
    ("mopoe",),
    "The prior is an expert of the product of all M modalities alone, and of no product where a row lacks one.",
    "The full set is the set of the observed modalities (`prior_expert=full-only`): a row's loss is that of a model of "
    "these modalities.",
    "mmbench's loss of rows that lack a modality is computed with `prior_expert=none`.",
)
ALL_MODALITIES_WEIGH = Difference(
    "M of all modalities",
    ("crmvae", "mvtcae"),
    "The weights, (M - alpha)/M and alpha/M of MVTCAE and 1/(M+1) of CRMVAE, keep the M of all modalities on rows that "
    "hold fewer.",
    "M is the number of observed modalities.",
    "MVTCAE's loss is put together anew from the terms that multivae reports, with the observed number as M; CRMVAE's "
    "is multiplied by the ratio of the two weights.",
)
SINGLE_WEIGHTS = Difference(
    "weights in single precision",
    ("mopoe",),
    "With masks the weights of the components of the mixture, 1/|P|, are float32, whatever the type of all else.",
    "All numbers have the model's type.",
    "The weights in the KL are made anew in float64.",
)
PRIOR_FLOOR = Difference(
    "floor of the priors' scales",
    ("cmvae", "mmvae", "mmvaeplus"),
    "1e-6 is added to the scales of the priors, D * softmax, also to those that stay at 1.",
    "The priors' scales have no floor.",
    "multivae's priors are given their scales without the floor.",
)
POSTERIOR_FLOOR = Difference(
    "floor of the posteriors' scales",
    ("cmvae", "mmvae", "mmvaeplus"),
    "1e-6 is added to the posteriors' scales, D * softmax.",
    "The network says what is added: `paper` the same 1e-6, the others 1e-4 or 1e-3.",
    "The encoders' floor is set to 1e-6.",
)
SOFTMAX_OF_A_PART = Difference(
    "a softmax of each part",
    ("cmvae", "mmvaeplus"),
    "With scales D * softmax, those of the shared and of the private part of an encoder each sum to their own size.",
    "One encoder gives both parts, and its scales sum to the size of both together.",
    "multivae is given the scales as they are.",
)
DREG_VALUE = Difference(
    "value of the DReG loss",
    ("cmvae", "mmvae", "mmvaeplus"),
    "The loss of `dreg_looser` is that of the surrogate: the mean of the log weights under the normalised weights.",
    "The value reported is the bound's, the gradient is the surrogate's.",
    "The entropy of the normalised weights, less log K, is taken from multivae's value.",
)
LEFT_OUT = Difference(
    "samples of no weight",
    ("mmvae",),  # the same module decides for all models with bounds of several samples
    "All K samples are differentiated.",
    "Samples whose normalised weights add up to at most `train.tolerance` = 1e-5 in a row are not, by default.",
    "The tolerance is below 0.",
)


SHARED_KL_ONCE = Difference(
    "shared KLs once",
    ("dmvae",),
    "Each source of the shared latent pays for its KL to the prior once.",
    "It pays once for every modality that is reconstructed from it, as in the released code; `form=multivae` is the "
    "other.",
    "`form=multivae`.",
)
NO_DROPOUT_WITH_MASKS = Difference(
    "perceptual dropout with masks",
    ("nexus",),
    "With masks no messages are dropped, not from complete rows either.",
    "`rho` acts on every row with more than one modality.",
    "`rho` = 0.",
)
LEVELS_ABOVE = Difference(
    "levels above",
    ("mhvae",),
    "A level sees the one above it.",
    "A level sees all levels above it; with two levels there is no difference.",
    "multivae's top-down blocks remember what they are given, and pass the levels further up on.",
)
SUBSETS_OF_ALL = Difference(
    "subsets of all modalities",
    ("mhvae",),
    "With masks the mean is over all 2^M - 1 subsets of all modalities, whatever a row holds: some stand for the same "
    "posterior, and those of which the row holds nothing reconstruct it from the prior.",
    "The mean is over the subsets of what the row holds.",
    "The mean is taken anew over the losses, as multivae computes them, of the subsets of what is observed.",
)


def differences() -> tuple[Difference, ...]:
    """All of them, in the order of this file."""
    return tuple(value for value in globals().values() if isinstance(value, Difference))
