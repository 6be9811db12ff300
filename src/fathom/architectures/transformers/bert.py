"""BERT: a Transformer that reads a text from both sides at once, and learns by guessing hidden words.

A model that writes may look back only. One that is to understand what is there may look at all of it; what
teaches it then cannot be the next word, which it sees. Devlin et al. (2019, section 3.1) hide a share of the
words behind a mask and ask for them. Blocks are those of Vaswani et al. (2017), normalised where they write:

    x = norm(E[token] + P[place] + S[segment])
    x = norm(x + attention(x))           for each
    x = norm(x + W_2 gelu(W_1 x))        block
    p(hidden word) = softmax(E norm(gelu(W x)) + b)       E once more, with a bias for each word

Nothing hides later places; only padding is not looked at. The first token of a text, [CLS], stands for no
word: what has gathered there tells what the whole text is (section 3.2). Fine-tuned, the body answers so:

    scores of classes = V tanh(W x_[CLS])

Axes used below
    b  batch      t  time: pieces of a text      d  width      v  vocabulary
"""

import sys
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.attention.multi_head import MultiHeadAttention
from fathom.fundamentals.positions.learned_positions import LearnedPositions

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="BERT",
    paper="https://arxiv.org/abs/1810.04805",
    year=2019,
    summary="Reads texts from both sides at once, learned by guessing hidden words; the encoder Transformer.",
    rows=("TR12", "TL01"),
    builds_on=("multi_head", "learned_positions"),
    differs=(
        "Learns from hidden words alone; that the paper also guesses whether two texts follow each other was"
        " found to be of no use (Liu et al. 2019, section 4.2).",
        "Words to hide are drawn anew each time that a text is read; the paper's were drawn beforehand.",
        "Weights begin normal, the paper's cut off beyond two deviations; one dropout for all parts.",
        "Below the floor where it starts from nothing: of film reviews a small one gets fewer right than"
        " naive Bayes on words and pairs of words (`naive_bayes`), as `few_readers_beat_counts` measures.",
    ),
    oracle="transformers' BertModel, BertForMaskedLM and BertForSequenceClassification with the same random"
    " weights: states, logits, gradients, weights both ways; the parameter counts of the published files",
)

