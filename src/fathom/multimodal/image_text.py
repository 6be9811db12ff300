"""Does this caption fit this picture? Two small networks agree on vectors, and a product answers.

CLIP (Radford et al. 2021) has one tower for pictures and one for texts. Both end in vectors of length 1
and of the same size; their product is high where the two belong together. Nobody labels anything: in a
batch of b pairs the b captions on the diagonal fit, and all the others serve as wrong answers
(section 2.3). Zhai et al. (2023) turn each of the b * b products into a probability of its own,

    p_ij = sigmoid(t u_i . v_j + s),      loss = -(1/b) sum_ij log p(z_ij)          (their equation 2)

so that one pair can be judged without any others, which is what is asked for here. z_ij says whether text
j fits picture i: always for i = j, and for every other pair whose pictures are of the same kind, since a
batch of toy captions says the same thing many times.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels      t  words      d  size of the vectors
"""

import math
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
    title="Image-text matching",
    paper="https://arxiv.org/abs/2103.00020",
    year=2021,
    summary="Two towers, one for pictures and one for captions, whose product says whether they fit.",
    differs=(
        "The sigmoid loss of Zhai et al. (2023) instead of the softmax over the batch: one pair gets a"
        " probability that does not depend on the others.",
        "A small convolutional net and the mean of word vectors: towers for digits, not for the web.",
        "Captions of the same kind count as fitting, where the papers take the diagonal alone.",
    ),
    oracle="the towers and the loss written out pair by pair with plain loops",
)

PADDING = 0  # the token that fills a short caption up


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model: pictures of ``channels`` x ``size`` x ``size``; captions of known words."""

    size: int = 28
    channels: int = 1
    vocabulary: int = 64  # words that are told apart, padding and unknown ones among them
    width: int = 16  # maps of the first convolution; words get four times as many numbers
    shared: int = 32  # size of the vectors that both towers end in
    scale: float = 10.0  # t at the start, and
    reserve: float = 10.0  # -s: nearly no pair fits, as is true of a batch (Zhai et al. 2023, section 3.2)

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("vocabulary", 2), ("width", 1), ("shared", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if self.size < 4 or self.size % 4:
            raise ValueError(f"size is {self.size}; it must be a multiple of 4, 4 or more")
        for name in ("scale", "reserve"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive and finite")

    def build(self) -> "ImageText":
        return ImageText(self)


class Picture(nn.Module):
    """The tower for pictures: two convolutions that halve the sides, a dense layer over all that is left."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.first = nn.Conv2d(cfg.channels, cfg.width, kernel_size=3, stride=2, padding=1)
        self.second = nn.Conv2d(cfg.width, 2 * cfg.width, kernel_size=3, stride=2, padding=1)
        self.out = nn.Linear(2 * cfg.width * (cfg.size // 4) ** 2, cfg.shared)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        x = F.relu(self.second(F.relu(self.first(image))))
        return F.normalize(self.out(x.flatten(1)), dim=-1)


class Words(nn.Module):
    """The tower for captions: the mean of the words' vectors, read by two dense layers."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(cfg.vocabulary, 4 * cfg.width)
        self.hidden = nn.Linear(4 * cfg.width, 4 * cfg.width)
        self.out = nn.Linear(4 * cfg.width, cfg.shared)

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        real = (tokens != PADDING).to(self.embedding.weight.dtype)[:, :, None]
        mean = (self.embedding(tokens) * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)  # no words: zeros
        return F.normalize(self.out(F.relu(self.hidden(mean))), dim=-1)


class ImageText(nn.Module):
    """Both towers, and the line from their product to a log-odds."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.picture, self.words = Picture(cfg), Words(cfg)
        self.log_scale = nn.Parameter(torch.empty(()))  # t = exp(log_scale) stays positive
        self.shift = nn.Parameter(torch.empty(()))
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions, hidden   He normal, for relu
        out                    Xavier uniform
        embedding              normal, std = 1
        every bias             zeros
        log_scale, shift       log of ``scale``; minus ``reserve``
        """
        for layer in (self.picture.first, self.picture.second, self.words.hidden):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in (self.picture.out, self.words.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.words.embedding.weight)
        self.log_scale.fill_(math.log(self.cfg.scale))
        self.shift.fill_(-self.cfg.reserve)

    def forward(
        self, image: Float[Tensor, "b c h w"], tokens: Int[Tensor, "b t"], every_pair: bool = False
    ) -> Float[Tensor, "b"] | Float[Tensor, "b b"]:
        """Log-odds that caption i fits picture i; with ``every_pair``, that caption j fits picture i."""
        picture, words = self.picture(image), self.words(tokens)
        product = picture @ words.T if every_pair else (picture * words).sum(dim=-1)
        return self.log_scale.exp() * product + self.shift


@dataclass(frozen=True, kw_only=True)
class EveryPair:
    """The sigmoid loss over all pairs of a batch ``(image, tokens, kind)``, ``kind`` int64 (b,).

    Caption j fits picture i where their kinds are equal. Reports how many pictures find a fitting caption.
    """

    def __call__(
        self, model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        image, tokens, kind = batch
        odds = model(image, tokens, every_pair=True)
        fits = kind[:, None] == kind
        loss = F.softplus(torch.where(fits, -odds, odds)).sum() / len(kind)
        with torch.no_grad():
            accuracy = (kind[odds.argmax(dim=1)] == kind).float().mean()
        return loss, {"accuracy": accuracy}

    def count(self, batch: tuple[Tensor, Tensor, Tensor]) -> int:
        return len(batch[-1])


def tiny() -> "Experiment":
    """The smallest complete run: bars and what they are called, a second on one core. Tests run it."""
    from fathom.data.captions import captioned_bars
    from fathom.tasks.image_text_matching import ImageTextMatching
    from fathom.training import Adam, Experiment, GradientDescent

    captions = ("a lying bar", "an upright bar", "a rising bar", "a falling bar")
    words = ("<padding>", "<unknown>", "a", "an", "bar", "falling", "lying", "rising", "upright")
    task = ImageTextMatching(candidates=captions, vocabulary=words, length=4, channels=1, height=16, width=16)
    return Experiment(
        model=Config(size=16, vocabulary=len(words), width=8, shared=16, reserve=5.0),
        data=captioned_bars(captions, words, length=4, size=16, train=256, valid=64),
        task=task,
        learning=GradientDescent(objective=EveryPair(), optimizer=Adam(learning_rate=1e-2)),
        batch_size=32,
        steps=80,
    )
