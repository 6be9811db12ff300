"""Padded sequences: texts of different lengths in one block of numbers, and nothing read of what fills it up.

A recurrent network takes a batch of sequences step by step. The shorter ones are filled up at their end:

    abc, d, ef    ->    abc     lengths 3, 1, 2       mask 111
                        d..                                100
                        ef.                                110

Whatever stands in the filling must not change an answer. There are two ways to see to it. One packs the
steps, longest sequence first, and runs the cell at each step on those rows only that go on:

    aed | bf | c        batches of 3, 2 and 1

The other runs all rows to the end, and where one has ended keeps its state as it was. A network that reads
backwards must begin at the last step that is no filling, so each sequence is turned round within its own
length. How networks take sequences of any length is set out in Graves (2012).

`scan` runs any cell in the second way. `Recurrent` is what the layers of this folder have in common.

Axes used below
    b  batch      t  time, in steps      d  numbers of one step      w  width of a state
    n  steps of all sequences together
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int, Shaped
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Padding, packing and masking",
    paper="https://doi.org/10.1007/978-3-642-24797-2",
    year=2012,
    summary="Sequences of different lengths stand in one block, and their answers are those of each alone.",
    rows=("RR01",),
    oracle="torch.nn.utils.rnn: pad_sequence, pack_padded_sequence and back; every layer, row by row",
)

State = tuple[Tensor, ...]  # what is carried from one step to the next, each (b, w)
Step = Callable[[Tensor, State], tuple[Tensor, State]]  # x (b, d) and a state -> output (b, r), new state


def pad(
    sequences: Sequence[Shaped[Tensor, "_ *d"]], value: float = 0.0
) -> tuple[Shaped[Tensor, "b t *d"], Int[Tensor, "b"]]:
    """``sequences`` (length, *d) in one block, filled up at the end with ``value``; and their lengths.

    Raises ``ValueError`` for no sequence at all, and for sequences whose steps differ in shape or dtype.
    """
    kinds = {(tuple(s.shape[1:]), s.dtype) for s in sequences}
    if len(kinds) != 1:
        raise ValueError(
            f"sequences have steps of {len(kinds)} kinds; give one or more sequences, all steps of one shape"
            " and dtype"
        )
    lengths = torch.tensor([len(s) for s in sequences], device=sequences[0].device)
    return nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=value), lengths


def mask(lengths: Int[Tensor, "b"], longest: int) -> Bool[Tensor, "b {longest}"]:
    """True at the steps that a sequence has, False where there is filling."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def hide(
    x: Shaped[Tensor, "b t *d"], lengths: Int[Tensor, "b"] | None, value: float = 0.0
) -> Shaped[Tensor, "b t *d"]:
    """``x`` with ``value`` in place of whatever fills it up; without lengths there is no filling."""
    if lengths is None:
        return x
    filling = ~mask(lengths, x.shape[1])
    return x.masked_fill(filling.reshape(*filling.shape, *[1] * (x.ndim - 2)), value)


def reverse(x: Shaped[Tensor, "b t *d"], lengths: Int[Tensor, "b"] | None) -> Shaped[Tensor, "b t *d"]:
    """Each sequence turned round within its own length; what fills it up stays where it is."""
    if lengths is None:
        return x.flip(1)
    place = torch.arange(x.shape[1], device=x.device)
    place = torch.where(mask(lengths, x.shape[1]), lengths[:, None] - 1 - place, place)
    return x.gather(1, place.reshape(*place.shape, *[1] * (x.ndim - 2)).expand_as(x))


def last(
    x: Shaped[Tensor, "b t d"], lengths: Int[Tensor, "b"] | None, before: Shaped[Tensor, "b d"]
) -> Shaped[Tensor, "b d"]:
    """The last step of each sequence; ``before`` for those that have none."""
    if lengths is None:
        return x[:, -1]
    place = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, x.shape[2])
    return torch.where(lengths[:, None] > 0, x.gather(1, place)[:, 0], before)


@dataclass(frozen=True)
class Packed:
    """The steps of all sequences without filling, as torch's ``PackedSequence`` holds them."""

    data: Tensor  # (n, *d), step after step; within one, the longest sequence first
    running: Tensor  # (t,), how many sequences have each step
    order: Tensor  # (b,), the sequences from long to short


