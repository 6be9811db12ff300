"""A bidirectional LSTM that reads sentences: each word is known with all that stands before and after it.

Where a convolution sees phrases of a few words, a recurrent network may carry a "not" to the adjective at the
end. Read from both sides, each word has a state that has seen the whole sentence; the strongest value of each
of its numbers, wherever it stands, is kept (Conneau et al. 2017, section 3.2.2, "BiLSTM with max pooling"):

    h_t  = [LSTM(x_1 .. x_t) ; LSTM(x_n .. x_t)]
    s    = max over t of h_t                               "max over time"
    y    = V dropout([s ; sum_t x_t / sqrt(words)]) + b

Words of a batch's sentences end at different places; what fills them up is never read. Word vectors are
learned from scratch, so whole words are left out at random while it learns (Iyyer et al. 2015), and the sum
of the words goes to the output as well, as in `text_cnn`, with which it is to be compared.

Axes used below
    b  batch      t  time: words of the sentence      e  width of a word vector      r  width of a state
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.recurrence.bidirectional import Bidirectional
from fathom.fundamentals.recurrence.lstm import LSTM

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="BiLSTM for sentences",
    paper="https://arxiv.org/abs/1705.02364",
    year=2017,
    summary="Sorts sentences by the strongest states of an LSTM that reads them from both sides.",
    rows=("NL04", "NL05"),
    builds_on=("bidirectional", "lstm"),
    differs=(
        "Word vectors are learned from scratch, 64 wide; the paper keeps those of GloVe, 300 wide.",
        "Sorts single sentences; the paper learns from pairs that follow or contradict each other.",
        "The sum of the word vectors goes to the classifier too; whole words are dropped while training.",
        "As good as the floor, no better: naive Bayes on words and pairs (`naive_bayes`) gets as many"
        " of the same film reviews right. The paper's vectors come from a large corpus.",
    ),
    oracle="torch.nn.LSTM in both directions on packed sentences, one by one: outputs and gradients",
)

PADDING, UNKNOWN = 0, 1  # the first two numbers of every vocabulary


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of the convolutional net beside it, not yet chosen anew."""

    vocabulary: int  # padding and the unknown word included
    classes: int = 2
    embedding: int = 64
    width: int = 64  # of the state of each direction
    dropout: float = 0.5  # of what the classifier reads
    word_dropout: float = 0.4  # of whole words, and of entries of their vectors

    def __post_init__(self) -> None:
        for name, least in (("vocabulary", 3), ("classes", 2), ("embedding", 1), ("width", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        for name in ("dropout", "word_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1)")

    def build(self) -> "TextLSTM":
        return TextLSTM(self)


class TextLSTM(nn.Module):
    """Word vectors, an LSTM in each direction, the maximum over time, a linear classifier."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.words = nn.Embedding(cfg.vocabulary, cfg.embedding, padding_idx=PADDING)
        self.layer = Bidirectional(LSTM(cfg.embedding, cfg.width), LSTM(cfg.embedding, cfg.width))
        self.output = nn.Linear(self.layer.outputs + cfg.embedding, cfg.classes)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """What the layers do not see to themselves: W Xavier, U orthogonal, forget gates open.

        words      normal, std = 1 / sqrt(width); padding zeros
        output     Xavier uniform; bias zeros
        """
        nn.init.normal_(self.words.weight, std=self.cfg.embedding**-0.5)
        self.words.weight[PADDING] = 0
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b classes"]:
        """Scores of each class. Token 0 fills sentences up at their end."""
        present = tokens != PADDING
        if self.training and self.cfg.word_dropout:
            lost = torch.rand(tokens.shape, device=tokens.device) < self.cfg.word_dropout
            tokens = torch.where(lost & present, UNKNOWN, tokens)
        x = F.dropout(self.words(tokens), self.cfg.word_dropout, self.training)
        states, _ = self.layer(x, present.sum(dim=1))
        lowest = torch.finfo(states.dtype).min
        strongest = states.masked_fill(~present[:, :, None], lowest).amax(dim=1)
        strongest = torch.where(present.any(dim=1, keepdim=True), strongest, 0.0)  # of no word: nothing
        bag = x.sum(dim=1) / present.sum(dim=1, keepdim=True).clamp_min(1).sqrt()
        return self.output(F.dropout(torch.cat([strongest, bag], dim=1), self.cfg.dropout, self.training))


FITS = "text_classification"  # the kind of task that `fathom fit --model text_lstm` is for
CHOSEN = Config(vocabulary=3)  # the texts bring their words and classes


def tiny() -> "Experiment":
    """The smallest complete run: is the good word under a "not"? Tests run it."""
    from fathom.data.split import Data, InMemory, Tensors
    from fathom.tasks.text_classification import TextClassification
    from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent
    from fathom.training.randomness import generator

    dice = generator(0, "sentences")
    tokens = torch.randint(4, 12, (256, 10), generator=dice)
    label = torch.randint(2, (256,), generator=dice)
    place = torch.randint(2, 10, (256,), generator=dice)
    tokens[torch.arange(256), place] = 2
    tokens[torch.arange(256), place - 1] = torch.where(label == 1, 4, 3)  # "a good", "not good"
    train, valid = Tensors((tokens[:192], label[:192])), Tensors((tokens[192:], label[192:]))
    words = ("<padding>", "<unknown>", "good", "not", "a", "the", "film", "is", "was", "plot", "and", "so")
    return Experiment(
        model=Config(vocabulary=12, embedding=16, width=16, dropout=0.0, word_dropout=0.0),
        data=InMemory(Data(train=train, valid=valid, test=valid)),
        task=TextClassification(labels=("negative", "positive"), vocabulary=words, length=10),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=AdamW(learning_rate=1e-2)),
        batch_size=32,
        steps=60,
    )
