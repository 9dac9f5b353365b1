"""From a request to a spec: the order of the layers, one form for one run, strictness, and the keys."""

import json
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from mmbench.config import RunSpec
from mmbench.errors import CannotBear, InvalidSetting, MMBenchError, UnknownName
from mmbench.models.base import MODELS
from mmbench.run import Request, fit_key, read_spec, resolve
from mmbench.run.specs import spec_hash


def changed(spec: RunSpec, path: str, value: Any) -> dict[str, Any]:
    """The spec's plain values with one of them replaced, or removed where `value` is `...`."""
    values = json.loads(json.dumps(spec.to_dict()))
    *outer, last = path.split(".")
    inner = values
    for name in outer:
        inner = inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return values


def test_later_layers_win(tiny: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = {"model": {}, "arch": {"scale": 0.25}, "train": {"lr": 0.01}}
    monkeypatch.setattr(MODELS["mvae"], "presets", {**MODELS["mvae"].presets, "mine": preset})
    spec = resolve(tiny.request(preset="mine", sets={"train.lr": "0.5", "train.clip": "2"}))
    assert spec.settings["arch"]["networks"] == "small"  # default of the settings class
    assert spec.settings["arch"]["latent_dim"] == 3  # the dataset's common
    assert spec.settings["arch"]["scale"] == 0.25  # the model's preset, over the dataset's common
    assert spec.settings["train"]["lr"] == 0.5  # set by name, over the preset
    assert spec.settings["train"]["clip"] == 2.0


def test_a_spec_is_complete(tiny: ModuleType) -> None:
    spec = resolve(tiny.request())
    assert set(spec.settings) == {"model", "arch", "data", "loader", "train"}
    assert spec.settings["data"] == {"pairs": 1}
    assert spec.settings["loader"] == {"schedule": "mixed", "coin": False}
    assert spec.metrics == {"spread": {"scale": 1.0}}


@pytest.mark.parametrize(
    ("given", "steps", "epochs"),
    [
        ({}, 20, None),
        ({"steps": 7}, 7, None),
        ({"epochs": 2}, None, 2),
        ({"sets": {"train.epochs": "3"}}, None, 3),
        ({"preset": "long"}, None, 9),
        ({"preset": "long", "steps": 5}, 5, None),
    ],
)
def test_steps_and_epochs_replace_each_other(
    tiny: ModuleType, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], steps: int | None, epochs: int | None
) -> None:
    monkeypatch.setattr(MODELS["mvae"], "presets", {**MODELS["mvae"].presets, "long": {"train": {"epochs": 9}}})
    train = resolve(tiny.request(**given)).settings["train"]
    assert (train["steps"], train["epochs"]) == (steps, epochs)


@pytest.mark.parametrize("scheme", ["split", "left-only", "complete"])
def test_f_of_one_is_complete_under_any_scheme(tiny: ModuleType, scheme: str) -> None:
    spec = resolve(tiny.request(scheme=scheme, f=1, paired_only=True))
    assert spec == resolve(tiny.request(scheme="complete", f=1.0))
    assert (spec.scheme, spec.f, spec.paired_only) == ("complete", 1.0, False)


def test_schedule_is_a_setting_of_the_loader(tiny: ModuleType) -> None:
    spec = resolve(tiny.request(schedule="alternate"))
    assert spec == resolve(tiny.request(sets={"loader.schedule": "alternate"}))
    assert spec.settings["loader"]["schedule"] == "alternate"


def test_metrics_by_default_are_those_that_say_so(tiny: ModuleType) -> None:
    names = set(resolve(tiny.request(metrics=None)).metrics)
    assert "spread" not in names
    assert "cross_coherence" in names
    assert resolve(tiny.request(metrics=())).metrics == {}


def test_settings_of_metrics_are_reached_by_name(tiny: ModuleType) -> None:
    assert resolve(tiny.request(sets={"metrics.spread.scale": "2"})).metrics == {"spread": {"scale": 2.0}}


