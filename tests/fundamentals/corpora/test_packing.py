"""Documents in packed rows against each document alone: two systems, transformers' LLaMA, counts, rows."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fathom.architectures.transformers import gpt2, llama
from fathom.fundamentals.attention.sliding_window import sliding_window_mask
from fathom.fundamentals.corpora.packing import (
    NONE,
    Packed,
    own_document_mask,
    pack,
    rows_first_fit,
    rows_first_fit_by_hand,
    rows_in_order,
    rows_in_order_by_hand,
    unpack,
)

LENGTH, VOCABULARY = 16, 23
SIZES = (5, 16, 1, 9, 3, 7, 2, 12, 4)
DOCUMENTS = [
    torch.randint(VOCABULARY, (size,), generator=torch.Generator().manual_seed(size)) for size in SIZES
]
PACKED = pack(DOCUMENTS, rows_first_fit(SIZES, LENGTH), LENGTH)
SMALL = llama.Config(vocabulary=VOCABULARY, context=LENGTH, width=24, layers=3, heads=4, groups=2, hidden=40)
Read = Callable[[nn.Module, Packed], Tensor]


def through_gpt2(model: nn.Module, rows: Packed) -> Tensor:
    assert isinstance(model, gpt2.GPT2)
    x = model.embedding(rows.token) + model.positions.weight[rows.place]
    return model.scores(model.body(x, own_document_mask(rows.document)[:, None]))


def through_llama(model: nn.Module, rows: Packed) -> Tensor:
    assert isinstance(model, llama.Llama)
    mask = own_document_mask(rows.document)
    if model.cfg.window:
        mask = mask & sliding_window_mask(LENGTH, LENGTH, model.cfg.window)
    return model.scores(model.body(rows.token, rows.place[:, None], mask[:, None]))


GPT2 = gpt2.Config(vocabulary=VOCABULARY, context=LENGTH, width=24, layers=3, heads=4, dropout=0.0)
SYSTEMS: dict[str, tuple[gpt2.Config | llama.Config, Read]] = {
    "gpt2": (GPT2, through_gpt2),
    "llama": (SMALL, through_llama),
    "mistral": (replace(SMALL, window=4), through_llama),
    "qwen3": (replace(SMALL, query_key_norm=True, head_width=8, tied=True), through_llama),
}
EVERY = pytest.mark.parametrize("name", list(SYSTEMS))


def made(name: str) -> nn.Module:
    """A system whose every weight is drawn, scales around 1, so that what leaks in would be seen."""
    model = SYSTEMS[name][0].build()
    for key, weight in model.named_parameters():
        nn.init.normal_(weight, 1.0 if "norm" in key and key.endswith("weight") else 0.0, 0.2)
    return model


@EVERY
def test_a_packed_row_gives_the_logits_of_each_document_alone(name: str) -> None:
    model = made(name)
    together = SYSTEMS[name][1](model, PACKED)
    for number, document in enumerate(DOCUMENTS):
        own = PACKED.document == number
        torch.testing.assert_close(together[own], model(document[None])[0], rtol=1e-5, atol=1e-5)


@EVERY
def test_gradients_are_the_sum_of_those_of_each_document_alone(name: str) -> None:
    together, alone = made(name), SYSTEMS[name][0].build()
    alone.load_state_dict(together.state_dict())
    following = [torch.randint(VOCABULARY, (size,)) for size in SIZES]
    target = pack(following, rows_first_fit(SIZES, LENGTH), LENGTH, -100).token
    logits = SYSTEMS[name][1](together, PACKED)
    F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-100, reduction="sum").backward()
    for document, wanted in zip(DOCUMENTS, following, strict=True):
        F.cross_entropy(alone(document[None])[0], wanted, reduction="sum").backward()
    for (key, one), other in zip(together.named_parameters(), alone.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None and one.grad.abs().max() > 0, key
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)


@EVERY
def test_no_document_hears_of_another(name: str) -> None:
    """The gradient of one document's logits with respect to what was read in others is zero, not small."""
    model = made(name)
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        seen.append(output.detach().requires_grad_())
        return seen[-1]

    handle = model.embedding.register_forward_hook(keep)  # type: ignore[union-attr]
    logits = SYSTEMS[name][1](model, PACKED)
    handle.remove()
    for number in range(len(SIZES)):
        own = PACKED.document == number
        (slope,) = torch.autograd.grad(logits[own].square().sum(), seen[0], retain_graph=True)
        assert slope[~own].eq(0).all() and slope[own].abs().max() > 0


def far(one: Tensor, other: Tensor) -> float:
    return float((one - other).detach().abs()[PACKED.document != NONE].max())


@EVERY
def test_what_tells_documents_apart_would_be_missed(name: str) -> None:
    """Without the mask others are heard; places count only where they are not distances alone."""
    model, read = made(name), SYSTEMS[name][1]
    right = read(model, PACKED)
    one_text = replace(PACKED, document=torch.zeros_like(PACKED.document))
    running_on = replace(PACKED, place=torch.arange(LENGTH).expand_as(PACKED.place))
    assert far(right, read(model, one_text)) > 0.01
    if name == "gpt2":
        assert far(right, read(model, running_on)) > 0.01
    else:
        assert far(right, read(model, running_on)) < 1e-4