def pack(x: Shaped[Tensor, "b t *d"], lengths: Tensor) -> Packed:
    """The steps of a padded block without its filling. Raises ``ValueError`` for lengths that do not fit."""
    check_lengths(lengths, x)
    order = lengths.argsort(descending=True, stable=True)
    going = mask(lengths[order], x.shape[1]).T  # (t, b)
    running = going.sum(dim=1)
    return Packed(x[order].transpose(0, 1)[going], running[running > 0], order)


def unpack(packed: Packed, longest: int | None = None) -> tuple[Shaped[Tensor, "b t *d"], Int[Tensor, "b"]]:
    """The padded block again, filled up with zeros to ``longest`` steps, and the lengths.

    Raises ``ValueError`` where ``longest`` is less than the longest sequence.
    """
    steps = len(packed.running)
    longest = steps if longest is None else longest
    if longest < steps:
        raise ValueError(f"longest is {longest}; the longest sequence has {steps} steps: give that or more")
    going = torch.arange(len(packed.order), device=packed.order.device) < packed.running[:, None]  # (t, b)
    made = packed.data.new_zeros(steps, len(packed.order), *packed.data.shape[1:])
    made = made.masked_scatter(going.reshape(*going.shape, *[1] * (made.ndim - 2)), packed.data)
    back = packed.order.argsort()
    filled = F.pad(made.transpose(0, 1)[back].movedim(1, -1), (0, longest - steps)).movedim(-1, 1)
    return filled, going.sum(dim=0)[back]


def scan(
    step: Step, x: Shaped[Tensor, "b t d"], state: State, lengths: Int[Tensor, "b"] | None = None
) -> tuple[Shaped[Tensor, "b t r"], State]:
    """Run ``step`` over time. Gives the outputs, zeros where a sequence has ended, and the last states.

    A row that has ended keeps its state. What stands in the filling is not read, NaN included.
    """
    x, going = hide(x, lengths), None if lengths is None else mask(lengths, x.shape[1])
    outputs = []
    for t, one in enumerate(x.unbind(dim=1)):
        output, new = step(one, state)
        if going is not None:
            go = going[:, t, None]
            new = tuple(torch.where(go, n, old) for n, old in zip(new, state, strict=True))
        outputs.append(output)
        state = new
    return hide(torch.stack(outputs, dim=1), lengths), state


class Recurrent(nn.Module):
    """A recurrent layer: sequences (b, t, inputs) in, one output (b, t, outputs) for each step.

    ``layer(x, lengths, state)`` runs whole sequences, begun with a state of zeros unless one is given, and
    gives the outputs and the last states: of each row after as many steps as ``lengths`` says. Outputs are
    zeros after that. ``layer.step(x, state)`` makes one step of all rows.
    """

    inputs: int  # numbers of one step
    outputs: int  # numbers of one output
    widths: tuple[int, ...]  # of the states

    def first(self, x: Tensor) -> State:
        """The states of zeros that sequences ``x`` (b, ...) begin with."""
        return tuple(x.new_zeros(x.shape[0], width) for width in self.widths)  # a free batch has no len

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step: ``x`` (b, inputs) and the states -> output (b, outputs) and the new states."""
        raise NotImplementedError

    def forward(
        self, x: Shaped[Tensor, "b t d"], lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Shaped[Tensor, "b t r"], State]:
        """Whole sequences, step by step. A layer for which torch has a kernel does the same with that.

        Raises ``ValueError`` for shapes and lengths that do not fit.
        """
        return scan(self.step, x, self.begin(x, lengths, state), lengths)

    def begin(self, x: Tensor, lengths: Tensor | None, state: State | None) -> State:
        """The states to begin with, after a check of what is given; raises ``ValueError``."""
        if x.ndim != 3 or x.shape[2] != self.inputs or not x.shape[1]:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; it must be (batch, time, {self.inputs}), of 1 step or more"
            )
        if lengths is not None:
            check_lengths(lengths, x)
        if state is None:
            return self.first(x)
        given, wanted = [tuple(s.shape) for s in state], [(x.shape[0], width) for width in self.widths]
        if given != wanted:
            raise ValueError(f"state has shapes {given}; this layer carries {wanted}")
        return state


def check_lengths(lengths: Tensor, x: Tensor) -> None:
    """Raise ``ValueError`` unless there is a whole number from 0 to t for each row of ``x`` (b, t, ...).

    Their values are looked at on the CPU only: on a GPU the look would wait for all work before it, and a
    graph that is being exported has none.
    """
    batch, longest = x.shape[:2]
    if lengths.shape != (batch,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(
            f"lengths has shape {tuple(lengths.shape)}, dtype {lengths.dtype}; it must be ({batch},), int64"
        )
    if lengths.device.type != "cpu" or torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return
    outside = lengths[(lengths < 0) | (lengths > longest)]
    if len(outside):
        raise ValueError(f"lengths holds {outside[0].item()}; a length is from 0 to {longest} here")


def as_function(layer: Recurrent) -> Callable[..., tuple[Tensor, ...]]:
    """``layer`` as a function (x, *states, *weights, lengths=None) -> (outputs, *states): for comparisons.

    The weights come in the order of ``layer.named_parameters()``.
    """
    names, carried = [name for name, _ in layer.named_parameters()], len(layer.widths)

    def run(x: Tensor, *given: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, ...]:
        weights = dict(zip(names, given[carried:], strict=True))
        outputs, state = torch.func.functional_call(layer, weights, (x, lengths, given[:carried]))
        return outputs, *state

    return run


def pad_by_hand(sequences: Sequence[Tensor], value: float = 0.0) -> tuple[Tensor, Tensor]:
    """Row by row, place by place."""
    longest = max(len(s) for s in sequences)
    filler = torch.full_like(sequences[0][0], value)
    rows = [torch.stack([s[t] if t < len(s) else filler for t in range(longest)]) for s in sequences]
    return torch.stack(rows), torch.tensor([len(s) for s in sequences])


def pack_by_hand(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Step after step, those sequences that have it."""
    order = sorted(range(len(x)), key=lambda row: -int(lengths[row]))
    steps = [[x[row, t] for row in order if t < lengths[row]] for t in range(int(lengths.max()))]
    running = torch.tensor([len(step) for step in steps])
    return torch.stack([one for step in steps for one in step]), running, torch.tensor(order)


