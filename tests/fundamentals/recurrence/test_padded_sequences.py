"""Padding, packing and masking against torch's; every recurrent layer on padded rows and on each alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.recurrence.bidirectional import Bidirectional
from fathom.fundamentals.recurrence.gru import GRU
from fathom.fundamentals.recurrence.layer_norm_lstm import LayerNormLSTM
from fathom.fundamentals.recurrence.lstm import LSTM
from fathom.fundamentals.recurrence.padded_sequences import (
    Recurrent,
    check_lengths,
    hide,
    last,
    mask,
    pack,
    pad,
    reverse,
    scan,
    unpack,
)
from fathom.fundamentals.recurrence.stacked import Stacked
from fathom.fundamentals.recurrence.vanilla_rnn import RNN

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # torch says it is slow

LAYERS: dict[str, Callable[[], Recurrent]] = {
    "rnn": lambda: RNN(3, 5),
    "relu": lambda: RNN(3, 5, nonlinearity="relu"),
    "lstm": lambda: LSTM(3, 5),
    "projection": lambda: LSTM(3, 5, projection=2),
    "peepholes": lambda: LSTM(3, 5, projection=4, peepholes=True),
    "gru": lambda: GRU(3, 5),
    "reset before": lambda: GRU(3, 5, reset_after=False),
    "layer norm": lambda: LayerNormLSTM(3, 5),
    "bidirectional": lambda: Bidirectional(LSTM(3, 5), GRU(3, 4)),
    "stacked": lambda: Stacked([LSTM(3, 5), RNN(5, 4), GRU(4, 2)]),
    "deep": lambda: Stacked([Bidirectional(LSTM(3, 5), LSTM(3, 5)), Bidirectional(GRU(10, 2), GRU(10, 2))]),
}
EVERY = pytest.mark.parametrize("kind", list(LAYERS))
LENGTHS = [4, 7, 1, 0, 6, 7]


def made(kind: str) -> Recurrent:
    """A layer in which no weight is zero, so that each of them counts."""
    layer = LAYERS[kind]().eval()
    for weight in layer.parameters():
        weight.data += 0.4 * torch.randn_like(weight)
    return layer


@EVERY
def test_a_padded_row_is_that_row_alone(kind: str) -> None:
    layer, x = made(kind).double(), torch.randn(6, 7, 3, dtype=torch.float64)
    state = tuple(torch.randn(6, width, dtype=torch.float64) for width in layer.widths)
    for begin in (None, state):
        outputs, ends = layer(x, torch.tensor(LENGTHS), begin)
        begin = begin or layer.first(x)
        for k, length in enumerate(LENGTHS):
            own = tuple(part[k : k + 1] for part in begin)
            assert not outputs[k, length:].any()
            if length:
                alone, end = layer(x[k : k + 1, :length], None, own)
                torch.testing.assert_close(outputs[k : k + 1, :length], alone, rtol=0, atol=1e-12)
            else:
                end = own
            for one, other in zip(ends, end, strict=True):
                torch.testing.assert_close(one[k : k + 1], other, rtol=0, atol=1e-12)


@EVERY
def test_gradients_of_padded_rows_are_those_of_the_rows_alone(kind: str) -> None:
    layer = made(kind).double()
    x = torch.randn(3, 6, 3, dtype=torch.float64, requires_grad=True)
    lengths, goal = torch.tensor([2, 6, 3]), torch.randn(3, 6, layer.outputs, dtype=torch.float64)
    leaves = [x, *layer.parameters()]

    def total(outputs: Tensor, ends: tuple[Tensor, ...], goal: Tensor) -> Tensor:
        return (outputs * goal).sum() + sum((end**2).sum() for end in ends)

    together = torch.autograd.grad(total(*layer(x, lengths), goal), leaves)
    alone = sum(total(*layer(x[k : k + 1, :n]), goal[k : k + 1, :n]) for k, n in enumerate(lengths.tolist()))
    for one, other in zip(together, torch.autograd.grad(alone, leaves), strict=True):  # type: ignore[arg-type]
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


@EVERY
def test_what_fills_up_is_never_read(kind: str) -> None:
    """Not even where it is no number at all, and neither forwards nor backwards."""
    layer, x, lengths = made(kind), torch.randn(3, 6, 3), torch.tensor([2, 6, 3])
    dirty = x.clone()
    dirty[~mask(lengths, 6)] = torch.nan
    for one, other in zip(layer(dirty, lengths)[1], layer(hide(x, lengths), lengths)[1], strict=True):
        assert torch.equal(one, other)
    outputs, ends = layer(dirty, lengths)
    (outputs.sum() + sum(end.sum() for end in ends)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


@EVERY
def test_sequences_and_single_steps_agree(kind: str) -> None:
    layer, x = made(kind), torch.randn(2, 5, 3)
    if kind in ("bidirectional", "deep"):
        with pytest.raises(ValueError, match="reads whole sequences"):
            layer.step(x[:, 0], layer.first(x))
        return
    outputs, ends = layer(x)
    stepped, states = scan(layer.step, x, layer.first(x))
    torch.testing.assert_close(stepped, outputs, rtol=1e-5, atol=1e-6)
    for one, other in zip(states, ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@EVERY
def test_shapes_that_do_not_fit_are_refused(kind: str) -> None:
    layer, x = made(kind), torch.randn(2, 5, 3)
    for wrong, words in (
        (lambda: layer(torch.randn(2, 5, 4)), r"x has shape \(2, 5, 4\); it must be \(batch, time, 3\)"),
        (lambda: layer(x[:, :0]), "of 1 step or more"),
        (lambda: layer(x, torch.tensor([1, 6])), "lengths holds 6; a length is from 0 to 5"),
        (lambda: layer(x, torch.tensor([1, -1])), "lengths holds -1"),
        (lambda: layer(x, torch.tensor([1])), r"lengths has shape \(1,\)"),
        (lambda: layer(x, None, (torch.zeros(3, 9),)), r"state has shapes \[\(3, 9\)\]; this layer carries"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_pad_pack_and_unpack_are_torchs(shape: tuple[int, ...]) -> None:
    dice = torch.Generator().manual_seed(4)
    for _ in range(20):
        count = int(torch.randint(1, 7, (), generator=dice))
        lengths = (torch.randperm(9, generator=dice)[:count] + 1).tolist()  # all different
        rows = [torch.randn(n, *shape, generator=dice) for n in lengths]
        padded, found = pad(rows, 0.25)
        assert found.tolist() == lengths
        assert torch.equal(padded, nn.utils.rnn.pad_sequence(rows, True, 0.25))
        ours = pack(padded, found)
        theirs = nn.utils.rnn.pack_padded_sequence(padded, found, True, enforce_sorted=False)
        assert torch.equal(ours.data, theirs.data) and torch.equal(ours.running, theirs.batch_sizes)
        assert theirs.sorted_indices is not None and torch.equal(ours.order, theirs.sorted_indices)
        back, again = unpack(ours, max(lengths) + 2)
        expected, _ = nn.utils.rnn.pad_packed_sequence(theirs, True, total_length=max(lengths) + 2)
        assert torch.equal(back, expected) and torch.equal(again, found)


def test_equal_lengths_and_rows_without_steps_come_back_too() -> None:
    x, lengths = torch.randint(1, 9, (5, 4)), torch.tensor([2, 4, 0, 2, 4])
    packed = pack(x, lengths)
    assert packed.order.tolist() == [1, 4, 0, 3, 2]  # those of one length in their own order
    back, again = unpack(packed)
    assert torch.equal(back, hide(x, lengths)) and torch.equal(again, lengths)


def test_reverse_and_last_keep_to_each_length() -> None:
    x = torch.arange(1, 13).reshape(3, 4)
    lengths = torch.tensor([3, 0, 1])
    assert reverse(x, lengths).tolist() == [[3, 2, 1, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert torch.equal(reverse(reverse(x, lengths), lengths), x)
    assert torch.equal(reverse(x, None), x.flip(1))
    before = torch.tensor([[-1], [-2], [-3]])
    assert last(x[:, :, None], lengths, before).flatten().tolist() == [3, -2, 9]
    assert last(x[:, :, None], None, before).flatten().tolist() == [4, 8, 12]


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: pad([]), "sequences have steps of 0 kinds"),
        (lambda: pad([torch.zeros(2, 3), torch.zeros(2, 4)]), "steps of 2 kinds"),
        (lambda: pad([torch.zeros(2), torch.zeros(2).long()]), "steps of 2 kinds"),
        (lambda: pack(torch.zeros(2, 3), torch.tensor([1, 4])), "lengths holds 4"),
        (lambda: unpack(pack(torch.zeros(2, 3), torch.tensor([1, 3])), 2), "longest is 2"),
        (lambda: check_lengths(torch.tensor([1.0]), torch.zeros(1, 3)), "dtype torch.float32"),
        (lambda: check_lengths(torch.tensor([True]), torch.zeros(1, 3)), "dtype torch.bool"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