def test_transformers_llama_finds_the_same_documents_by_their_places() -> None:
    """It takes a place that is not one more than the last for a new document."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=24, intermediate_size=40, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=LENGTH, rms_norm_eps=1e-5,
    )  # fmt: skip
    other, model = transformers.LlamaForCausalLM(config).eval(), made("llama")
    assert isinstance(model, llama.Llama)
    other.load_state_dict(llama.to_transformers(model), strict=True)
    theirs = other(PACKED.token, position_ids=PACKED.place, use_cache=False).logits
    assert far(through_llama(model, PACKED), theirs) < 1e-5
    assert far(through_llama(model, PACKED), other(PACKED.token, use_cache=False).logits) > 0.01


LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS)
def test_rows_hold_every_document_once_and_none_is_overfull(lengths: list[int]) -> None:
    for choose, by_hand in (
        (rows_in_order, rows_in_order_by_hand),
        (rows_first_fit, rows_first_fit_by_hand),
    ):
        rows = choose(lengths, 12)
        assert rows == by_hand(lengths, 12)
        assert sorted(itertools.chain(*rows)) == list(range(len(lengths)))
        assert max(sum(lengths[n] for n in row) for row in rows) <= 12 and min(map(len, rows)) >= 1
    assert list(itertools.chain(*rows_in_order(lengths, 12))) == list(range(len(lengths)))


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 10), min_size=1, max_size=7))
def test_first_fit_is_as_near_to_the_fewest_rows_as_is_said(lengths: list[int]) -> None:
    def fewest(left: tuple[int, ...], rooms: tuple[int, ...]) -> int:
        if not left:
            return len(rooms)
        size, *rest = left
        into = [(*rooms[:i], room - size, *rooms[i + 1 :]) for i, room in enumerate(rooms) if room >= size]
        return min(fewest(tuple(rest), tuple(sorted(r))) for r in [*into, (*rooms, 10 - size)])

    rows = rows_first_fit(lengths, 10)
    assert len(rows) <= 11 / 9 * fewest(tuple(lengths), ()) + 6 / 9


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, in_order=st.booleans())
def test_every_token_is_in_the_rows_once_and_comes_back(lengths: list[int], in_order: bool) -> None:
    ends = list(itertools.accumulate(lengths))
    documents = list(torch.arange(ends[-1]).split(lengths))  # each token is a number of its own
    rows = (rows_in_order if in_order else rows_first_fit)(lengths, 12)
    made = pack(documents, rows, 12, filler=-7)
    assert made.token[made.document != NONE].sort().values.tolist() == list(range(ends[-1]))
    assert made.token[made.document == NONE].eq(-7).all() and made.place[made.document == NONE].eq(0).all()
    assert made.tokens == ends[-1] and made.tokens + made.filling == 12 * len(rows)
    back = unpack(made)
    assert len(back) == len(documents) and all(map(torch.equal, back, documents))


def test_places_begin_anew_and_the_mask_is_of_blocks() -> None:
    made = pack([torch.tensor([5, 6, 7]), torch.tensor([8, 9])], [[0, 1]], 6)
    assert made.token.tolist() == [[5, 6, 7, 8, 9, 0]]
    assert made.document.tolist() == [[0, 0, 0, 1, 1, NONE]]
    assert made.place.tolist() == [[0, 1, 2, 0, 1, 0]]
    blocks = torch.block_diag(*(torch.ones(n, n).tril() for n in (3, 2, 1)))
    assert torch.equal(own_document_mask(made.document)[0], blocks.bool())


def test_many_documents_are_packed_in_time_and_nearly_without_filling() -> None:
    dice = torch.Generator().manual_seed(0)
    lengths = (torch.randn(20_000, generator=dice).mul(0.6).add(2.8).exp().long() + 1).clamp(max=128).tolist()
    for choose, share in ((rows_in_order, 0.85), (rows_first_fit, 0.995)):
        rows = choose(lengths, 128)
        assert sum(lengths) / (128 * len(rows)) >= share


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rows_in_order([3, 0], 4), "document 1 has 0 tokens; a row takes 1 to 4: leave it out"),
        (lambda: rows_first_fit([3, 5], 4), "document 1 has 5 tokens; a row takes 1 to 4: cut it"),
        (lambda: rows_first_fit([1], 0), "length is 0"),
        (lambda: pack([], [], 4), "no documents"),
        (lambda: pack([torch.ones(3)], [[0, 0]], 8), "each of the 1 documents once"),
        (lambda: pack([torch.ones(3), torch.ones(1)], [[0]], 8), "each of the 2 documents once"),
        (lambda: pack([torch.ones(3), torch.ones(2)], [[0, 1]], 4), "row 0 would hold 5 tokens"),
    ],
)
def test_what_cannot_be_packed_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
