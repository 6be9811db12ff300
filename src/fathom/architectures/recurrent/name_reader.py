"""A name reader: recurrent layers spell a word letter by letter and say what kind of word it is.

Which language is "Kowalczyk" from? No list of letters answers that, their order does. A recurrent network
reads it as it is written: each letter is looked up as a vector, and a state takes it in (Elman 1990). The
layers are those of ``fundamentals/recurrence``, and which is a setting, so that cells can be compared:

    rnn               h' = tanh(W x + U h)                           forgets, for want of a gate
    gru, lstm         gates keep what is worth keeping
    layer_norm_lstm   with sums of one scale

Read in both directions, a letter is known with what follows it, and the ends of both readings have seen the
whole word; stacked, the layers above read what the ones below say. Words of a batch differ in length. What
fills up the shorter ones is never read (``padded_sequences``), so a word's answer is its own.

    y = layers(embedding(x_1 .. x_n))
    scores = V [ y_n to the right ; y_1 to the left ]

Axes used below
    b  batch      t  time, in letters      d  width of a letter      r  outputs of the top layer
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.recurrence.bidirectional import Bidirectional
from fathom.fundamentals.recurrence.gru import GRU
from fathom.fundamentals.recurrence.layer_norm_lstm import LayerNormLSTM
from fathom.fundamentals.recurrence.lstm import LSTM
from fathom.fundamentals.recurrence.padded_sequences import Recurrent, last
from fathom.fundamentals.recurrence.stacked import Stacked
from fathom.fundamentals.recurrence.vanilla_rnn import RNN

if TYPE_CHECKING:
    from fathom.training import Experiment

PADDING = 0  # the token that fills a word up

CARD = Card(
    title="Name reader",
    paper="https://doi.org/10.1207/s15516709cog1402_1",
    year=1990,
    summary="Spells a word letter by letter with a recurrent network and says what kind of word it is.",
    rows=("RR01", "RR02", "RR04", "RR05", "RR06", "RR07"),
    builds_on=(
        "padded_sequences", "vanilla_rnn", "gru", "lstm", "layer_norm_lstm", "bidirectional", "stacked",
    ),
    differs=(
        "Names a class at the end of a word; Elman's network predicts the letter or word that comes next.",
        "Letters are vectors that are learned, where the paper's are fixed codes.",
    ),
    oracle="torch.nn: Embedding, packed RNN, LSTM and GRU in both directions and stacked, Linear",
)  # fmt: skip

CELLS: dict[str, Callable[[int, int], Recurrent]] = {
    "rnn": RNN, "gru": GRU, "lstm": LSTM, "layer_norm_lstm": LayerNormLSTM,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults name the languages of surnames."""

    vocabulary: int = 90
    classes: int = 18
    embedding: int = 32
    width: int = 128  # of the state of each layer and direction
    layers: int = 1
    cell: Literal["rnn", "gru", "lstm", "layer_norm_lstm"] = "lstm"
    bidirectional: bool = True
    dropout: float = 0.3  # of letters, between layers, and before the output

    def __post_init__(self) -> None:
        for name in ("vocabulary", "classes", "embedding", "width", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.cell not in CELLS:
            raise ValueError(f"cell is {self.cell!r}; it must be one of {', '.join(CELLS)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")

    def build(self) -> "NameReader":
        return NameReader(self)


class NameReader(nn.Module):
    """Embedding, recurrent layers, dropout, and a linear layer that scores each class."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.embedding = nn.Embedding(cfg.vocabulary, cfg.embedding)
        layers: list[Recurrent] = []
        for _ in range(cfg.layers):
            layers.append(self.layer(layers[-1].outputs if layers else cfg.embedding))
        self.layers = Stacked(layers, cfg.dropout)
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(self.layers.outputs, cfg.classes)
        self.init_weights()

    def layer(self, inputs: int) -> Recurrent:
        """One layer on ``inputs`` numbers a step: a cell, or one for each direction."""
        make = CELLS[self.cfg.cell]
        if not self.cfg.bidirectional:
            return make(inputs, self.cfg.width)
        return Bidirectional(make(inputs, self.cfg.width), make(inputs, self.cfg.width))

    @torch.no_grad()
    def init_weights(self) -> None:
        """What the layers do not see to themselves: W Xavier, U orthogonal, forget gates open.

        embedding     normal, std = 0.5
        head          Xavier uniform, bias 0
        """
        nn.init.normal_(self.embedding.weight, std=0.5)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, token: Int[Tensor, "b t"]) -> Float[Tensor, "b classes"]:
        """Scores of each class. Token 0 fills words up at their end; a word of nothing else is zeros."""
        lengths = (token != PADDING).sum(dim=1)
        y, _ = self.layers(self.dropout(self.embedding(token)), lengths)  # b t r
        whole = last(y, lengths, torch.zeros_like(y[:, 0]))
        if self.cfg.bidirectional:  # the reading to the left is at its end at the first letter
            whole = torch.cat([whole[:, : self.cfg.width], y[:, 0, self.cfg.width :]], dim=1)
        return self.head(self.dropout(whole))


def tiny() -> "Experiment":
    """The smallest complete run: words that climb, fall or repeat, a second on one core. Tests run it."""
    from fathom.data.split import Data, InMemory, Tensors
    from fathom.tasks.text_classification import TextClassification
    from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent, OneCycle
    from fathom.training.randomness import generator

    letters = "abcdefgh"
    dice = generator("climb, fall, repeat")
    kind = torch.randint(3, (320,), generator=dice)
    words = []
    for k in kind.tolist():
        count = int(torch.randint(3, 7, (), generator=dice))
        drawn = torch.randperm(8, generator=dice)[:count].sort(descending=k == 1).values.tolist()
        words.append("".join(letters[i] for i in (drawn if k < 2 else [drawn[0]] * count)))
    task = TextClassification.fitted(("climbs", "falls", "repeats"), words, unit="character")
    token = task.encode(words)
    train, valid = Tensors((token[:256], kind[:256])), Tensors((token[256:], kind[256:]))
    return Experiment(
        model=Config(
            vocabulary=len(task.vocabulary), classes=3, embedding=8, width=16, layers=2, dropout=0.1
        ),
        data=InMemory(Data(train, valid, valid, facts={"source": "drawn words"})),
        task=task,
        learning=GradientDescent(
            objective=CrossEntropy(),
            optimizer=AdamW(learning_rate=0.02, weight_decay=0.0),
            schedule=OneCycle(),
            clip_norm=1.0,
        ),
        batch_size=32,
        steps=60,
    )
