"""Sequence to sequence: one recurrent network reads a sentence, another writes its translation.

Sutskever, Vinyals and Le (2014) read the source with one recurrent network and hand its last state to a
second one, which writes the target token by token, each time being told what it wrote before. All that
the writer knows of the source then has to fit into one vector. Bahdanau, Cho and Bengio (2015) let it
look back at every state of the reader; Luong, Pham and Manning (2015) found that a dot product is enough
to say where to look (their "global attention, dot"):

    h_t = GRU(y_{t-1}, h_{t-1}),  h_0 = the reader's state after the last token
    a_t = softmax(h_t . s_1, ..., h_t . s_n)          where to look (eq. 7, 8)
    k_t = sum_j a_tj s_j                              what is seen there
    z_t = tanh(W [k_t ; h_t])                         eq. 5
    p(y_t | y_<t, x) = softmax(V z_t)                 eq. 6

While learning, y_{t-1} is the true token (teacher forcing), so all t are computed at once; while writing
it is the likeliest one. Token 0 fills sentences up; it is never looked at and never read past.

Axes used below
    b  batch      s  time in the source      t  time in the target      d  width of the embedding
    w  width of the states      v  vocabulary of the target
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

PADDING = 0  # the token that fills a sentence up

CARD = Card(
    title="Sequence to sequence with attention",
    paper="https://arxiv.org/abs/1409.3215",
    year=2014,
    summary="Translates by reading a sentence with one recurrent network and writing with a second one.",
    differs=(
        "GRU cells (Cho et al. 2014), one layer; Sutskever et al. stack four layers of LSTM.",
        "The source is read in its own order; Sutskever et al. reverse it, which attention makes needless.",
        "Without Luong's input feeding (section 3.3), so that a whole target is computed at once.",
        "Writes the likeliest token each time, without a beam.",
    ),
    oracle="the equations, step by step in NumPy (tests/architectures/recurrent/test_seq2seq.py)",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults translate short captions after minutes on two cores."""

    source_vocabulary: int = 2500
    target_vocabulary: int = 2500
    embedding: int = 128
    width: int = 256
    dropout: float = 0.3  # of embeddings, and before the output

    def __post_init__(self) -> None:
        for name in ("source_vocabulary", "target_vocabulary", "embedding", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")

    def build(self) -> "Seq2Seq":
        return Seq2Seq(self)


class Encoder(nn.Module):
    """Reads the source: a state for each of its tokens, and the one after the last that is no filling."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(cfg.source_vocabulary, cfg.embedding)
        self.dropout = nn.Dropout(cfg.dropout)
        self.gru = nn.GRU(cfg.embedding, cfg.width, batch_first=True)

    def forward(self, source: Int[Tensor, "b s"]) -> tuple[Float[Tensor, "b s w"], Float[Tensor, "b w"]]:
        states, _ = self.gru(self.dropout(self.embedding(source)))
        last = ((source != PADDING).sum(dim=1) - 1).clamp(min=0)  # filling comes after it, so is not read yet
        place = last[:, None, None].expand(-1, 1, states.shape[2])
        return states, states.gather(1, place)[:, 0]


class Attention(nn.Module):
    """Looks at the source's states that are most like the writer's, and mixes what it sees with that."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(2 * width, width, bias=False)

    def forward(
        self,
        h: Float[Tensor, "b t w"],
        states: Float[Tensor, "b s w"],
        source: Int[Tensor, "b s"],
    ) -> Float[Tensor, "b t w"]:
        scores = h @ states.transpose(1, 2)
        hidden = (source == PADDING)[:, None, :]
        look = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
        return torch.tanh(self.mix(torch.cat([look @ states, h], dim=-1)))


class Seq2Seq(nn.Module):
    """Reader, writer, attention, and a linear layer that scores each token of the target as the next."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = Encoder(cfg)
        self.embedding = nn.Embedding(cfg.target_vocabulary, cfg.embedding)
        self.decoder = nn.GRU(cfg.embedding, cfg.width, batch_first=True)
        self.attention = Attention(cfg.width)
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(cfg.width, cfg.target_vocabulary)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        embeddings         normal, std = 0.1
        GRU, from inputs   Xavier uniform, each gate for itself
        GRU, from states   orthogonal, each gate for itself
        W, V               Xavier uniform
        every bias         zeros
        """
        for embedding in (self.encoder.embedding, self.embedding):
            nn.init.normal_(embedding.weight, std=0.1)
        for gru in (self.encoder.gru, self.decoder):
            for name, weight in gru.named_parameters():
                if name.startswith("bias"):
                    weight.zero_()
                    continue
                for gate in weight.chunk(3):
                    kind = nn.init.orthogonal_ if "_hh" in name else nn.init.xavier_uniform_
                    kind(gate)
        nn.init.xavier_uniform_(self.attention.mix.weight)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, source: Int[Tensor, "b s"], previous: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]:
        """Scores (b, t, v) of each token of the target, given the source and the target's tokens before it.

        ``previous`` is the target moved one place to the right, a start token first. Scores at t depend
        on ``previous[:, :t + 1]`` alone, so what is written grows one token at a call. A source must hold
        at least one token that is not filling.
        """
        states, last = self.encoder(source)
        h, _ = self.decoder(self.dropout(self.embedding(previous)), last[None])
        return self.head(self.dropout(self.attention(h, states, source)))


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
