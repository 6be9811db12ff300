"""A recurrent network that reads a picture as a person reads a page: row by row, keeping what it has seen.

A recurrent network takes one vector after another and carries a state along. Le, Jaitly and Hinton (2015,
section 4.2) gave it digits in that way, to see how long it remembers: one pixel a step, 784 steps, and the
class only at the end. Here a step is a whole row, so 28 suffice. Weights are shared over the rows as those of
a convolution are over places: a stroke means the same wherever down the picture it stands, and what differs
is the state it is met in. Across a row nothing is shared; each column has weights of its own.

The network is an LSTM (see ``char_lstm``, where its parts are taken one by one). With x a row, h the state
that is shown and c the cell,

    i, f, o = sigmoid(W x + U h + b)           each of the three with weights of its own
    g       = tanh   (W x + U h + b)
    c'      = f * c + i * g
    h'      = o * tanh(c')

and a linear map of the last h scores the classes.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
    n  numbers of one row, c w           d  width of the state
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Row reader",
    paper="https://arxiv.org/abs/1504.00941",
    year=2015,
    summary="Reads a picture one row after another with an LSTM and names its class at the end.",
    rows=("NF13",),
    builds_on=("char_lstm",),
    differs=(
        "A step is a row of 28 pixels; the paper's is one pixel, which asks for a longer memory.",
        "An LSTM, which the paper compares with; the net it proposes has ReLU units that begin as a copy.",
        "AdamW for a few epochs; the paper takes SGD with a fixed rate for up to a million steps.",
    ),
    oracle="the equations, one unit and row at a time in NumPy; nn.LSTMCell and nn.Linear, same weights",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are for digits of 28x28 pixels."""

    image_size: int = 28
    channels: int = 1
    classes: int = 10
    width: int = 64  # of the state

    def __post_init__(self) -> None:
        for name in ("image_size", "channels", "classes", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")

    @property
    def inputs(self) -> int:
        """Numbers of one row: 28 for digits."""
        return self.channels * self.image_size

    def build(self) -> "RowReader":
        return RowReader(self)


class RowReader(nn.Module):
    """An LSTM over the rows from top to bottom, and a linear map of its last state."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.lstm = nn.LSTM(cfg.inputs, cfg.width, batch_first=True)
        self.head = nn.Linear(cfg.width, cfg.classes)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        W (from rows)     Xavier uniform, each gate for itself
        U (from states)   orthogonal, each gate for itself
        bias of f         1, so that cells keep what they hold at first (Gers et al. 2000)
        other biases      zeros
        head              Xavier uniform, bias 0
        """
        for name, weight in self.lstm.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(weight)
            else:
                for gate in weight.chunk(4):
                    (nn.init.orthogonal_ if "_hh" in name else nn.init.xavier_uniform_)(gate)
            if name.startswith("bias_ih"):
                weight.chunk(4)[1].fill_(1.0)  # torch's order is i, f, g, o
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        states, _ = self.lstm(rearrange(image, "b c h w -> b h (c w)"))
        return self.head(states[:, -1])


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(image_size=16, classes=4, width=32),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=AdamW(learning_rate=1e-2)),
        batch_size=32,
        steps=60,
    )
