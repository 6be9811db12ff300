"""A convolutional network that reads sentences: short phrases decide, wherever they stand.

Each word becomes a vector; a filter looks at every phrase of one, two or three words and keeps only its
strongest match in the sentence (Kim 2014, equations 2 and 3). Beside the strongest phrases the sum of
all words is kept, as in a bag of words (Joulin et al. 2017), so that nothing said often is lost.

    c_i  = relu(w . x_(i:i+h-1) + b)             one filter over a phrase of h words
    c    = max over i of c_i                     "max over time"
    y    = W dropout([c_1 ... c_n; sum_i x_i / sqrt(words)]) + b

Trained from scratch on ten thousand sentences, such a network knows them by heart within three epochs.
Leaving out whole words at random (Iyyer et al. 2015, section 3.3) and parts of their vectors prevents it.

Axes used below
    b  batch      t  time: words of the sentence      e  width of a word vector      n  filters
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
    title="TextCNN",
    paper="https://arxiv.org/abs/1408.5882",
    year=2014,
    summary="Sorts sentences by the strongest short phrases in them, found by convolutions over words.",
    differs=(
        "Word vectors are learned from scratch (the paper's CNN-rand), 64 wide instead of 300.",
        "Phrases of 1, 2 and 3 words with 64 filters each, not 3, 4 and 5 with 100: better on validation.",
        "The sum of the word vectors goes to the classifier too; whole words are dropped while training.",
        "AdamW instead of Adadelta and a limit on the norm of the last layer's rows.",
        "Below the floor: naive Bayes on words and pairs of words (`naive_bayes`) gets more of the same film"
        " reviews right. The paper's networks that beat it begin with word vectors of a large corpus.",
    ),
    oracle="a slow loop over sentences, phrases and filters, same weights: outputs and gradients",
)

PADDING, UNKNOWN = 0, 1  # the first two numbers of every vocabulary


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults were chosen on validation sentences of film reviews."""

    vocabulary: int  # padding and the unknown word included
    classes: int = 2
    width: int = 64
    filters: int = 64  # for each phrase length
    phrases: tuple[int, ...] = (1, 2, 3)  # lengths in words
    dropout: float = 0.5  # of what the classifier reads
    word_dropout: float = 0.4  # of whole words, and of entries of their vectors

    def __post_init__(self) -> None:
        for name, least in (("vocabulary", 3), ("classes", 2), ("width", 1), ("filters", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if not self.phrases or any(h < 1 for h in self.phrases):
            raise ValueError(f"phrases is {self.phrases}; it holds one or more lengths of 1 or more words")
        for name in ("dropout", "word_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1)")

    def build(self) -> "TextCNN":
        return TextCNN(self)


class TextCNN(nn.Module):
    """Word vectors, one convolution for each phrase length, a linear classifier."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.words = nn.Embedding(cfg.vocabulary, cfg.width, padding_idx=PADDING)
        self.phrases = nn.ModuleList(nn.Conv1d(cfg.width, cfg.filters, h) for h in cfg.phrases)
        self.output = nn.Linear(len(cfg.phrases) * cfg.filters + cfg.width, cfg.classes)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        words      normal, std = 1 / sqrt(width); padding zeros
        phrases    Kaiming normal for relu; bias zeros
        output     Xavier uniform; bias zeros
        """
        nn.init.normal_(self.words.weight, std=self.cfg.width**-0.5)
        self.words.weight[PADDING] = 0
        for convolution in self.convolutions():
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def convolutions(self) -> list[nn.Conv1d]:
        """One for each phrase length."""
        return [layer for layer in self.phrases if isinstance(layer, nn.Conv1d)]

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b classes"]:
        present = (tokens != PADDING)[:, None].to(self.words.weight.dtype)  # (b, 1, t)
        if self.training and self.cfg.word_dropout:
            lost = torch.rand(tokens.shape, device=tokens.device) < self.cfg.word_dropout
            tokens = torch.where(lost & (tokens != PADDING), UNKNOWN, tokens)
        vectors = F.dropout(self.words(tokens), self.cfg.word_dropout, self.training)
        vectors = vectors.transpose(1, 2) * present
        strongest = [self.strongest(convolution, vectors, present) for convolution in self.convolutions()]
        bag = vectors.sum(dim=2) / present.sum(dim=2).clamp_min(1).sqrt()
        found = torch.cat([*strongest, bag], dim=1)
        return self.output(F.dropout(found, self.cfg.dropout, self.training))

    def strongest(
        self, convolution: nn.Conv1d, vectors: Float[Tensor, "b e t"], present: Float[Tensor, "b 1 t"]
    ) -> Float[Tensor, "b n"]:
        """The best match of each filter among phrases centred on a word; padding counts as nothing."""
        reach = convolution.kernel_size[0] - 1
        around = F.pad(vectors, (reach // 2, reach - reach // 2))
        return (F.relu(convolution(around)) * present).amax(dim=2)


FITS = "text_classification"  # the kind of task that takes it by itself


def tiny() -> "Experiment":
    """The smallest complete run: which of two words stands in the sentence? Tests run it."""
    from fathom.data.split import Data, InMemory, Tensors
    from fathom.tasks.text_classification import TextClassification
    from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent
    from fathom.training.randomness import generator

    dice = generator(0, "sentences")
    tokens = torch.randint(4, 12, (256, 10), generator=dice)
    label = torch.randint(2, (256,), generator=dice)
    place = torch.randint(10, (256,), generator=dice)
    tokens[torch.arange(256), place] = 2 + label
    train, valid = Tensors((tokens[:192], label[:192])), Tensors((tokens[192:], label[192:]))
    words = ("<padding>", "<unknown>", "bad", "good", "a", "the", "film", "story", "is", "was", "plot", "and")
    return Experiment(
        model=Config(vocabulary=12, width=16, filters=16, dropout=0.0, word_dropout=0.0),
        data=InMemory(Data(train=train, valid=valid, test=valid)),
        task=TextClassification(labels=("negative", "positive"), vocabulary=words, length=10),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=AdamW(learning_rate=1e-2)),
        batch_size=32,
        steps=40,
    )
