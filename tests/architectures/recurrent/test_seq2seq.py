"""The translator equals its equations written out, whichever way it looks back; padding changes nothing."""

import copy
import dataclasses
import math
import re

import pytest
import torch
import torch.nn.functional as F
from tests.architectures import padding
from torch import nn

from fathom.architectures.recurrent.seq2seq import ATTENTIONS, Config, Seq2Seq, tiny
from fathom.fundamentals.recurrence.beam_search import beam_search_by_hand
from fathom.task import Boundary
from fathom.tasks.sequence_to_sequence import END, PADDING, START, UNKNOWN
from fathom.training import train
from fathom.training.objectives import IGNORE

SIZES = Config(source_vocabulary=11, target_vocabulary=13, embedding=5, width=6, dropout=0.0)
EVERY = pytest.mark.parametrize("attention", ATTENTIONS)


def model_of(attention: str = "dot") -> Seq2Seq:
    """With weights large enough that attention is far from even."""
    model = dataclasses.replace(SIZES, attention=attention).build().eval()  # type: ignore[arg-type]
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.7)
    return model


def gru_step(gru: nn.Module, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Cho et al. (2014), with torch's place of the reset gate: after the product with the state."""
    w = {name.removeprefix("kernel."): weight for name, weight in gru.named_parameters()}
    from_x = w["weight_ih_l0"] @ x + w["bias_ih_l0"]
    from_h = w["weight_hh_l0"] @ h + w["bias_hh_l0"]
    n = len(h)
    reset = torch.sigmoid(from_x[:n] + from_h[:n])
    keep = torch.sigmoid(from_x[n : 2 * n] + from_h[n : 2 * n])
    new = torch.tanh(from_x[2 * n :] + reset * from_h[2 * n :])
    return (1 - keep) * new + keep * h


def fit(model: Seq2Seq, h: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """How well a state of the reader fits one of the writer: Luong et al. (2015), eq. 8; Bahdanau, A.1.2."""
    look = model.attention.look  # type: ignore[union-attr]
    if model.cfg.attention == "dot":
        return (h * state).sum()
    if model.cfg.attention == "general":
        return h @ (look.general.weight @ state)
    if model.cfg.attention == "concat":
        return look.score.weight[0] @ torch.tanh(look.join.weight @ torch.cat([h, state]))
    return look.score.weight[0] @ torch.tanh(look.query.weight @ h + look.memory.weight @ state)


def written_out(model: Seq2Seq, source: list[int], previous: list[int]) -> torch.Tensor:
    """Scores (t, v) of one pair, equation by equation, from a source without padding."""
    h = torch.zeros(model.cfg.width, dtype=model.head.weight.dtype)
    states = []
    for token in source:
        h = gru_step(model.encoder.gru, model.encoder.embedding.weight[token], h)
        states.append(h)
    scores = []
    for token in previous:
        h = gru_step(model.decoder, model.embedding.weight[token], h)
        z = h
        if model.attention is not None:
            likeness = [torch.exp(fit(model, h, s)) for s in states]
            shares = [a / torch.stack(likeness).sum() for a in likeness]
            seen = torch.stack([a * s for a, s in zip(shares, states, strict=True)]).sum(dim=0)
            z = torch.tanh(model.attention.mix.weight @ torch.cat([seen, h]))
        scores.append(model.head.weight @ z + model.head.bias)
    return torch.stack(scores)


@EVERY
def test_scores_and_gradients_equal_the_equations(attention: str) -> None:
    ours = model_of(attention)
    theirs = copy.deepcopy(ours).double()
    source = torch.tensor([[4, 9, 2, PADDING, PADDING], [7, 7, 10, 5, 2], [2, 0, 0, 0, 0]])
    previous = torch.randint(3, 13, (3, 4))
    made = ours(source, previous)
    expected = torch.stack([
        written_out(theirs, [t for t in row if t != PADDING], before)
        for row, before in zip(source.tolist(), previous.tolist(), strict=True)
    ])  # fmt: skip
    torch.testing.assert_close(made.double(), expected, atol=1e-5, rtol=1e-5)
    target = torch.randint(13, (3, 4))
    F.cross_entropy(made.flatten(0, 1), target.flatten()).backward()
    F.cross_entropy(expected.flatten(0, 1), target.flatten()).backward()
    for ours_weight, theirs_weight in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert ours_weight.grad is not None and theirs_weight.grad is not None
        torch.testing.assert_close(ours_weight.grad.double(), theirs_weight.grad, atol=1e-4, rtol=1e-4)


@EVERY
def test_teacher_forcing_is_writing_what_the_teacher_says(attention: str) -> None:
    """All places of a target at once, or one after the other with what came before: the same scores."""
    model = model_of(attention)
    source, previous = torch.randint(3, 11, (2, 5)), torch.randint(3, 13, (2, 6))
    together = model(source, previous)
    for t in range(6):
        torch.testing.assert_close(
            model(source, previous[:, : t + 1])[:, -1], together[:, t], atol=1e-5, rtol=1e-5
        )


def test_beams_enough_write_the_best_of_all_texts() -> None:
    """A vocabulary of 4 words and the end: every text of at most 3 tokens is scored, and the best is ours."""
    from fathom.tasks.sequence_to_sequence import SPECIAL, SequenceToSequence

    words = (*SPECIAL, "a", "b", "c", "d")
    sizes = {"source_vocabulary": words, "target_vocabulary": words, "source_length": 4, "target_length": 3}
    greedy, wide = (
        SequenceToSequence(**sizes, beams=beams, length_penalty=0.7)  # type: ignore[arg-type]
        for beams in (1, 200)
    )
    cfg = Config(source_vocabulary=8, target_vocabulary=8, embedding=5, width=6, dropout=0.0)
    source, missed = torch.tensor([[4, 5, 2, 0], [7, 2, 0, 0], [6, 6, 4, 2], [2, 0, 0, 0]]), 0
    for _ in range(3):
        model = cfg.build().eval()
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.5)

        @torch.no_grad()
        def score(
            written: torch.Tensor, row: torch.Tensor, parent: torch.Tensor, model: Seq2Seq = model
        ) -> torch.Tensor:
            logits = model(source[row], written)[:, -1].double()
            logits[:, [PADDING, START, UNKNOWN]] = -math.inf
            return logits.log_softmax(dim=-1)

        settings = {"start": START, "end": END, "beams": 1, "longest": 3, "rows": 4, "alpha": 0.7}
        best = [list(row[0].tokens) for row in beam_search_by_hand(score, **settings)]  # type: ignore[arg-type]
        assert wide.write(Boundary(wide, model), source.numpy()) == best
        missed += greedy.write(Boundary(greedy, model), source.numpy()) != best
    assert missed  # the likeliest token each time is not always the way


def test_a_padded_batch_equals_its_rows_one_by_one() -> None:
    padding.equals_its_rows(model_of(), apart=1e-6)


def test_padding_changes_neither_loss_nor_gradient() -> None:
    padding.costs_nothing(model_of(), apart=1e-6)


def test_later_tokens_change_no_score_before_them() -> None:
    model = model_of()
    source, previous = torch.randint(3, 11, (1, 5)), torch.randint(3, 13, (1, 6))
    other = previous.clone()
    other[0, 3:] = PADDING
    torch.testing.assert_close(model(source, other)[:, :3], model(source, previous)[:, :3])


@EVERY
def test_alignments_share_out_a_look_over_what_is_there(attention: str) -> None:
    model = model_of(attention)
    source = torch.tensor([[4, 9, 2, PADDING, PADDING], [7, 7, 10, 5, 2]])
    previous = torch.randint(3, 13, (2, 4))
    looked = model.alignments(source, previous)
    if attention == "none":
        assert looked is None
        return
    assert looked is not None and looked.shape == (2, 4, 5)
    torch.testing.assert_close(looked.sum(dim=2), torch.ones(2, 4))
    assert not looked[0, :, 3:].any()


def test_it_looks_where_the_source_is_like_the_state() -> None:
    attention = model_of().attention
    assert attention is not None
    with torch.no_grad():
        attention.mix.weight.copy_(torch.cat([torch.eye(6), torch.zeros(6, 6)], dim=1))  # shows what is seen
    states = 20 * torch.eye(6)[None]  # six states at right angles
    half = 0.1 * states
    seen, looked = attention(0.5 * states[:, 2:3], half, torch.ones(1, 6, dtype=torch.int64))
    assert seen[0, 0].argmax() == looked[0, 0].argmax() == 2
    blind, _ = attention(torch.eye(6)[None, 2:3], states, torch.tensor([[1, 1, PADDING, 1, 1, 1]]))
    assert blind[0, 0, 2] == 0


def test_number_of_weights() -> None:
    cfg = Config(source_vocabulary=100, target_vocabulary=120, embedding=32, width=64)
    with torch.device("meta"):
        model = cfg.build()
    gru = 3 * 64 * (32 + 64 + 2)
    expected = 100 * 32 + 120 * 32 + 2 * gru + 128 * 64 + 65 * 120
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(("field", "value"), [("width", 0), ("target_vocabulary", -1), ("dropout", 1.0)])
def test_nonsense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=re.escape(field)):
        Config(**{field: value})  # type: ignore[arg-type]