def reverse_by_hand(x: Tensor, lengths: Tensor) -> Tensor:
    """Each sequence backwards, then what fills it up."""
    rows = []
    for row, length in zip(x, lengths.tolist(), strict=True):
        rows.append(torch.stack([*reversed(row[:length]), *row[length:]]))
    return torch.stack(rows)


def scan_by_hand(step: Step, x: Tensor, state: State, lengths: Tensor) -> tuple[Tensor, State]:
    """One sequence at a time, without its filling; then put together."""
    outputs, states = [], []
    for i, length in enumerate(lengths.tolist()):
        carried = tuple(s[i : i + 1] for s in state)
        made = []
        for t in range(length):
            output, carried = step(x[i : i + 1, t], carried)
            made.append(output[0])
        made += [torch.zeros_like(made[0])] * (x.shape[1] - length)
        outputs.append(torch.stack(made))
        states.append(carried)
    return torch.stack(outputs), tuple(torch.cat(part) for part in zip(*states, strict=True))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(4, 5, 3, dtype=torch.float64, generator=dice)
    lengths = torch.tensor([2, 5, 1, 3])

    def cut(x: Tensor) -> list[Tensor]:
        return [row[:length] for row, length in zip(x, lengths.tolist(), strict=True)]

    yield Twin("pad", lambda x: pad(cut(x), 0.5), lambda x: pad_by_hand(cut(x), 0.5), (x,))

    def packed(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        made = pack(x, lengths)
        return made.data, made.running, made.order

    yield Twin("pack", packed, lambda x: pack_by_hand(x, lengths), (x,))
    yield Twin("unpack", lambda x: unpack(pack(x, lengths), 5)[0], lambda x: pad_by_hand(cut(x))[0], (x,))
    yield Twin("reverse", lambda x: reverse(x, lengths), lambda x: reverse_by_hand(x, lengths), (x,))

    weight = torch.randn(5, 2, dtype=torch.float64, generator=dice)
    state = torch.randn(4, 2, dtype=torch.float64, generator=dice)

    def step(x: Tensor, state: State, weight: Tensor) -> tuple[Tensor, State]:
        h = torch.tanh(torch.cat([x, state[0]], dim=1) @ weight)
        return 2 * h, (h,)

    yield Twin(
        "scan",
        lambda x, h, w: scan(lambda x, s: step(x, s, w), x, (h,), lengths),
        lambda x, h, w: scan_by_hand(lambda x, s: step(x, s, w), x, (h,), lengths),
        (x, state, weight),
    )
