"""The Transformer against torch's and the annotated one with the same weights; its padding, its recipes."""

import dataclasses
import math
import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.architectures import padding
from torch import Tensor, nn

from fathom.architectures.transformers import transformer
from fathom.architectures.transformers.transformer import PADDING, TIES, Config, Transformer, tiny
from fathom.task import Boundary
from fathom.training import train
from fathom.training.objectives import IGNORE, NextToken

SMALL = Config(
    source_vocabulary=13, target_vocabulary=13, places=9, width=12, layers=2, heads=3, hidden=20, dropout=0.0
)  # fmt: skip
ORDERS = pytest.mark.parametrize("pre_norm", [False, True])
# Each part of a layer of ours, and what torch calls it and the norm beside it.
PARTS = {
    "encoder": {"around": ("self_attn", "norm1"), "dense": ("linear", "norm2")},
    "decoder": {
        "back": ("self_attn", "norm1"), "across": ("multihead_attn", "norm2"), "dense": ("linear", "norm3"),
    },
}  # fmt: skip


class Torchs(nn.Module):
    """torch's nn.Transformer, between embeddings, positions and scores as the paper has them.

    torch adds a norm after the last layer of each stack whichever order is asked for. The paper's order has
    none there, for each of its layers ends in one; so they are left out of that order here.
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        how: dict[str, Any] = {"dropout": 0.0, "batch_first": True, "norm_first": cfg.pre_norm}
        reads = nn.TransformerEncoderLayer(cfg.width, cfg.heads, cfg.hidden, **how)
        writes = nn.TransformerDecoderLayer(cfg.width, cfg.heads, cfg.hidden, **how)
        last = [nn.LayerNorm(cfg.width) if cfg.pre_norm else None for _ in range(2)]
        self.net = nn.Transformer(
            cfg.width, cfg.heads, batch_first=True,
            custom_encoder=nn.TransformerEncoder(reads, cfg.layers, last[0], enable_nested_tensor=False),
            custom_decoder=nn.TransformerDecoder(writes, cfg.layers, last[1]),
        )  # fmt: skip
        self.target = nn.Embedding(cfg.target_vocabulary, cfg.width)
        self.source = None if cfg.tied == "all" else nn.Embedding(cfg.source_vocabulary, cfg.width)
        self.head = nn.Linear(cfg.width, cfg.target_vocabulary, bias=False) if cfg.tied == "none" else None

    def forward(self, source: Tensor, previous: Tensor) -> Tensor:
        later = torch.ones(previous.shape[1], previous.shape[1], dtype=torch.bool).triu(1)
        reads = self.target if self.source is None else self.source
        x = self.net(
            placed(reads, source), placed(self.target, previous), tgt_mask=later,
            src_key_padding_mask=source == PADDING, memory_key_padding_mask=source == PADDING,
            tgt_key_padding_mask=previous == PADDING,
        )  # fmt: skip
        return x @ (self.target if self.head is None else self.head).weight.T


def placed(embedding: nn.Embedding, token: Tensor) -> Tensor:
    """Section 3.4, and the waves of section 3.5, to the precision of float32."""
    width, places = embedding.embedding_dim, torch.arange(token.shape[1], dtype=torch.float64)
    x, table = embedding(token) * math.sqrt(width), torch.empty(token.shape[1], width)
    angle = places[:, None] / 10000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    table[:, 0::2], table[:, 1::2] = angle.sin(), angle.cos()
    return x + table.to(x.dtype)


def torchs_names(cfg: Config, named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ours, or their gradients, under torch's names; queries, keys and values in one."""
    found = {}
    for stack, parts in PARTS.items():
        for layer in range(cfg.layers):
            for part, (name, norm) in parts.items():
                at, to = f"{stack}.{layer}.{part}", f"net.{stack}.layers.{layer}"
                for kind in ("weight", "bias"):
                    found[f"{to}.{norm}.{kind}"] = named[f"{at}.norm.{kind}"]
                    if name == "linear":
                        found[f"{to}.linear1.{kind}"] = named[f"{at}.part.wide.{kind}"]
                        found[f"{to}.linear2.{kind}"] = named[f"{at}.part.narrow.{kind}"]
                        continue
                    three = [named[f"{at}.part.{n}.{kind}"] for n in ("query", "key", "value")]
                    found[f"{to}.{name}.in_proj_{kind}"] = torch.cat(three)
                    found[f"{to}.{name}.out_proj.{kind}"] = named[f"{at}.part.out.{kind}"]
    last = {"norm_read": "net.encoder.norm", "norm_written": "net.decoder.norm"}
    for name, tensor in named.items():
        module, _, kind = name.rpartition(".")
        if module in (*last, "target", "source", "head"):
            found[f"{last.get(module, module)}.{kind}"] = tensor
    return found