PADDING, SEGMENTS = 0, 2


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of the smaller published one (section 3)."""

    vocabulary: int = 30522
    context: int = 512  # places that can be told apart
    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072  # width inside of the dense part of a block
    dropout: float = 0.1
    epsilon: float = 1e-12  # of the norms
    deviation: float = 0.02  # of the weights at first; a narrow model wants more
    classes: int | None = None  # of whole texts; None: hidden words are guessed

    def __post_init__(self) -> None:
        for name in ("vocabulary", "context", "width", "layers", "heads", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; it must be a multiple of heads, {self.heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        for name in ("epsilon", "deviation"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")
        if self.classes is not None and self.classes < 2:
            raise ValueError(f"classes is {self.classes}; it must be 2 or more, or None to guess words")

    def build(self) -> "WordGuesser | TextClassifier":
        return WordGuesser(self) if self.classes is None else TextClassifier(self)


class Embedding(nn.Module):
    """What a token is, where it stands and to which of two texts it belongs, as one vector."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.words = nn.Embedding(cfg.vocabulary, cfg.width)
        self.positions = LearnedPositions(cfg.context, cfg.width)
        self.segments = nn.Embedding(SEGMENTS, cfg.width)
        self.norm = nn.LayerNorm(cfg.width, cfg.epsilon)
        self.dropout = nn.Dropout(cfg.dropout)

    def forward(self, token: Int[Tensor, "b t"], segment: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        x = self.positions(self.words(token) + self.segments(segment))
        return self.dropout(self.norm(x))


class Block(nn.Module):
    """Look around, then think; each adds to what there is and normalises the sum."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(cfg.width, cfg.heads, dropout=cfg.dropout)
        self.norm_1 = nn.LayerNorm(cfg.width, cfg.epsilon)
        self.wide = nn.Linear(cfg.width, cfg.hidden)
        self.narrow = nn.Linear(cfg.hidden, cfg.width)
        self.norm_2 = nn.LayerNorm(cfg.width, cfg.epsilon)
        self.dropout = nn.Dropout(cfg.dropout)

    def forward(self, x: Float[Tensor, "b t d"], mask: Bool[Tensor, "b 1 1 t"]) -> Float[Tensor, "b t d"]:
        x = self.norm_1(x + self.dropout(self.attention(x, mask)))
        return self.norm_2(x + self.dropout(self.narrow(F.gelu(self.wide(x)))))


class Encoder(nn.Sequential):
    """Embedding, then the blocks, called "0", "1", ...: a state for each token, from all of its text."""

    def __init__(self, cfg: Config) -> None:
        blocks = ((str(layer), Block(cfg)) for layer in range(cfg.layers))
        super().__init__(OrderedDict([("embedding", Embedding(cfg)), *blocks]))

    @property
    def matrix(self) -> Float[Tensor, "v d"]:
        """The vectors of words."""
        return self.get_parameter("embedding.words.weight")

    def forward(  # type: ignore[override]
        self, token: Int[Tensor, "b t"], segment: Int[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b t d"]:
        """States of texts of at most ``context`` tokens; ``PADDING`` fills them up and is not looked at."""
        embed, *blocks = self
        x = embed(token, torch.zeros_like(token) if segment is None else segment)
        mask = real(token)[:, None, None]
        for block in blocks:
            x = block(x, mask)
        return x


def real(token: Int[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
    """Where there is no padding; the first place counts always, so that there is something to look at."""
    first = torch.arange(token.shape[1], device=token.device) == 0
    return (token != PADDING) | first


class WordGuesser(nn.Module):
    """The encoder, and scores of each word at each place."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = Encoder(cfg)
        self.dense = nn.Linear(cfg.width, cfg.width)
        self.norm = nn.LayerNorm(cfg.width, cfg.epsilon)
        self.bias = nn.Parameter(torch.zeros(cfg.vocabulary))
        init_weights(self, cfg.deviation)

    def forward(
        self, token: Int[Tensor, "b t"], segment: Int[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b t v"]:
        """What may stand at each place, of a text some of whose tokens are masks."""
        x = self.norm(F.gelu(self.dense(self.encoder(token, segment))))
        return F.linear(x, self.encoder.matrix, self.bias)


class TextClassifier(nn.Module):
    """The encoder, and scores of each class of the whole text."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        assert cfg.classes is not None
        self.cfg = cfg
        self.encoder = Encoder(cfg)
        self.pooler = nn.Linear(cfg.width, cfg.width)
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(cfg.width, cfg.classes)
        init_weights(self, cfg.deviation)

    def forward(
        self, token: Int[Tensor, "b t"], segment: Int[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b classes"]:
        """Scores of texts that begin with [CLS]."""
        gathered = self.pooler(self.encoder(token, segment)[:, 0]).tanh()
        return self.head(self.dropout(gathered))


@torch.no_grad()
def init_weights(model: nn.Module, deviation: float) -> None:
    """All initialisation in one place.

    embeddings, positions, linear    normal, std = ``deviation``
    norms                            weight 1, bias 0
    other biases                     zeros
    """
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            weight.zero_()
        elif weight.ndim > 1:
            nn.init.normal_(weight, std=deviation)


# transformers' names, less "bert." in front; the inverse is computed.
UPSTREAMS = {
    "transformers": {
        "embeddings.word_embeddings": "encoder.embedding.words",
        "embeddings.position_embeddings": "encoder.embedding.positions",
        "embeddings.token_type_embeddings": "encoder.embedding.segments",
        "embeddings.LayerNorm": "encoder.embedding.norm",
        "encoder.layer.{i}.attention.self.query": "encoder.{i}.attention.query",
        "encoder.layer.{i}.attention.self.key": "encoder.{i}.attention.key",
        "encoder.layer.{i}.attention.self.value": "encoder.{i}.attention.value",
        "encoder.layer.{i}.attention.output.dense": "encoder.{i}.attention.out",
        "encoder.layer.{i}.attention.output.LayerNorm": "encoder.{i}.norm_1",
        "encoder.layer.{i}.intermediate.dense": "encoder.{i}.wide",
        "encoder.layer.{i}.output.dense": "encoder.{i}.narrow",
        "encoder.layer.{i}.output.LayerNorm": "encoder.{i}.norm_2",
        "pooler.dense": "pooler",
        "classifier": "head",
        "cls.predictions.transform.dense": "dense",
        "cls.predictions.transform.LayerNorm": "norm",
        "cls.predictions.bias": "bias",
    },
}
PREFIX = "bert."
WORDS = "embeddings.word_embeddings.weight"
TWICE = {"cls.predictions.decoder.weight": WORDS, "cls.predictions.decoder.bias": "cls.predictions.bias"}
COUNTS = "embeddings.position_ids"  # 0 1 2 ..., in files of before 2023
FOLLOWS = "cls.seq_relationship."  # whether a text follows another, which is not asked here
GUESSING, CLASSIFYING = ("dense", "norm", "bias", "cls"), ("pooler", "head", "classifier")  # here and there


def from_transformers(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """A state dict of any BERT of transformers under bare names, each tensor once.

    Any other state dict is handed back. Raises ``InputError`` for an output matrix that is not the embedding.
    """
    from fathom.errors import InputError

    bare = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    if WORDS not in bare:
        return state
    for copy, name in TWICE.items():
        twin = bare.pop(copy, None)
        if twin is not None and not (name in bare and torch.equal(twin, bare[name])):
            raise InputError(f"{copy} differs from {name}; in BERT the two are one")
    return {name: tensor for name, tensor in bare.items() if name != COUNTS}


def modern(name: str) -> str:
    """A name as files have it since 2019."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def to_transformers(model: nn.Module) -> dict[str, Tensor]:
    """The weights as BertForMaskedLM or BertForSequenceClassification names them, for its own strict load."""
    from fathom.training.weights import upstream_state

    state = upstream_state(model, UPSTREAMS["transformers"])
    own = ("cls.", "classifier.")
    named = {n if n.startswith(own) else f"{PREFIX}{n}": t for n, t in state.items()}
    both = {copy: state[name] for copy, name in TWICE.items() if isinstance(model, WordGuesser)}
    return {**named, **both}


SIZES = {
    "bert_base": Config(),
    "bert_large": Config(width=1024, layers=24, heads=16, hidden=4096),
}


def bert_base(weights: Any = None, *, classes: int | None = None) -> WordGuesser | TextClassifier:
    """109 million parameters in the encoder. Arguments as in `published`."""
    return published("bert_base", weights, classes)


def bert_large(weights: Any = None, *, classes: int | None = None) -> WordGuesser | TextClassifier:
    """334 million parameters in the encoder. Arguments as in `published`."""
    return published("bert_large", weights, classes)


def published(size: str, weights: Any, classes: int | None) -> WordGuesser | TextClassifier:
    """A model of a published size, a key of ``SIZES``, that guesses words, or ``classes`` of texts.

    ``weights`` is a folder of transformers, a .safetensors, .pt or .pth file, a run folder or a state dict,
    with the names of Fathom or of transformers. What was taken over is printed and kept as ``load_report``;
    of a file that was trained for something else the encoder is taken, and the head is drawn anew.
    """
    return filled(replace(SIZES[size], classes=classes).build(), weights)


TOLD = {
    "vocabulary": "vocab_size", "context": "max_position_embeddings", "width": "hidden_size",
    "layers": "num_hidden_layers", "heads": "num_attention_heads", "hidden": "intermediate_size",
}  # fmt: skip
ONLY = {
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "type_vocab_size": 2,
}


def from_folder(folder: str | Path, *, classes: int | None = None) -> WordGuesser | TextClassifier:
    """The model of a folder as transformers saves it: config.json, and safetensors, in one file or sharded.

    Without ``classes`` it has those that the folder knows, and guesses words where it knows none. Raises
    ``InputError`` where a file is missing, where config.json asks for what BERT has not, and where it
    contradicts the tensors.
    """
    from fathom.training.model_folder import read_folder

    found = read_folder(folder, kinds=("bert",))
    state = from_transformers({modern(name): tensor for name, tensor in found.state.items()})
    known = state["classifier.bias"].shape[0] if "classifier.bias" in state else None
    return filled(told_config(found, state, known if classes is None else classes).build(), found.state)


def told_config(found: Any, state: Mapping[str, Tensor], classes: int | None) -> Config:
    """The sizes that the config.json of a ``ModelFolder`` tells, compared with its bare tensors."""
    from fathom.training.model_folder import Claim

    for key, only in ONLY.items():
        found.require(key, only, default=only)
    told = {name: found.number(key) for name, key in TOLD.items()}
    wide = "encoder.layer.0.intermediate.dense.weight"
    found.agree(
        [
            Claim("vocab_size", told["vocabulary"], WORDS, 0),
            Claim("hidden_size", told["width"], WORDS, 1),
            Claim("max_position_embeddings", told["context"], "embeddings.position_embeddings.weight", 0),
            Claim("intermediate_size", told["hidden"], wide, 0),
        ],
        state,
    )
    found.agree_on_layers("num_hidden_layers", "encoder.layer.{i}.output.dense.weight", state)
    real = {"dropout": ("hidden_dropout_prob", 0.1), "epsilon": ("layer_norm_eps", 1e-12)}
    real |= {"deviation": ("initializer_range", 0.02)}
    numbers = {name: found.real(*where) for name, where in real.items()}
    try:
        return Config(**told, **numbers, classes=classes)
    except ValueError as error:
        raise found.wrong(str(error)) from error


def filled(model: WordGuesser | TextClassifier, weights: Any) -> WordGuesser | TextClassifier:
    """``model`` with ``weights``; of those that were trained with another head the encoder alone."""
    if weights is not None:
        from fathom.training.weights import Weights, load_weights, read_weights

        given = Weights(weights) if isinstance(weights, Mapping) else read_weights(weights, {})
        guesses = isinstance(model, WordGuesser)
        foreign = CLASSIFYING if guesses else GUESSING

        def fitting(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
            bare = from_transformers(state)
            left = [n for n in bare if n.split(".")[0] in foreign or n.startswith(FOLLOWS)]
            if left:
                print(f"left, for this model has no such head: {', '.join(left)}", file=sys.stderr)
            return {name: tensor for name, tensor in bare.items() if name not in left}

        own = ("dense", "norm", "bias") if guesses else ("pooler", "head")
        given = replace(given, state={modern(name): tensor for name, tensor in given.state.items()})
        load_weights(model, given, head=own, upstreams=UPSTREAMS, before=fitting)
    return model


FITS = "text_classification"  # the kind of task that `fathom fit --model bert` is for
CHOSEN = Config(  # the texts bring their pieces, lengths and classes
    vocabulary=6, context=3, width=64, layers=2, heads=4, hidden=256, dropout=0.3, classes=2
)


def tiny() -> "Experiment":
    """The smallest complete run: which word of four is hidden in a round? Tests run it."""
    from fathom.data.split import InMemory
    from fathom.tasks.masked_language_modelling import MaskedLanguageModelling
    from fathom.training import AdamW, Experiment, GradientDescent, NextToken

    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "spring", "summer", "autumn", "winter")
    task = MaskedLanguageModelling(vocabulary=words, length=10)
    rounds = [" ".join(words[5 + (begin + i) % 4] for i in range(8)) for begin in range(4)]
    data = task.data({"train": rounds * 48, "valid": rounds * 8, "test": rounds * 8}, {"source": "seasons"})
    return Experiment(
        model=Config(vocabulary=9, context=10, width=32, layers=2, heads=2, hidden=64, dropout=0.0),
        data=InMemory(data),
        task=task,
        learning=GradientDescent(
            objective=NextToken(), optimizer=AdamW(learning_rate=3e-3, weight_decay=0.0), clip_norm=1.0
        ),
        augment=(replace(task.masks, share=0.3),),
        batch_size=64,
        steps=100,
    )
