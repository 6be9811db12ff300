"""A committee that reads sentences: three readers with different eyes, each judged by itself.

On ten thousand sentences none of them reads better alone than naive Bayes on words and pairs (the claim
`committee_beats_counts`). But they are wrong about different sentences, so three see the same words:

    phrases    the strongest of short phrases, by convolution                      (`text_cnn`)
    order      each word with all that stands before and after it, by recurrence   (`text_lstm`)
    pairs      every word and every pair of neighbours, each with weights of its own

    u_t  = U[w_t] + P[hash(w_t, w_(t+1))]
    y    = r sum_t u_t + b                                     the third reader: it is linear

    log p  =  1/4 log p_phrases + 1/4 log p_order + 1/2 log p_pairs - log Z      what they say together

The third is the wide half of a wide and deep network (Cheng et al. 2016, section 3.1); its pairs fall into
buckets by their hash (Joulin et al. 2017, section 2.3), so that the model keeps no list of them. What the
readers say is joined by a weighted mean of its logarithms, as in Mesnil et al. (2015); the two that are deep
have much in common and share one half. Each reader learns as if it were alone (`EachReader`), so that each
has an opinion of every sentence: where all share one loss, each learns only what the others have left.

Axes used below
    b  batch      t  time: words of the sentence      m  readers
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.applications.language import text_cnn, text_lstm
from fathom.applications.tabular.house_prices import EachMember
from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Committee for sentences",
    paper="https://arxiv.org/abs/1412.5335",
    year=2015,
    summary="Sorts sentences by what a convolutional, a recurrent and a linear reader say together.",
    rows=("NL04", "NL05"),
    builds_on=("text_cnn", "text_lstm", "house_prices"),
    differs=(
        "The paper's three are a recurrent language model for each class, sentence vectors and a support"
        " vector machine on n-grams; here all three are networks, learned together by gradient descent.",
        "The weights of the mean are fixed; the paper searches them on validation texts.",
        "Phrases of up to three words are counted there; here words and pairs, in hashed buckets.",
    ),
    oracle="its readers one by one and a loop over words and pairs, same weights: outputs and gradients",
)

PADDING = text_cnn.PADDING
RATE = 5.0  # of the linear reader: its scores move this much faster than its weights do
SHARES = (0.25, 0.25, 0.5)  # of phrases, order and pairs in what the committee says
STRIDE = 1_000_003  # a prime beyond any vocabulary: pairs of words are numbered with it, then hashed


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model; those of the first two readers are what `text_cnn` and `text_lstm` take."""

    vocabulary: int  # padding and the unknown word included
    classes: int = 2
    width: int = 64  # of word vectors, filters of each length, and states
    pairs: int = 2**18  # buckets
    dropout: float = 0.5
    word_dropout: float = 0.4

    def __post_init__(self) -> None:
        for name, least in (("vocabulary", 3), ("classes", 2), ("width", 1), ("pairs", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if self.vocabulary >= STRIDE:
            raise ValueError(f"vocabulary is {self.vocabulary}; pairs are told apart below {STRIDE} words")
        for name in ("dropout", "word_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1)")

    def build(self) -> "TextCommittee":
        return TextCommittee(self)


class PairReader(nn.Module):
    """Linear in how often each word and each pair of neighbours stands in the sentence."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.buckets = cfg.pairs
        self.words = nn.Embedding(cfg.vocabulary, cfg.classes, padding_idx=PADDING)
        self.pairs = nn.Embedding(cfg.pairs, cfg.classes)
        self.bias = nn.Parameter(torch.empty(cfg.classes))

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b classes"]:
        """Scores of each class; a pair with padding is none."""
        present = (tokens != PADDING)[..., None].to(self.bias.dtype)
        words = (self.words(tokens) * present).sum(dim=1)
        numbers = (tokens[:, :-1] * STRIDE + tokens[:, 1:]) % self.buckets
        pairs = (self.pairs(numbers) * present[:, 1:]).sum(dim=1)
        return RATE * (words + pairs) + self.bias


class TextCommittee(nn.Module):
    """Three readers of the same words, and the weighted mean of what they say."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        shared: dict[str, Any] = {
            "vocabulary": cfg.vocabulary, "classes": cfg.classes, "width": cfg.width, "dropout": cfg.dropout,
            "word_dropout": cfg.word_dropout,
        }  # fmt: skip
        self.phrases = text_cnn.Config(**shared, filters=cfg.width).build()
        self.order = text_lstm.Config(**shared, embedding=cfg.width).build()
        self.pairs = PairReader(cfg)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """What the first two readers do not see to themselves.

        pairs      zeros throughout: as logistic regression begins, with every class alike
        """
        for parameter in self.pairs.parameters():
            nn.init.zeros_(parameter)

    def forward(self, tokens: Int[Tensor, "b t"], each: bool = False) -> Float[Tensor, "b *m classes"]:
        """Logarithms of each class's share (b, classes); with ``each`` those of every reader (b, m, classes).

        Token 0 fills sentences up at their end.
        """
        readers = (self.phrases, self.order, self.pairs)
        said = torch.stack([reader(tokens).log_softmax(dim=-1) for reader in readers], dim=1)
        if each:
            return said
        return torch.einsum("m, b m c -> b c", said.new_tensor(SHARES), said).log_softmax(dim=-1)


@dataclass(frozen=True, kw_only=True)
class EachReader(EachMember):
    """The mean of the readers' losses, each by itself, for a model that tells them by ``each=True``."""

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor | float]]:
        return super().__call__(OneByOne(model), batch)


class OneByOne(nn.Module):
    """A committee that says what each of its readers thinks."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b m classes"]:
        return self.model(tokens, each=True)


FITS = "text_classification"  # the kind of task that `fathom fit --model text_committee` is for
CHOSEN = Config(vocabulary=3)  # the texts bring their words and classes
OBJECTIVE = EachReader()  # what it learns by, whoever trains it


def tiny() -> "Experiment":
    """The smallest complete run: is the good word under a "not"? Tests run it."""
    beside = text_lstm.tiny()
    model = Config(vocabulary=12, width=16, pairs=512, dropout=0.0, word_dropout=0.0)
    learning = replace(beside.learning, objective=EachReader())  # type: ignore[type-var]
    return replace(beside, model=model, learning=learning)
