"""Sequence to sequence: one recurrent network reads a sentence, another writes its translation.

Sutskever, Vinyals and Le (2014) read the source with one recurrent network and hand its last state to a
second one, which writes the target token by token, each time being told what it wrote before. All that
the writer knows of the source then has to fit into one vector. Bahdanau, Cho and Bengio (2015) let it
look back at every state of the reader; Luong, Pham and Manning (2015) compare ways to say where:

    h_t = GRU(y_{t-1}, h_{t-1}),  h_0 = the reader's state after the last token
    a_t = softmax(fit(h_t, s_1), ..., fit(h_t, s_n))  where to look: the alignment (eq. 7, 8)
    k_t = sum_j a_tj s_j                              what is seen there
    z_t = tanh(W [k_t ; h_t])                         eq. 5
    p(y_t | y_<t, x) = softmax(V z_t)                 eq. 6

``fit`` is a setting: a dot product, one with a matrix between ("general"), or a small network ("concat",
"additive"); with "none" there is no look back and z_t = h_t. While learning, y_{t-1} is the true token
(teacher forcing), so all t are computed at once; while writing it is what was written, and the task may go
on with several beginnings at a time (``beam_search``). Token 0 fills sentences up; it is never looked at and
never read past.

Axes used below
    b  batch      s  time in the source      t  time in the target      d  width of the embedding
    w  width of the states      v  vocabulary of the target
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.recurrence.bahdanau_attention import BahdanauAttention
from fathom.fundamentals.recurrence.gru import GRU
from fathom.fundamentals.recurrence.luong_attention import LuongAttention

if TYPE_CHECKING:
    from fathom.training import Experiment

PADDING = 0  # the token that fills a sentence up
ATTENTIONS = ("none", "dot", "general", "concat", "additive")

CARD = Card(
    title="Sequence to sequence with attention",
    paper="https://arxiv.org/abs/1409.3215",
    year=2014,
    summary="Translates by reading a sentence with one recurrent network and writing with a second one.",
    rows=("RR08", "RR09", "NL06"),
    builds_on=("gru", "bahdanau_attention", "luong_attention"),
    differs=(
        "GRU cells (Cho et al. 2014), one layer; Sutskever et al. stack four layers of LSTM.",
        "The source is read in its own order; Sutskever et al. reverse it, which attention makes needless.",
        "Without Luong's input feeding (section 3.3), so that a whole target is computed at once.",
        "Additive attention asks with the writer's state after y_{t-1}, as Luong's kinds do; Bahdanau et al."
        " ask with the state before it, feed what is seen to the GRU, and read the source from both ends.",
    ),
    oracle="the equations, step by step, for each kind of attention; beams: all texts of a toy vocabulary",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults translate short captions after minutes on two cores."""

    source_vocabulary: int = 2500
    target_vocabulary: int = 2500
    embedding: int = 128
    width: int = 256
    dropout: float = 0.3  # of embeddings, and before the output
    attention: Literal["none", "dot", "general", "concat", "additive"] = "dot"

    def __post_init__(self) -> None:
        for name in ("source_vocabulary", "target_vocabulary", "embedding", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        if self.attention not in ATTENTIONS:
            raise ValueError(f"attention is {self.attention!r}; it must be one of {', '.join(ATTENTIONS)}")

    def build(self) -> "Seq2Seq":
        return Seq2Seq(self)


class Encoder(nn.Module):
    """Reads the source: a state for each of its tokens, and the one after the last that is no filling."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(cfg.source_vocabulary, cfg.embedding)
        self.dropout = nn.Dropout(cfg.dropout)
        self.gru = GRU(cfg.embedding, cfg.width)

    def forward(self, source: Int[Tensor, "b s"]) -> tuple[Float[Tensor, "b s w"], Float[Tensor, "b w"]]:
        lengths = (source != PADDING).sum(dim=1)
        states, (end,) = self.gru(self.dropout(self.embedding(source)), lengths)
        return states, end


class Attention(nn.Module):
    """Looks at the source's states that fit the writer's best, and mixes what it sees with that."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        width = cfg.width
        if cfg.attention == "additive":
            self.look = BahdanauAttention(width, width, width)
        elif cfg.attention != "none":
            self.look = LuongAttention(width, width, cfg.attention)
        self.mix = nn.Linear(2 * width, width, bias=False)

    def forward(
        self, h: Float[Tensor, "b t w"], states: Float[Tensor, "b s w"], source: Int[Tensor, "b s"]
    ) -> tuple[Float[Tensor, "b t w"], Float[Tensor, "b t s"]]:
        seen, alignment = self.look(h, states, source != PADDING)
        return torch.tanh(self.mix(torch.cat([seen, h], dim=-1))), alignment


class Seq2Seq(nn.Module):
    """Reader, writer, attention, and a linear layer that scores each token of the target as the next."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = Encoder(cfg)
        self.embedding = nn.Embedding(cfg.target_vocabulary, cfg.embedding)
        self.decoder = GRU(cfg.embedding, cfg.width)
        self.attention = None if cfg.attention == "none" else Attention(cfg)
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(cfg.width, cfg.target_vocabulary)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """What the GRUs do not see to themselves: from inputs Xavier, from states orthogonal, biases zero.

        embeddings         normal, std = 0.1
        all matrices       Xavier uniform
        bias of V          zeros
        """
        for embedding in (self.encoder.embedding, self.embedding):
            nn.init.normal_(embedding.weight, std=0.1)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, source: Int[Tensor, "b s"], previous: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]:
        """Scores (b, t, v) of each token of the target, given the source and the target's tokens before it.

        ``previous`` is the target moved one place to the right, a start token first. Scores at t depend
        on ``previous[:, :t + 1]`` alone, so what is written grows one token at a call.
        """
        return self.head(self.dropout(self.read(source, previous)[0]))

    def alignments(
        self, source: Int[Tensor, "b s"], previous: Int[Tensor, "b t"]
    ) -> Float[Tensor, "b t s"] | None:
        """How much each token of the source was looked at before each token of the target; None: no look."""
        return self.read(source, previous)[1]

    def read(
        self, source: Int[Tensor, "b s"], previous: Int[Tensor, "b t"]
    ) -> tuple[Float[Tensor, "b t w"], Float[Tensor, "b t s"] | None]:
        """What the writer has in mind before each token, z above, and where it looked."""
        states, end = self.encoder(source)
        h, _ = self.decoder(self.dropout(self.embedding(previous)), None, (end,))
        return (h, None) if self.attention is None else self.attention(h, states, source)


FITS = "sequence_to_sequence"  # the kind of task that takes it by itself


def tiny() -> "Experiment":
    """The smallest complete run: digits written backwards, a second on one core. Tests run it."""
    from fathom.data.split import Data, InMemory
    from fathom.tasks.sequence_to_sequence import SPECIAL, SequenceToSequence
    from fathom.training import AdamW, Experiment, GradientDescent, NextToken, OneCycle
    from fathom.training.randomness import generator

    digits = tuple("0123")
    task = SequenceToSequence(
        source_vocabulary=(*SPECIAL, *digits),
        target_vocabulary=(*SPECIAL, *digits),
        source_length=5,
        target_length=5,
        unit="character",
    )
    dice = generator("reversed digits")
    lengths = torch.randint(1, 5, (288,), generator=dice).tolist()
    texts = ["".join(digits[k] for k in torch.randint(4, (n,), generator=dice)) for n in lengths]
    pairs = [(text, text[::-1]) for text in texts]
    return Experiment(
        model=Config(source_vocabulary=8, target_vocabulary=8, embedding=16, width=32, dropout=0.0),
        data=InMemory(Data(task.split(pairs[:256]), task.split(pairs[256:]), task.split(pairs[256:]))),
        task=task,
        learning=GradientDescent(
            objective=NextToken(),
            optimizer=AdamW(learning_rate=0.02, weight_decay=0.0),
            schedule=OneCycle(),
            clip_norm=1.0,
        ),
        batch_size=32,
        steps=120,
    )
