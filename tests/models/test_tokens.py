"""Tokens in networks and models: where they begin and end, pseudo-inputs at the embedding, and caption networks."""

import dataclasses

import pytest
import torch

from mmbench.errors import CannotBear
from mmbench.modality import Batch, ModalitySpec, Tokens
from mmbench.models.architecture import Architecture
from mmbench.models.base import MODELS
from mmbench.models.networks import build
from mmbench.models.networks.tokens import TiedScores, TokenEmbedding, embedding_of
from mmbench.testing.small_models import evaluated, loss_of, make_model, rows, step_noise

TEXT = ModalitySpec("text", "tokens", (5,), Tokens(7, ignored=0))
CAPTION = ModalitySpec("caption", "tokens", (32,), Tokens(50, ignored=1))
IMAGE = ModalitySpec("image", "image", (1, 4, 4))


@pytest.mark.parametrize("networks", ["small", "linear", "paper", "transformer"])
def test_a_coder_takes_tokens_or_their_embeddings_and_scores_the_vocabulary(networks):
    arch = Architecture(networks=networks, latent_dim=6)
    coder = build(CAPTION, arch)
    x = torch.randint(50, (3, 32), dtype=torch.int16)
    location, scale = coder.encoder(x)
    assert location.shape == scale.shape == (3, 6)
    embedding = embedding_of(coder.encoder)
    assert isinstance(embedding, TokenEmbedding)
    assert all(torch.equal(a, b) for a, b in zip(coder.encoder(embedding(x)), (location, scale), strict=True))
    assert coder.decoder(torch.randn(4, 6)).numel() == 4 * 32 * 50


@pytest.mark.parametrize("networks", ["small", "paper", "transformer"])
def test_rows_of_a_caption_network_are_independent_and_places_matter(networks):
    coder = build(CAPTION, Architecture(networks=networks, latent_dim=6))
    x = torch.randint(50, (4, 32), dtype=torch.int16)
    whole = coder.encoder(x)[0]
    assert torch.allclose(whole[1:2], coder.encoder(x[1:2])[0], atol=1e-6)
    assert not torch.allclose(whole, coder.encoder(x.flip(1))[0], atol=1e-4)
    z = torch.randn(3, 6)
    assert torch.allclose(coder.decoder(z)[2:], coder.decoder(z[2:]), atol=1e-6)


def test_the_paper_s_caption_decoder_scores_by_the_encoder_s_embedding():
    coder = build(CAPTION, Architecture(networks="paper", latent_dim=6))
    (scores,) = [module for module in coder.decoder.modules() if isinstance(module, TiedScores)]
    assert scores.embedding is embedding_of(coder.encoder)
    some = torch.randn(2, 32, 128)
    assert torch.allclose(scores(some), some @ scores.embedding.weight.T + scores.bias, atol=1e-5)


def test_features_go_through_the_widths_of_table_8c():
    coder = build(ModalitySpec("image", "vector", (2048,)), Architecture(networks="paper", latent_dim=8))
    linear = [m for m in coder.encoder.trunk if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in linear] == [1024, 512, 256]
    back = [m for m in coder.decoder if isinstance(m, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in back] == [(8, 256), (256, 512), (512, 1024), (1024, 2048)]


def test_networks_for_other_lengths_are_refused_with_what_to_do():
    with pytest.raises(CannotBear, match=r"take rows of tokens of 32, modality 'text' is 5; use arch.networks=small"):
        build(TEXT, Architecture(networks="paper"))
    with pytest.raises(CannotBear, match="'released' take rows of tokens of"):
        build(TEXT, Architecture(networks="released"))


def test_pseudo_inputs_of_tokens_are_embeddings_and_learn():
    model = make_model(MODELS["meme"], modalities=(IMAGE, TEXT), pseudo_inputs=4)
    assert model.pseudo["text"].shape == (4, 5, 64)
    given = rows(model, 9, seed=1)["text"]
    encoded = model.gaussian("text", given[:4])
    model.initialise(Batch({"text": given}))
    assert torch.allclose(model.pseudo_encodings("text").location, encoded.location)
    evaluated(model, {"image": rows(model)["image"]}, step_noise(), "main")
    assert model.pseudo["text"].grad is not None
    assert model.pseudo["text"].grad.abs().max() > 0


@pytest.mark.parametrize("name", ["meme", "mmvae", "mvae"])
def test_padding_of_generated_text_changes_no_loss_but_real_tokens_do(name):
    """A decoder that says something else at padded places costs nothing; at a real place it does."""
    model = make_model(MODELS[name], modalities=(IMAGE, TEXT))
    values = rows(model)
    values["text"][:, 3:] = 0
    before = loss_of(model, values, step_noise(), "main")
    *_, last = model.decoders["text"].children()

    def changed(at: int) -> torch.Tensor:
        def add(module, inputs, output):
            output = output.clone()
            output[:, at, 2] += 3.0
            return output

        hook = last.register_forward_hook(add)
        found = loss_of(model, values, step_noise(), "main")
        hook.remove()
        return found

    assert torch.equal(changed(4), before)
    assert not torch.allclose(changed(1), before)


def test_text_comes_up_to_the_end_mark_without_hidden_tokens():
    words = ("<pad>", "<eos>", "a", "red", "bird")
    tokens = Tokens(5, end=1, ignored=0, words=words, hidden=frozenset({0, 1}))
    assert tokens.text([2, 3, 4, 1, 4, 0]) == "a red bird"
    assert tokens.text([0, 2, 0, 3]) == "a red"
    letters = dataclasses.replace(tokens, end=None, words=tuple("-_xyz"), joiner="", hidden=frozenset())
    assert letters.text([2, 3, 1]) == "xy_"
