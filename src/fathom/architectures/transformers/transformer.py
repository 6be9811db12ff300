"""The Transformer: a translator in which nothing goes from word to word; every word looks at every other.

A recurrent network reads word by word, and what it read first must survive each step since. Vaswani et al.
(2017) leave recurrence out: any two words are one look apart, and all places are computed at once. One
stack of layers reads the source, another writes the target, and each of their parts adds to a stream x:

    x = E[token] sqrt(d) + P[place]                 sections 3.4 and 3.5; sines, nothing learned
    x = norm(x + part(x))                           section 3.1: the parts of each layer, in turn
        reader: look around, dense                  m, the memory: x after the reader's last layer
        writer: look back, look at m, dense         look back: at what was written before
        dense(x) = W_2 max(0, W_1 x)                equation 2; biases left out here
    p(y_t | y_<t, source) = softmax(E x_t)          E once more

With ``pre_norm`` x = x + part(norm(x)), and each stack ends in a norm: the stream then passes through the
whole depth untouched, and deep stacks learn without a slow start (Xiong et al. 2020). While learning, the
target moved by one place is what was written, so all t are computed at once. Token 0 fills sentences up. That
of the source is never looked at; that of the target stands after all that is real, where no look back falls.

Axes used below
    b  batch      s  time in the source      t  time in the target      d  width
    v  vocabulary of the target
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.attention.cross_attention import CrossAttention
from fathom.fundamentals.attention.multi_head import MultiHeadAttention
from fathom.fundamentals.positions.sinusoidal import SinusoidalPositions

if TYPE_CHECKING:
    from fathom.training import Experiment

PADDING = 0  # the token that fills a sentence up
TIES = ("all", "target", "none")
COUNTS = ("source_vocabulary", "target_vocabulary", "places", "width", "layers", "heads", "hidden")

CARD = Card(
    title="The Transformer",
    paper="https://arxiv.org/abs/1706.03762",
    year=2017,
    summary="Translates by attention alone: one stack of layers reads a sentence, another writes one.",
    rows=("TR05", "TR07"),
    builds_on=("multi_head", "cross_attention", "sinusoidal"),
    differs=(
        "The projections of attention have biases, as in torch; the paper has none.",
        "Dropout where section 5.4 has it; torch drops inside of attention and of the dense part as well.",
        "Weights begin Xavier uniform, embeddings normal of variance 1 / d; the paper does not say.",
        "Recipes learn without label smoothing (section 5.4), so that their loss is nats a token.",
    ),
    oracle="torch.nn.Transformer, less the last norms that it adds to the paper's order: logits, gradients,"
    " 100 steps of Adam; the equations of the annotated transformer, which is no package, written out again;"
    " the paper's parameter counts",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of the paper's base model (table 3)."""

    source_vocabulary: int = 37000
    target_vocabulary: int = 37000
    places: int = 512  # tokens of the longest text
    width: int = 512
    layers: int = 6  # of the reader, and as many of the writer
    heads: int = 8
    hidden: int = 2048  # width inside of the dense part of a layer
    dropout: float = 0.1  # of embeddings, and of what each part adds
    tied: Literal["all", "target", "none"] = "all"  # embeddings that are one matrix with that of the scores
    pre_norm: bool = False

    def __post_init__(self) -> None:
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; it must be a multiple of heads, {self.heads}")
        if self.width % 2:
            raise ValueError(f"width is {self.width}; it must be even, for a sine and a cosine of each wave")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        if self.tied not in TIES:
            raise ValueError(f"tied is {self.tied!r}; it must be one of {', '.join(TIES)}")
        if self.tied == "all" and self.source_vocabulary != self.target_vocabulary:
            raise ValueError(
                f"tied is 'all', source_vocabulary {self.source_vocabulary}, target_vocabulary"
                f" {self.target_vocabulary}; one matrix for both needs one vocabulary: take tied='target'"
            )

    def build(self) -> "Transformer":
        return Transformer(self)