def test_resolving_leaves_the_global_generator_alone(tiny: ModuleType) -> None:
    before = torch.get_rng_state()
    resolve(tiny.request())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"model": "mvea"}, UnknownName, r"unknown model 'mvea'; did you mean 'mvae'"),
        ({"preset": "commn"}, UnknownName, r"unknown preset of model 'mvae' 'commn'; did you mean 'common'"),
        ({"dataset": "tinny"}, UnknownName, r"unknown dataset 'tinny'; did you mean 'tiny'"),
        ({"scheme": "spilt"}, UnknownName, r"unknown scheme 'spilt'; did you mean 'split'"),
        ({"scheme": "mnist-only"}, UnknownName, r"unknown scheme 'mnist-only'.*left-only"),
        ({"metrics": ("spred",)}, UnknownName, r"unknown metric 'spred'; did you mean 'spread'"),
        ({"sets": {"train.learning_rate": "1"}}, UnknownName, r"unknown setting of 'train' 'learning_rate'"),
        ({"sets": {"trian.lr": "1"}}, UnknownName, r"unknown section of settings 'trian'; did you mean 'train'"),
        ({"sets": {"lr": "1"}}, InvalidSetting, r"settings are named section\.key .*, e\.g\. train\.lr; got 'lr'"),
        ({"sets": {"metrics.spread": "1"}}, InvalidSetting, r"metrics\.<metric>\.<key>, .* got 'metrics\.spread'"),
        ({"sets": {"metrics.spread.scal": "1"}}, UnknownName, r"did you mean 'scale'"),
        ({"sets": {"metrics.samples.n": "1"}}, InvalidSetting, r"metric 'samples' is not asked for"),
        ({"sets": {"arch.networks": "smal"}}, UnknownName, r"unknown network 'smal'; did you mean 'small'"),
        ({"sets": {"arch.networks": "paper"}}, CannotBear, r"'paper' take images of .*, modality 'left' is 1x3x3"),
        ({"f": 0}, InvalidSetting, r"f must lie in \(0, 1\], got 0"),
        ({"f": 1.5}, InvalidSetting, r"f must lie in \(0, 1\], got 1\.5"),
        ({"f": float("nan")}, InvalidSetting, r"f must lie in \(0, 1\], got nan"),
        ({"f": "half"}, InvalidSetting, r"f must be a number in \(0, 1\], got 'half'"),
        ({"seed": -1}, InvalidSetting, r"seed must be a whole number from 0 .* got -1"),
        ({"seed": 1.0}, InvalidSetting, r"seed must be a whole number"),
        ({"epochs": 0}, InvalidSetting, r"train\.epochs must lie in \[1, \.\.\.\], got 0"),
        ({"steps": 3, "epochs": 3}, InvalidSetting, r"either train\.steps or train\.epochs, got train\.steps=3 and"),
        ({"steps": 3, "sets": {"train.steps": "4"}}, InvalidSetting, r"train\.steps is set twice"),
        ({"paired_only": "yes"}, InvalidSetting, r"paired_only must be true or false"),
        ({"sets": {"loader.coin": "yes"}}, InvalidSetting, r"loader\.coin .* needs loader\.schedule=alternate"),
        (
            {"scheme": "left-only", "schedule": "alternate", "sets": {"loader.coin": "yes"}},
            CannotBear,
            r"loader\.coin has nothing to choose under scheme 'left-only'",
        ),
    ],
)
def test_bad_requests_get_one_sentence(
    tiny: ModuleType, given: dict[str, Any], error: type[MMBenchError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as caught:
        resolve(tiny.request(**given))
    assert "\n" not in str(caught.value)


def test_a_model_that_needs_whole_rows_is_refused_unless_paired_only(
    tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = replace(MODELS["mvae"].facts, partial_train_holds=False)
    monkeypatch.setattr(MODELS["mvae"], "facts", facts)
    with pytest.raises(CannotBear, match=r"rows that hold only left; use --paired-only .*, or --f 1\."):
        resolve(tiny.request())
    with pytest.raises(CannotBear, match="rows that hold only right"):
        resolve(tiny.request(scheme="right-only"))
    assert resolve(tiny.request(paired_only=True)).paired_only
    assert resolve(tiny.request(f=1.0)).scheme == "complete"
    assert resolve(tiny.request(scheme="complete", f=0.5)).f == 0.5


def test_every_model_and_preset_resolves_where_its_networks_fit() -> None:
    for name, model in MODELS.builtin().items():
        for preset in model.presets:
            spec = resolve(Request(model=name, preset=preset, sets={"data.size": "full"}))
            assert read_spec(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_spec_comes_back_from_json(tiny: ModuleType) -> None:
    spec = resolve(tiny.request(sets={"train.clip": "1.5", "metrics.spread.scale": "3"}))
    assert read_spec(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("settings.train.lr", ..., r"the spec lacks settings\.train\.lr"),
        ("settings.loader", ..., r"the spec lacks settings\.loader"),
        ("settings.train.lrr", 1.0, r"unknown setting of 'train' 'lrr'"),
        ("settings.trian", {"lr": 1.0}, r"unknown section of settings 'trian'"),
        ("settings.train.batch_size", "16", r"settings\.train\.batch_size is '16', a resolved spec has 16 there"),
        ("settings.train.batch_size", 1.5, r"train\.batch_size must be a whole number, got 1\.5"),
        ("settings.train", 3, r"'settings' of a run spec must map names to settings"),
        ("f", 1.0, r"the spec's scheme is 'split', a resolved spec has 'complete' there"),
        ("f", "0.5", r"f must be a number"),
        ("seed", True, r"seed must be a whole number"),
        ("model", ["mvae"], r"model must be a name"),
        ("device", "cpu", r"unknown key of a run spec 'device'"),
        ("scheme", ..., r"a run spec needs the key 'scheme'"),
        ("metrics.spread.scale", -1.0, r"metrics\.spread\.scale must be greater than 0"),
    ],
)
def test_a_spec_that_is_not_resolved_is_refused(tiny: ModuleType, path: str, value: Any, sentence: str) -> None:
    with pytest.raises(MMBenchError, match=sentence):
        read_spec(changed(resolve(tiny.request()), path, value))


def test_the_fit_key_holds_all_that_changes_the_weights_and_nothing_else(tiny: ModuleType) -> None:
    spec = resolve(tiny.request())
    key = fit_key(spec, "digest")
    assert key == fit_key(resolve(tiny.request(metrics=())), "digest")
    others = [
        fit_key(spec, "another digest"),
        fit_key(resolve(tiny.request(model="mmvae")), "digest"),
        fit_key(resolve(tiny.request(scheme="left-only")), "digest"),
        fit_key(resolve(tiny.request(f=0.25)), "digest"),
        fit_key(resolve(tiny.request(seed=1)), "digest"),
        fit_key(resolve(tiny.request(paired_only=True)), "digest"),
        fit_key(resolve(tiny.request(schedule="alternate")), "digest"),
        fit_key(resolve(tiny.request(sets={"arch.latent_dim": "4"})), "digest"),
        fit_key(resolve(tiny.request(sets={"train.lr": "0.5"})), "digest"),
        fit_key(resolve(tiny.request(sets={"data.pairs": "2"})), "digest"),
    ]
    assert len({key, *others}) == 1 + len(others)


def test_the_fit_key_changes_with_the_models_mathematics(tiny: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = resolve(tiny.request())
    before = fit_key(spec, "digest")
    monkeypatch.setattr(MODELS["mvae"], "version", 99)
    assert fit_key(spec, "digest") != before


def test_the_spec_hash_does_not_depend_on_metrics(tiny: ModuleType) -> None:
    assert spec_hash(resolve(tiny.request())) == spec_hash(resolve(tiny.request(metrics=())))
    assert spec_hash(resolve(tiny.request())) != spec_hash(resolve(tiny.request(seed=3)))
