"""GPT-2: a Transformer that reads from left to right and says at every place what comes next.

Radford et al. (2019, section 2.3) stack blocks of causal self-attention and a dense layer, each of which adds
to a stream x of one vector per token. Unlike in Vaswani et al. (2017) the stream is normalised where it is
read, not where it is written, so that it passes through the whole depth untouched; a last norm follows:

    x = E[token] + P[place]
    x = x + attention(norm(x))        for each
    x = x + dense(norm(x))            block           dense(x) = W_2 gelu(W_1 x), four times as wide inside
    p(next token) = softmax(E norm(x))                E once more: input and output share one matrix

Since no place sees a later one, a window of t tokens is t exercises at once while learning. While writing,
keys and values of what was read are kept (`read`), and each new token costs one step.

P has rows for ``context`` places and no more. Where a text goes on for longer, two readers take turns
(`step`): each begins anew when its rows are full, half a context after the other, and the one that has read
more is heard. So what is written always rests on half a context or more, exactly as if that were a window.

Axes used below
    b  batch      t  time      d  width      k  heads      e  width of a head      v  vocabulary
    r  readers, 2      n  rows of a reader: the context, if that is even
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.attention.key_value_cache import CarriedCache, KeyValueCache
from fathom.fundamentals.positions.learned_positions import LearnedPositions

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="GPT-2",
    paper="https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf",
    year=2019,
    summary="Writes text token by token, each place looking back at all before it; the decoder Transformer.",
    rows=("TR15",),
    builds_on=("key_value_cache", "learned_positions"),
    differs=(
        "One dropout for embeddings, attention and residuals; the paper does not say, its heirs have three.",
        "In a text longer than the context two readers take turns; the paper does not say what is done.",
    ),
    oracle="transformers' GPT2LMHeadModel with the same random weights: logits, gradients, weights both ways;"
    " the cache against the whole computed again; the parameter counts of the published files",
)

INTO_THE_STREAM = ("attention.out.weight", "dense.narrow.weight")  # the layers that write


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of the smallest published one (table 2)."""

    vocabulary: int = 50257
    context: int = 1024  # places that can be told apart
    width: int = 768
    layers: int = 12
    heads: int = 12
    dropout: float = 0.1
    epsilon: float = 1e-5  # of the norms

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.context < 2:
            raise ValueError(f"context is {self.context}; it must be 2 or more")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; it must be a multiple of heads, {self.heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon is {self.epsilon}; it must be positive")

    @property
    def states(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What is carried from one token to the next: names and shapes, see `GPT2.step`."""
        kept = (2, self.heads, 2 * (self.context // 2), self.width // self.heads)
        names = [f"state_{kind}_{layer}" for layer in range(self.layers) for kind in ("keys", "values")]
        return (("state_place", (1,)), *((name, kept) for name in names))

    def build(self) -> "GPT2":
        return GPT2(self)


Cache = KeyValueCache | CarriedCache
Mask = Bool[Tensor, "*b t s"]


class Attention(nn.Module):
    """Causal self-attention of several heads; with a cache, of new tokens to those before as well."""

    def __init__(self, cfg: Config, layer: int) -> None:
        super().__init__()
        self.layer, self.heads, self.dropout = layer, cfg.heads, cfg.dropout
        self.qkv = nn.Linear(cfg.width, 3 * cfg.width)
        self.out = nn.Linear(cfg.width, cfg.width)

    def forward(
        self, x: Float[Tensor, "b t d"], mask: Mask | None = None, cache: Cache | None = None
    ) -> Float[Tensor, "b t d"]:
        # Shapes by torch's own means: of a single token, the work of `rearrange` would show.
        b, t, d = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.heads, d // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind()
        if cache is not None:
            key, value = cache.extend(self.layer, key, value)
        heard = F.scaled_dot_product_attention(
            query, key, value, mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=mask is None and t > 1,
        )  # fmt: skip
        return self.out(heard.transpose(1, 2).reshape(b, t, d))


class Dense(nn.Module):
    """Each place for itself: wider, bent, narrower."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.wide = nn.Linear(cfg.width, 4 * cfg.width)
        self.narrow = nn.Linear(4 * cfg.width, cfg.width)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return self.narrow(F.gelu(self.wide(x), approximate="tanh"))


class Block(nn.Module):
    """Look around, then think; each adds to the stream."""

    def __init__(self, cfg: Config, layer: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(cfg.width, cfg.epsilon)
        self.attention = Attention(cfg, layer)
        self.norm_2 = nn.LayerNorm(cfg.width, cfg.epsilon)
        self.dense = Dense(cfg)
        self.dropout = nn.Dropout(cfg.dropout)

    def forward(
        self, x: Float[Tensor, "b t d"], mask: Mask | None = None, cache: Cache | None = None
    ) -> Float[Tensor, "b t d"]:
        x = x + self.dropped(self.attention(self.norm_1(x), mask, cache))
        return x + self.dropped(self.dense(self.norm_2(x)))

    def dropped(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """Dropout, called only while learning: of a single token, an idle call would show as well."""
        return self.dropout(x) if self.training else x


class GPT2(nn.Module):
    """Embedding, positions, blocks, a norm, and the embedding again as the scores of each token."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.embedding = nn.Embedding(cfg.vocabulary, cfg.width)
        self.positions = LearnedPositions(cfg.context, cfg.width)
        self.dropout = nn.Dropout(cfg.dropout)
        self.blocks = nn.ModuleList(Block(cfg, layer) for layer in range(cfg.layers))
        self.norm = nn.LayerNorm(cfg.width, cfg.epsilon)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        embedding, positions, linear    normal, std = 0.02
        linear that write to the stream normal, std = 0.02 / sqrt(2 layers), as many as write (section 2.3)
        norms                           weight 1, bias 0
        other biases                    zeros
        """
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
            elif weight.ndim > 1:
                writes = name.endswith(INTO_THE_STREAM)
                nn.init.normal_(weight, std=0.02 / (2 * self.cfg.layers) ** 0.5 if writes else 0.02)

    def forward(
        self, token: Int[Tensor, "b *t"], *states: Float[Tensor, "b ..."]
    ) -> Float[Tensor, "b *t v"] | tuple[Tensor, ...]:
        """Scores of the next token.

        Without states: windows (b, t) of at most ``context`` tokens give scores (b, t, v). With those of
        ``cfg.states``: one token each, (b,), gives scores (b, v) and the new states: this is what is
        deployed.
        """
        if states:
            return self.step(token, states)
        return self.scores(self.body(self.positions(self.embedding(token))))

    def body(self, x: Tensor, mask: Mask | None = None, cache: Cache | None = None) -> Float[Tensor, "b t d"]:
        """All blocks, from embedded tokens to the vectors that are scored."""
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, mask, cache)
        return self.norm(x)

    def scores(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b v"]:
        return F.linear(x, self.embedding.weight)

    # -- writing ---------------------------------------------------------------------------------
    def cache(self, batch: int = 1, rows: int | None = None) -> KeyValueCache:
        """An empty cache for ``batch`` texts of equal length, of at most ``rows`` tokens; None: context."""
        weight = self.embedding.weight
        return KeyValueCache(
            layers=self.cfg.layers, batch=batch, heads=self.cfg.heads, rows=rows or self.cfg.context,
            width=self.cfg.width // self.cfg.heads, dtype=weight.dtype, device=weight.device,
        )  # fmt: skip

    @torch.no_grad()
    def read(self, token: Int[Tensor, "b t"], cache: KeyValueCache) -> Float[Tensor, "b v"]:
        """Read on: scores of what comes after the last of ``token``, given all that ``cache`` has seen.

        A prompt is read at once, then token by token. Raises ``ValueError`` beyond the context.
        """
        return self.scores(self.vectors(token, cache)[:, -1])

    @torch.no_grad()
    def vectors(self, token: Int[Tensor, "b t"], cache: KeyValueCache) -> Float[Tensor, "b t d"]:
        """Read on: what ``scores`` takes after each of ``token``; contrastive search compares these."""
        x = self.positions(self.embedding(token), cache.length)
        return self.body(x, cache.admit(token.shape[1]), cache)

    def step(self, token: Int[Tensor, "b"], states: Sequence[Float[Tensor, "b ..."]]) -> tuple[Tensor, ...]:
        """Scores (b, v) after one more token, and the new states; zeros are the states before the first.

        With h = n / 2, a count goes 0 ... 3 h - 1 and then again from h. Reader 0 stands at count, from 2 h
        on at count - 2 h; reader 1 at count - h. The first state is count / 3 h, rounded, so that any number
        is one; keys and values of each layer (b, r, k, n, e) follow.
        """
        given = tuple(tuple(s.shape[1:]) for s in states)
        if given != tuple(shape for _, shape in self.cfg.states):
            raise ValueError(f"states of shapes {given} were given; this model has {self.cfg.states}")
        place, *kept = states
        half = self.cfg.context // 2
        count = (place[:, 0] * 3 * half).round().long().clamp(0, 3 * half - 1)
        turned = count >= 2 * half
        places = torch.stack([count - 2 * half * turned, (count - half).clamp(min=0)], dim=1).flatten()
        rows = [s.flatten(0, 1) for s in kept]  # the readers are texts of the batch
        cache = CarriedCache(rows[0::2], rows[1::2], places)
        x = self.embedding(token).repeat_interleave(2, dim=0) + self.positions.weight[places]
        x = self.body(x[:, None], cache.mask, cache)[:, 0].unflatten(0, (-1, 2))
        heard = torch.where(turned[:, None], x[:, 1], x[:, 0])
        count = torch.where(count + 1 == 3 * half, half, count + 1)
        layers = zip(cache.keys, cache.values, strict=True)
        kept = [s.unflatten(0, (-1, 2)) for layer in layers for s in layer]
        return self.scores(heard), (count / (3 * half))[:, None].to(place.dtype), *kept


# transformers' names, less "transformer." in front; the inverse is computed.
UPSTREAMS = {
    "transformers": {
        "wte": "embedding",
        "wpe": "positions",
        "h.{i}.ln_1": "blocks.{i}.norm_1",
        "h.{i}.attn.c_attn": "blocks.{i}.attention.qkv",
        "h.{i}.attn.c_proj": "blocks.{i}.attention.out",
        "h.{i}.ln_2": "blocks.{i}.norm_2",
        "h.{i}.mlp.c_fc": "blocks.{i}.dense.wide",
        "h.{i}.mlp.c_proj": "blocks.{i}.dense.narrow",
        "ln_f": "norm",
    },
}
TOLD = {
    "vocabulary": "vocab_size", "context": "n_positions", "width": "n_embd",
    "layers": "n_layer", "heads": "n_head",
}  # fmt: skip
ONLY = {
    "activation_function": "gelu_new", "scale_attn_weights": True, "tie_word_embeddings": True,
    "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False,
}  # fmt: skip
PREFIX, HEAD = "transformer.", "lm_head.weight"
SIDEWAYS = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # kept (inputs, outputs), as Conv1D has them
CONSTANTS = (".attn.bias", ".attn.masked_bias")  # causal masks, in files of before 2023


def from_transformers(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """A state dict of GPT2LMHeadModel or GPT2Model with matrices (outputs, inputs), under bare names.

    Any other state dict is handed back. Raises ``InputError`` for an output matrix that is not the embedding.
    """
    from fathom.errors import InputError

    bare = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    if "wte.weight" not in bare:
        return state
    head = bare.pop(HEAD, bare["wte.weight"])
    if head.shape != bare["wte.weight"].shape or not torch.equal(head, bare["wte.weight"]):
        raise InputError(f"{HEAD} differs from wte.weight; in GPT-2 the two are one matrix")
    kept = {n: t for n, t in bare.items() if not n.endswith(CONSTANTS)}
    return {n: t.T if n.endswith(SIDEWAYS) else t for n, t in kept.items()}


def to_transformers(model: GPT2) -> dict[str, Tensor]:
    """The weights as GPT2LMHeadModel names and turns them, for its own ``load_state_dict(strict=True)``."""
    from fathom.training.weights import upstream_state

    state = upstream_state(model, UPSTREAMS["transformers"])
    turned = {f"{PREFIX}{n}": t.T.contiguous() if n.endswith(SIDEWAYS) else t for n, t in state.items()}
    return {**turned, HEAD: state["wte.weight"]}


SIZES = {
    "gpt2": Config(),
    "gpt2_medium": Config(width=1024, layers=24, heads=16),
    "gpt2_large": Config(width=1280, layers=36, heads=20),
    "gpt2_xl": Config(width=1600, layers=48, heads=25),
}


def gpt2(weights: Any = None) -> GPT2:
    """124 million parameters. ``weights`` as in `published`."""
    return published("gpt2", weights)


def gpt2_medium(weights: Any = None) -> GPT2:
    """355 million parameters. ``weights`` as in `published`."""
    return published("gpt2_medium", weights)


def gpt2_large(weights: Any = None) -> GPT2:
    """774 million parameters. ``weights`` as in `published`."""
    return published("gpt2_large", weights)


def gpt2_xl(weights: Any = None) -> GPT2:
    """1558 million parameters. ``weights`` as in `published`."""
    return published("gpt2_xl", weights)


def published(size: str, weights: Any) -> GPT2:
    """A model of a published size, a key of ``SIZES``.

    ``weights`` is a folder of transformers, a .safetensors, .pt or .pth file, a run folder or a state dict,
    with the names of Fathom or of transformers. What was taken over is printed and kept as ``load_report``.
    """
    return filled(SIZES[size].build(), weights)


def from_folder(folder: str | Path) -> GPT2:
    """The model of a folder as transformers saves it: config.json, and safetensors, in one file or sharded.

    Raises ``InputError`` where a file is missing, where config.json asks for what GPT-2 has not, and where it
    contradicts the tensors.
    """
    from fathom.training.model_folder import Claim, read_folder

    found = read_folder(folder, kinds=("gpt2",))
    for key, only in ONLY.items():
        found.require(key, only, default=only)
    state = from_transformers(found.state)
    told = {name: found.number(key) for name, key in TOLD.items()}
    found.require("n_inner", None, 4 * told["width"])
    found.agree(
        [
            Claim("vocab_size", told["vocabulary"], "wte.weight", 0),
            Claim("n_embd", told["width"], "wte.weight", 1),
            Claim("n_positions", told["context"], "wpe.weight", 0),
        ],
        state,
    )
    found.agree_on_layers("n_layer", "h.{i}.ln_1.weight", state)
    dropout, epsilon = found.real("resid_pdrop", 0.1), found.real("layer_norm_epsilon", 1e-5)
    try:
        cfg = Config(**told, dropout=dropout, epsilon=epsilon)
    except ValueError as error:
        raise found.wrong(str(error)) from error
    return filled(cfg.build(), found.state)


def filled(model: GPT2, weights: Any) -> GPT2:
    if weights is not None:
        from fathom.training.weights import load_weights

        load_weights(model, weights, head=(), upstreams=UPSTREAMS, before=from_transformers)
    return model


FITS = "language_modelling"  # the kind of task that `fathom fit --model gpt2` is for
CHOSEN = Config(vocabulary=2, context=128, width=128, layers=4, heads=4)  # the text brings its vocabulary


def tiny() -> "Experiment":
    """The smallest complete run: a nursery rhyme learned by heart, a second on one core. Tests run it."""
    from fathom.data.split import Data, InMemory
    from fathom.data.windows import Windows, encode
    from fathom.tasks.language_modelling import LanguageModelling
    from fathom.training import AdamW, Experiment, GradientDescent, NextToken

    rhyme = "one, two, buckle my shoe,\nthree, four, knock at the door.\nfive, six, pick up sticks.\n" * 8
    vocabulary = tuple(sorted(set(rhyme)))
    config = Config(vocabulary=len(vocabulary), context=32, width=32, layers=2, heads=2, dropout=0.0)
    text = encode(rhyme, vocabulary)
    held_out = Windows(text[:172], length=32)
    return Experiment(
        model=config,
        data=InMemory(Data(train=Windows(text, length=32, stride=8), valid=held_out, test=held_out)),
        task=LanguageModelling(vocabulary=vocabulary, states=config.states),
        learning=GradientDescent(
            objective=NextToken(), optimizer=AdamW(learning_rate=0.01, weight_decay=0.0), clip_norm=1.0
        ),
        batch_size=16,
        steps=100,
    )