class Dense(nn.Module):
    """Each place for itself: wider, cut off below zero, narrower."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.wide = nn.Linear(cfg.width, cfg.hidden)
        self.narrow = nn.Linear(cfg.hidden, cfg.width)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return self.narrow(F.relu(self.wide(x)))


class Added(nn.Module):
    """A part, and how its answer is added to the stream: normalised after the sum, or before the part."""

    def __init__(self, cfg: Config, part: nn.Module) -> None:
        super().__init__()
        self.part: Any = part
        self.norm = nn.LayerNorm(cfg.width)
        self.dropout = nn.Dropout(cfg.dropout)
        self.pre_norm = cfg.pre_norm

    def forward(self, x: Float[Tensor, "b t d"], *given: Any, **named: Any) -> Float[Tensor, "b t d"]:
        x = x + self.dropout(self.part(self.seen(x), *given, **named))
        return x if self.pre_norm else self.norm(x)

    def seen(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """What the part is shown of the stream."""
        return self.norm(x) if self.pre_norm else x


class EncoderLayer(nn.Module):
    """Look around, then think."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.around = Added(cfg, MultiHeadAttention(cfg.width, cfg.heads))
        self.dense = Added(cfg, Dense(cfg))

    def forward(self, x: Float[Tensor, "b s d"], present: Bool[Tensor, "b s"]) -> Float[Tensor, "b s d"]:
        return self.dense(self.around(x, present[:, None, None]))


class DecoderLayer(nn.Module):
    """Look back at what was written, look at what was read, then think."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.back = Added(cfg, MultiHeadAttention(cfg.width, cfg.heads))
        self.across = Added(cfg, CrossAttention(cfg.width, cfg.heads))
        self.dense = Added(cfg, Dense(cfg))

    def forward(
        self, x: Float[Tensor, "b t d"], memory: Float[Tensor, "b s d"], present: Bool[Tensor, "b s"]
    ) -> Float[Tensor, "b t d"]:
        return self.dense(self.across(self.back(x, causal=True), memory, present))

    def alignment(
        self, x: Float[Tensor, "b t d"], memory: Float[Tensor, "b s d"], present: Bool[Tensor, "b s"]
    ) -> Float[Tensor, "b t s"]:
        """How much each place takes from each place of the memory, the mean over heads."""
        asking = self.across.seen(self.back(x, causal=True))
        return self.across.part.weights(asking, memory, present).mean(dim=1)


class Transformer(nn.Module):
    """Embeddings, positions, the reader's layers, the writer's, and the embedding again as scores."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.target = nn.Embedding(cfg.target_vocabulary, cfg.width)
        self.source = None if cfg.tied == "all" else nn.Embedding(cfg.source_vocabulary, cfg.width)
        self.head = nn.Linear(cfg.width, cfg.target_vocabulary, bias=False) if cfg.tied == "none" else None
        self.positions = SinusoidalPositions(cfg.places, cfg.width)
        self.dropout = nn.Dropout(cfg.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(cfg) for _ in range(cfg.layers))
        self.decoder = nn.ModuleList(DecoderLayer(cfg) for _ in range(cfg.layers))
        self.norm_read = nn.LayerNorm(cfg.width) if cfg.pre_norm else nn.Identity()
        self.norm_written = nn.LayerNorm(cfg.width) if cfg.pre_norm else nn.Identity()
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        embeddings      normal, std = d^-1/2: vectors of length 1, and scores of variance 1
        all matrices    Xavier uniform
        norms           weight 1, bias 0
        other biases    zeros
        """
        for part in self.modules():
            if isinstance(part, nn.Embedding):
                nn.init.normal_(part.weight, std=self.cfg.width**-0.5)
            elif isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, source: Int[Tensor, "b s"], previous: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]:
        """Scores (b, t, v) of each token of the target, given the source and the target's tokens before it.

        ``previous`` is the target moved one place to the right, a start token first. Scores at t depend
        on ``previous[:, :t + 1]`` alone, so what is written grows one token at a call. Raises ``ValueError``
        for texts longer than ``places``.
        """
        memory, present = self.read(source)
        x = self.embed(self.target, previous)
        for layer in self.decoder:
            x = layer(x, memory, present)
        matrix = self.target if self.head is None else self.head
        return F.linear(self.norm_written(x), matrix.weight)

    def read(self, source: Int[Tensor, "b s"]) -> tuple[Float[Tensor, "b s d"], Bool[Tensor, "b s"]]:
        """The memory, and where it is more than filling."""
        present = source != PADDING
        x = self.embed(self.target if self.source is None else self.source, source)
        for layer in self.encoder:
            x = layer(x, present)
        return self.norm_read(x), present

    def embed(self, embedding: nn.Embedding, token: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """What each token is and where it stands; scaled so that its place does not drown it."""
        return self.dropout(self.positions(embedding(token) * math.sqrt(self.cfg.width)))

    def alignments(self, source: Int[Tensor, "b s"], previous: Int[Tensor, "b t"]) -> Float[Tensor, "b t s"]:
        """How much the last layer looked at each token of the source before each token of the target."""
        memory, present = self.read(source)
        x = self.embed(self.target, previous)
        *below, last = self.decoder
        for layer in below:
            x = layer(x, memory, present)
        assert isinstance(last, DecoderLayer)
        return last.alignment(x, memory, present)


SIZES = {
    "transformer_base": Config(),
    "transformer_big": Config(width=1024, heads=16, hidden=4096, dropout=0.3),
}


def transformer_base(vocabulary: int = 37000) -> Transformer:
    """63 million parameters with the paper's vocabulary, which both languages share (table 3, "base")."""
    return published("transformer_base", vocabulary)


