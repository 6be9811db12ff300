"""LSTM: a recurrent network whose memory is added to, so that what it learned long ago is not worn away.

A plain recurrent network multiplies its state by a matrix at every step; over fifty steps a gradient
shrinks to nothing or explodes. Hochreiter and Schmidhuber (1997) keep a second state, the cell, that is
only ever scaled by a gate and added to. Gates, numbers between 0 and 1 computed from the input and the
last output, say what is written, what is kept and what is shown. The gate that forgets came later
(Gers, Schmidhuber and Cummins 2000), and so did the peepholes through which gates may look at the cell
(Gers and Schmidhuber 2000) and the projection that makes the output narrower (Sak et al. 2014).

    i = sigmoid(W_i x + U_i h + b_i [+ p_i * c])      how much is written
    f = sigmoid(W_f x + U_f h + b_f [+ p_f * c])      how much is kept
    g = tanh   (W_g x + U_g h + b_g)                  what is written
    c' = f * c + i * g
    o = sigmoid(W_o x + U_o h + b_o [+ p_o * c'])     how much is shown
    h' = [P] (o * tanh(c'))

Here a stack of such layers reads a text character by character and predicts each next one.

Axes used below
    b  batch      t  time, in characters      v  vocabulary      l  layers
    d  width of the embedding                 w  width of the cell      r  width of the output
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="LSTM language model",
    paper="https://doi.org/10.1162/neco.1997.9.8.1735",
    year=1997,
    summary="Writes text one character at a time, with a gated memory that carries over long stretches.",
    rows=("RR04",),
    differs=(
        "Has forget gates, which the 1997 paper lacks: all later work has them (Gers et al. 2000).",
        "Gradients flow back through the whole window; the paper cuts them off at the gates' inputs.",
        "One cell to a gate, where the paper lets blocks of cells share their gates.",
    ),
    oracle="torch.nn.LSTM, weight for weight (tests/architectures/recurrent/test_char_lstm.py)",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults write Shakespeare after a few minutes on two cores."""

    vocabulary: int = 65
    embedding: int = 64
    width: int = 256
    layers: int = 1
    dropout: float = 0.0  # between layers, and before the output
    projection: int | None = None  # width of the output of each layer; None: that of the cell
    peepholes: bool = False  # gates see the cell; runs the equations step by step, which is slow

    def __post_init__(self) -> None:
        for name in ("vocabulary", "embedding", "width", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        if self.projection is not None and not 1 <= self.projection < self.width:
            raise ValueError(
                f"projection is {self.projection}; it must be below width {self.width}, or None for none"
            )

    @property
    def states(self) -> tuple[tuple[str, tuple[int, int]], ...]:
        """What is carried from one character to the next: names and shapes (layers, width)."""
        output = self.projection or self.width
        return (("state_h", (self.layers, output)), ("state_c", (self.layers, self.width)))

    def build(self) -> "CharLSTM":
        return CharLSTM(self)


def cell_step(
    gates: Float[Tensor, "b w4"],
    c: Float[Tensor, "b w"],
    peephole: Float[Tensor, "3 w"] | None = None,
    projection: Float[Tensor, "r w"] | None = None,
) -> tuple[Float[Tensor, "b out"], Float[Tensor, "b w"]]:
    """The equations above, for one layer and step: new output and cell from ``gates``, W x + U h + b."""
    i, f, g, o = gates.chunk(4, dim=-1)
    if peephole is not None:
        i, f = i + peephole[0] * c, f + peephole[1] * c
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    if peephole is not None:
        o = o + peephole[2] * c
    h = o.sigmoid() * c.tanh()
    return (h if projection is None else F.linear(h, projection)), c


class LSTM(nn.LSTM):
    """torch's LSTM, which runs whole windows fast, and the same weights used one step at a time.

    The names of the weights are torch's; with peepholes there is one more, (l, 3, w).
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__(
            cfg.embedding,
            cfg.width,
            cfg.layers,
            batch_first=True,
            dropout=cfg.dropout if cfg.layers > 1 else 0.0,
            proj_size=cfg.projection or 0,
        )
        self.peephole = nn.Parameter(torch.zeros(cfg.layers, 3, cfg.width)) if cfg.peepholes else None

    def step(
        self, x: Float[Tensor, "b d"], state_h: Float[Tensor, "b l r"], state_c: Float[Tensor, "b l w"]
    ) -> tuple[Float[Tensor, "b r"], Float[Tensor, "b l r"], Float[Tensor, "b l w"]]:
        """The output of the top layer, and both states, after one step."""
        made: list[tuple[Tensor, Tensor]] = []
        for layer in range(self.num_layers):
            w = {n: getattr(self, f"{n}_l{layer}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
            gates = F.linear(x, w["weight_ih"], w["bias_ih"])
            gates = gates + F.linear(state_h[:, layer], w["weight_hh"], w["bias_hh"])
            peephole = self.peephole[layer] if self.peephole is not None else None
            projection = getattr(self, f"weight_hr_l{layer}") if self.proj_size else None
            made.append(cell_step(gates, state_c[:, layer], peephole, projection))
            x = made[-1][0]
            if layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        h, c = (torch.stack(part, dim=1) for part in zip(*made, strict=True))
        return x, h, c

    def window(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t r"]:
        """Outputs of the top layer for whole windows, each begun with a state of zeros."""
        if self.peephole is None:  # torch has kernels for this, and none for peepholes
            return self(x)[0]
        h = x.new_zeros(len(x), self.num_layers, self.proj_size or self.hidden_size)
        c = x.new_zeros(len(x), self.num_layers, self.hidden_size)
        outputs = []
        for one in x.unbind(dim=1):
            out, h, c = self.step(one, h, c)
            outputs.append(out)
        return torch.stack(outputs, dim=1)


class CharLSTM(nn.Module):
    """Embedding, LSTM stack, dropout, and a linear layer that scores each character as the next."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.embedding = nn.Embedding(cfg.vocabulary, cfg.embedding)
        self.lstm = LSTM(cfg)
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(cfg.projection or cfg.width, cfg.vocabulary)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        embedding          normal, std = 0.1
        W (from inputs)    Xavier uniform, each gate for itself
        U (from outputs)   orthogonal, each gate for itself
        P (projection)     Xavier uniform
        bias of f          1, so that cells keep what they hold at first (Gers et al. 2000)
        other biases       zeros
        peepholes          zeros
        head               Xavier uniform, bias 0
        """
        nn.init.normal_(self.embedding.weight, std=0.1)
        for name, weight in self.lstm.named_parameters():
            if name.startswith("bias") or name == "peephole":
                weight.zero_()
            elif name.startswith("weight_hr"):
                nn.init.xavier_uniform_(weight)
            else:
                for gate in weight.chunk(4):
                    kind = nn.init.orthogonal_ if "_hh" in name else nn.init.xavier_uniform_
                    kind(gate)
            if name.startswith("bias_ih"):
                weight.chunk(4)[1].fill_(1.0)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        token: Int[Tensor, "b *t"],
        state_h: Float[Tensor, "b l r"] | None = None,
        state_c: Float[Tensor, "b l w"] | None = None,
    ) -> (
        Float[Tensor, "b *t v"] | tuple[Float[Tensor, "b v"], Float[Tensor, "b l r"], Float[Tensor, "b l w"]]
    ):
        """Scores of the next character.

        Without states: windows (b, t) give scores (b, t, v), each window begun anew. With states: one
        character each, (b,), gives scores (b, v) and the new states; this is what is deployed.
        """
        x = self.embedding(token)
        if state_h is None or state_c is None:
            return self.head(self.dropout(self.lstm.window(x)))
        given = tuple(state_h.shape[1:]), tuple(state_c.shape[1:])
        if given != tuple(shape for _, shape in self.cfg.states):
            raise ValueError(f"states of shapes {given} were given; this model has {self.cfg.states}")
        x, state_h, state_c = self.lstm.step(x, state_h, state_c)
        return self.head(self.dropout(x)), state_h, state_c


FITS = "language_modelling"  # the kind of task that takes it by itself


def tiny() -> "Experiment":
    """The smallest complete run: a nursery rhyme learned by heart, a second on one core. Tests run it."""
    from fathom.data.split import Data, InMemory
    from fathom.data.windows import Windows, encode
    from fathom.tasks.language_modelling import LanguageModelling
    from fathom.training import AdamW, Experiment, GradientDescent, NextToken

    rhyme = "row, row, row your boat, gently down the stream.\nmerrily, merrily, life is but a dream.\n" * 8
    vocabulary = tuple(sorted(set(rhyme)))
    config = Config(vocabulary=len(vocabulary), embedding=16, width=48, layers=2)
    text = encode(rhyme, vocabulary)
    held_out = Windows(text[:176], length=32)
    return Experiment(
        model=config,
        data=InMemory(Data(train=Windows(text, length=32, stride=8), valid=held_out, test=held_out)),
        task=LanguageModelling(vocabulary=vocabulary, states=config.states),
        learning=GradientDescent(
            objective=NextToken(), optimizer=AdamW(learning_rate=0.02, weight_decay=0.0), clip_norm=1.0
        ),
        batch_size=16,
        steps=60,
    )