def pair(cfg: Config, dtype: torch.dtype = torch.float32) -> tuple[Transformer, Torchs]:
    """Two of the same weights, all drawn, and so large that attention is far from even."""
    ours = cfg.build().to(dtype)
    for name, weight in ours.named_parameters():
        mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        nn.init.normal_(weight, mean, 0.3)
    theirs = Torchs(cfg).to(dtype)
    theirs.load_state_dict(torchs_names(cfg, dict(ours.state_dict())))
    return ours, theirs


def texts(rows: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Sources, what was written before, and targets: rows of all lengths, filled up."""
    dice = torch.Generator().manual_seed(seed)
    source, target = (torch.randint(3, 13, (rows, n), generator=dice) for n in (9, 7))
    for row in range(rows):
        source[row, max(1, 9 - 3 * row) :] = PADDING
        target[row, max(1, 7 - 2 * (rows - row - 1)) :] = IGNORE
    previous = F.pad(target[:, :-1], (1, 0), value=1).masked_fill(target == IGNORE, PADDING)
    return source, previous, target


@ORDERS
@pytest.mark.parametrize("tied", TIES)
def test_scores_and_gradients_equal_torchs(tied: Any, pre_norm: bool) -> None:
    sizes = {"tied": tied, "pre_norm": pre_norm, "source_vocabulary": 13 if tied == "all" else 17}
    cfg = dataclasses.replace(SMALL, **sizes)
    ours, theirs = pair(cfg)
    source, previous, target = texts()
    made, expected = ours(source, previous), theirs(source, previous)
    real = target != IGNORE
    torch.testing.assert_close(made[real], expected[real], rtol=1e-5, atol=1e-5)
    for scores in (made, expected):
        F.cross_entropy(scores[real], target[real]).backward()
    grads = torchs_names(cfg, {n: p.grad for n, p in ours.named_parameters() if p.grad is not None})
    wanted = {name: p.grad for name, p in theirs.named_parameters()}
    assert set(grads) == set(wanted)
    for name, grad in wanted.items():
        assert grad is not None
        torch.testing.assert_close(grads[name], grad, rtol=1e-4, atol=1e-4, msg=name)


@ORDERS
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_a_hundred_steps_of_training_equal_torchs(pre_norm: bool, dtype: torch.dtype, near: float) -> None:
    """The same weights, batches and optimizer: the same loss at each step."""
    cfg = dataclasses.replace(SMALL, pre_norm=pre_norm)
    ours, theirs = cfg.build().to(dtype), Torchs(cfg).to(dtype)
    theirs.load_state_dict(torchs_names(cfg, dict(ours.state_dict())))
    curves: list[list[float]] = []
    for model in (ours, theirs):
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.98))
        losses = []
        for step in range(100):
            source, *_ = texts(8, seed=step)
            target = source[:, :7].masked_fill(source[:, :7] == PADDING, IGNORE)  # to be copied
            previous = F.pad(source[:, :6], (1, 0), value=1)
            loss, _ = NextToken()(model, (source, previous, target))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        curves.append(losses)
    assert curves[0] == pytest.approx(curves[1], abs=near, rel=near)
    assert curves[0][-1] < 0.8 * curves[0][0]  # something was learned


def annotated_norm(model: Transformer, norm: Any, x: Tensor) -> Tensor:
    """Divides by the deviation of a sample, to which it adds a millionth; gains so that ours are meant."""
    gain = norm.weight * math.sqrt(model.cfg.width / (model.cfg.width - 1))
    return gain * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6) + norm.bias


def annotated_attention(heads: int, part: Any, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
    """Head by head, for one text."""
    e = x.shape[1] // heads
    answers = []
    for j in range(heads):
        own = slice(j * e, (j + 1) * e)
        query, key, value = (
            given @ layer.weight[own].T + layer.bias[own]
            for given, layer in ((x, part.query), (memory, part.key), (memory, part.value))
        )
        scores = (query @ key.T / math.sqrt(e)).masked_fill(~mask, -1e9)
        answers.append(scores.softmax(dim=-1) @ value)
    return torch.cat(answers, dim=1) @ part.out.weight.T + part.out.bias


def annotated(model: Any, source: Tensor, previous: Tensor) -> Tensor:
    """The scores (t, v) of one text as the annotated transformer computes them, but for their bias."""

    def attend(to: Any, x: Tensor, memory: Tensor | None, mask: Tensor) -> Tensor:
        seen = annotated_norm(model, to.norm, x)
        answering = seen if memory is None else memory
        return x + annotated_attention(model.cfg.heads, to.part, seen, answering, mask)

    def think(to: Any, x: Tensor) -> Tensor:
        wide = annotated_norm(model, to.norm, x) @ to.part.wide.weight.T + to.part.wide.bias
        return x + wide.clamp(min=0) @ to.part.narrow.weight.T + to.part.narrow.bias

    there, t = (source != PADDING)[None], len(previous)
    x = placed(model.source, source[None])[0]
    for layer in model.encoder:
        x = think(layer.dense, attend(layer.around, x, None, there))
    memory, y = annotated_norm(model, model.norm_read, x), placed(model.target, previous[None])[0]
    back = (previous != PADDING)[None] & torch.ones(t, t).tril().bool()
    for layer in model.decoder:
        y = attend(layer.across, attend(layer.back, y, None, back), memory, there)
        y = think(layer.dense, y)
    return annotated_norm(model, model.norm_written, y) @ model.head.weight.T


def test_scores_equal_the_annotated_transformer() -> None:
    """Rush (2018) writes it with the norms first; it is no package, so its equations are written out here."""
    model, _ = pair(dataclasses.replace(SMALL, tied="none", pre_norm=True), torch.float64)
    for part in model.modules():
        if isinstance(part, nn.LayerNorm):
            part.eps = 0.0  # beside the variance; theirs stands beside the deviation
    source, previous, target = texts()
    made = model(source, previous)
    for row in range(len(source)):
        real = target[row] != IGNORE
        expected = annotated(model, source[row], previous[row])
        torch.testing.assert_close(made[row][real], expected[real], rtol=1e-5, atol=1e-5)


@ORDERS
def test_alignments_equal_torchs_maps_of_the_last_layer(pre_norm: bool) -> None:
    ours, theirs = pair(dataclasses.replace(SMALL, pre_norm=pre_norm))
    source, previous, target = texts()
    last, caught = theirs.net.decoder.layers[-1].multihead_attn, []  # type: ignore[union-attr]
    last.register_forward_pre_hook(lambda module, given: caught.append(given))  # type: ignore[union-attr]
    theirs(source, previous)
    hidden = source == PADDING
    expected = last(*caught[0], key_padding_mask=hidden, need_weights=True)[1]  # type: ignore[operator]
    made, real = ours.alignments(source, previous), target != IGNORE
    torch.testing.assert_close(made[real], expected[real], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(made.sum(dim=2), torch.ones(4, 7))
    assert not made.transpose(1, 2)[hidden].any()


@pytest.mark.parametrize(
    ("name", "table", "projections"), [("transformer_base", 65e6, 512), ("transformer_big", 213e6, 1024)]
)
def test_published_sizes(name: str, table: float, projections: int) -> None:
    """What torch counts; and as table 3 has it, which rounds, for "about 37000" tokens, to 4 percent.

    The paper's projections have no biases: four for each of 18 attentions.
    """
    with torch.device("meta"):
        model = getattr(transformer, name)()
        theirs = Torchs(transformer.SIZES[name])
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(p.numel() for p in theirs.parameters())
    assert count - 18 * 4 * projections == pytest.approx(table, rel=0.04)
    assert getattr(transformer, name).__doc__.startswith(f"{count / 1e6:.0f} million parameters")


@ORDERS
def test_later_tokens_change_no_score_before_them(pre_norm: bool) -> None:
    model, _ = pair(dataclasses.replace(SMALL, pre_norm=pre_norm))
    source, previous = torch.randint(3, 13, (2, 9)), torch.randint(3, 13, (2, 7))
    whole, other = model(source, previous), previous.clone()
    for t in reversed(range(1, 7)):
        other[:, t:] = PADDING
        torch.testing.assert_close(model(source, other)[:, :t], whole[:, :t])
        torch.testing.assert_close(model(source, previous[:, :t]), whole[:, :t], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(model(source, other)[:, 1], whole[:, 1])  # but that of its own place


def test_a_padded_batch_equals_its_rows_one_by_one() -> None:
    padding.equals_its_rows(pair(SMALL)[0], apart=1e-5)


def test_padding_changes_neither_loss_nor_gradient() -> None:
    padding.costs_nothing(pair(SMALL)[0], apart=1e-5)


def test_a_source_of_nothing_but_padding_gives_numbers() -> None:
    model, _ = pair(SMALL)
    source = torch.tensor([[4, 5, 2], [PADDING] * 3])
    scores = model(source, torch.ones(2, 3, dtype=torch.int64))
    assert scores.isfinite().all()
    scores.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_order_of_the_source_matters() -> None:
    model, _ = pair(SMALL)
    source, previous = torch.tensor([[3, 4, 5, 6, 2]]), torch.ones(1, 3, dtype=torch.int64)
    assert not torch.allclose(model(source, previous), model(source[:, [1, 0, 2, 3, 4]], previous), atol=1e-3)


@ORDERS
def test_dropout_is_of_training_alone(pre_norm: bool) -> None:
    model = dataclasses.replace(SMALL, dropout=0.5, pre_norm=pre_norm).build()
    given = texts()[:2]
    assert not torch.equal(model(*given), model(*given))
    model.eval()
    assert torch.equal(model(*given), model(*given))
    assert sum(isinstance(m, nn.Dropout) for m in model.modules()) == 1 + 2 * 2 + 2 * 3  # section 5.4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"width": 0}, "width is 0; it must be 1 or more"),
        ({"width": 10}, "width is 10; it must be a multiple of heads, 3"),
        ({"width": 15}, "width is 15; it must be even"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"target_vocabulary": 12}, "one matrix for both needs one vocabulary: take tied='target'"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        dataclasses.replace(SMALL, **settings)


def test_a_tie_that_does_not_exist_is_refused() -> None:
    cfg = Config()
    object.__setattr__(cfg, "tied", "source")  # past the check of types, which only tests have
    with pytest.raises(ValueError, match="tied is 'source'; it must be one of all, target, none"):
        cfg.__post_init__()


def test_texts_that_are_too_long_or_of_other_words_are_refused() -> None:
    model = SMALL.build()
    short, long = (torch.ones(1, n, dtype=torch.int64) for n in (3, 10))
    for given in ((long, short), (short, long)):
        with pytest.raises(ValueError, match="there are 0 to 8"):
            model(*given)
    with pytest.raises(IndexError):
        model(torch.tensor([[13]]), short)


def test_tiny_learns_to_write_backwards() -> None:
    experiment = tiny()
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps)
    found = experiment.task.evaluate(Boundary(experiment.task, learner.model), data.valid)
    assert found.metrics["accuracy"] > 0.95 and found.metrics["exact"] > 0.8
    assert len(found.detail["alignments"]) == 4


def test_what_is_to_be_copied_was_never_seen() -> None:
    from fathom.recipes.transformer import Copies, copy_task

    experiment = copy_task()
    data, task = experiment.data.load(), experiment.task
    splits: list[Any] = [data.train, data.valid, data.test]
    assert [len(split) for split in splits] == [8000, 500, 500]
    seen: set[tuple[int, ...]] = set()
    for split in splits:
        source, previous, target = split.rows(torch.arange(len(split)))
        assert torch.equal(target.masked_fill(target == IGNORE, PADDING), source)
        assert torch.equal(previous[:, 1:], source[:, :-1].masked_fill(source[:, :-1] == 2, PADDING))
        rows = set(map(tuple, source.tolist()))
        assert len(rows) == len(source) and not rows & seen
        seen |= rows
        lengths = (source != PADDING).sum(dim=1) - 1
        assert lengths.unique().tolist() == list(range(4, 11))
    vocabulary = len(task.source_vocabulary)  # type: ignore[attr-defined]
    assert vocabulary == experiment.model.source_vocabulary == 14  # type: ignore[attr-defined]
    assert Copies(longest=5, learned=100).load().facts["longest"] == 5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shortest": 0}, "shortest is 0"),
        ({"held_out": 0}, "held_out is 0"),
        ({"longest": 3}, "longest is 3; it must be shortest, 4, or more"),
        ({"shortest": 2}, "there are 100 sequences of that length, too few to draw 1000 different ones"),
    ],
)
def test_copies_that_cannot_be_drawn_are_refused(settings: dict[str, int], words: str) -> None:
    from fathom.recipes.transformer import Copies

    with pytest.raises(ValueError, match=re.escape(words)):
        Copies(**settings)


def test_captions_are_those_of_the_recurrent_translator() -> None:
    from fathom.data import places
    from fathom.recipes.seq2seq import Captions
    from fathom.recipes.transformer import TRANSLATOR, transformer_multi30k

    if places.locate("multi30k") is None:
        pytest.skip("the data set multi30k is in none of the places looked at")
    own = transformer_multi30k(dataclasses.replace(TRANSLATOR, width=32))
    assert own.data == Captions() and own.task == Captions().task()
    model: Any = own.model
    assert model.width == 32 and model.places == own.task.source_length  # type: ignore[attr-defined]
    assert model.target_vocabulary == len(own.task.target_vocabulary)  # type: ignore[attr-defined]