def transformer_big(vocabulary: int = 37000) -> Transformer:
    """214 million parameters with the paper's vocabulary, which both languages share (table 3, "big")."""
    return published("transformer_big", vocabulary)


def published(size: str, vocabulary: int) -> Transformer:
    """A model of a published size, a key of ``SIZES``, with fresh weights."""
    return replace(SIZES[size], source_vocabulary=vocabulary, target_vocabulary=vocabulary).build()


FITS = "sequence_to_sequence"  # the kind of task that `fathom fit --model transformer` is for
# Norms first: the paper's order learns far less in the hundreds of steps that a person's own pairs allow.
CHOSEN = Config(
    source_vocabulary=2, target_vocabulary=2, width=128, layers=3, heads=4, hidden=512, dropout=0.2,
    tied="target", pre_norm=True,
)  # fmt: skip


def tiny() -> "Experiment":
    """The smallest complete run: digits written backwards, a second on one core. Tests run it."""
    from fathom.data.split import Data, InMemory
    from fathom.tasks.sequence_to_sequence import SPECIAL, SequenceToSequence
    from fathom.training import Adam, Experiment, GradientDescent, NextToken, OneCycle
    from fathom.training.randomness import generator

    words = (*SPECIAL, *"0123")
    task = SequenceToSequence(
        source_vocabulary=words, target_vocabulary=words, source_length=5, target_length=5, unit="character"
    )
    dice = generator("reversed digits")
    lengths = torch.randint(1, 5, (576,), generator=dice).tolist()
    texts = ["".join(str(k) for k in torch.randint(4, (n,), generator=dice).tolist()) for n in lengths]
    pairs = [(text, text[::-1]) for text in texts]
    learned, unseen = task.split(pairs[:512]), task.split(pairs[512:])
    return Experiment(
        model=Config(
            source_vocabulary=8, target_vocabulary=8, places=5, width=32, layers=1, heads=2, hidden=64,
            dropout=0.0,
        ),
        data=InMemory(Data(learned, unseen, unseen)),
        task=task,
        learning=GradientDescent(
            objective=NextToken(),
            optimizer=Adam(learning_rate=0.01, betas=(0.9, 0.98)),
            schedule=OneCycle(),
            clip_norm=1.0,
        ),
        batch_size=32,
        steps=150,
    )  # fmt: skip