def test_a_kind_of_attention_that_does_not_exist_is_refused() -> None:
    cfg = Config()
    object.__setattr__(cfg, "attention", "location")  # past the check of types, which only tests have
    with pytest.raises(ValueError, match="attention is 'location'; it must be one of none, dot"):
        cfg.__post_init__()


def test_tiny_learns_to_write_backwards() -> None:
    experiment = tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps)
    found = experiment.task.evaluate(Boundary(experiment.task, learner.model), data.valid)
    assert found.metrics["accuracy"] > 0.95 and found.metrics["exact"] > 0.8
    text = experiment.task.preprocessing()[0]["vocabulary"]
    assert text[START] == "<start>" and text[END] == "<end>"


def test_the_recipe_takes_short_captions_and_words_of_training_ones() -> None:
    from fathom.data import places
    from fathom.recipes.seq2seq import Captions, seq2seq_multi30k

    if places.locate("multi30k") is None:
        pytest.skip("the data set multi30k is in none of the places looked at")
    experiment = seq2seq_multi30k(Config(width=32))
    data, task = experiment.data.load(), experiment.task
    assert experiment.model.width == 32  # type: ignore[attr-defined]
    assert experiment.model.source_vocabulary == len(task.source_vocabulary)  # type: ignore[attr-defined]
    source, _, target = data.train.rows(torch.arange(len(data.train)))
    assert (source != PADDING).sum(dim=1).max() <= 13 and (target != IGNORE).sum(dim=1).max() <= 13
    seen = torch.bincount(source.flatten(), minlength=len(task.source_vocabulary))  # type: ignore[attr-defined]
    assert seen[4:].min() >= 2  # rarer words are unknown
    assert not Captions(longest=3).short(("one two three four", "eins"))
    assert Captions(longest=3).short(("one, two three.", "eins"))


@pytest.mark.parametrize("field", ["longest", "minimum"])
def test_captions_without_words_are_refused(field: str) -> None:
    from fathom.recipes.seq2seq import Captions

    with pytest.raises(ValueError, match=field):
        Captions(**{field: 0})  # type: ignore[arg-type]
