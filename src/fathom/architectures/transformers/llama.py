"""LLaMA, and Mistral and Qwen, which differ from it by values: the language model of today.

The blocks are those of GPT-2, four parts exchanged (Touvron et al. 2023a, section 2.2; 2023b, section 2.2):

    x = E[token]                                              no positions are added
    x = x + attention(norm(x))        for each                norm: RMSNorm, no mean and no bias
    x = x + dense(norm(x))            block                   dense(x) = W_3 (silu(W_1 x) * W_2 x), SwiGLU
    p(next token) = softmax(H norm(x))                        H may be E (``tied``)

In attention queries and keys are turned by their place (RoPE), and heads of queries share ``groups`` heads of
keys and values (LLaMA 2's 70B, all of LLaMA 3). Two neighbours turn a number each: Mistral 7B (Jiang et al.
2023) sees the last ``window`` places only; Qwen2 (2024) has biases on queries, keys and values; Qwen3 (2025)
has none, and normalises queries and keys of each head before they are turned.

Scores depend on distances alone, so a turned key can be kept for ever: while text is written, keys and values
of what was read lie in a cache, and with a window in a ring of ``window`` rows, however long the text.

Axes used below
    b  batch      t  time      d  width      k  heads      g  heads of keys and values      e  width of a head
    v  vocabulary      n  rows of a cache: the window, or the context
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.attention.key_value_cache import CarriedCache, KeyValueCache
from fathom.fundamentals.attention.sliding_window import sliding_window_mask
from fathom.fundamentals.normalization.rms_norm import RMSNorm
from fathom.fundamentals.positions.rotary import Llama3Scaling, frequencies, rotary_tables, rotate

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="LLaMA, Mistral and Qwen",
    paper="https://arxiv.org/abs/2302.13971",
    year=2023,
    summary="The decoder Transformer of most open language models: rotary places, gated layers, shared keys.",
    rows=("LM01", "LM02"),
    builds_on=("key_value_cache", "sliding_window", "rms_norm", "rotary"),
    differs=(
        "How weights begin is not told; they begin as those of GPT-2.",
        "Step by step beyond the context, the oldest place gives way, as if the context were a window.",
    ),
    oracle="transformers' LlamaForCausalLM, Mistral, Qwen2 and Qwen3 with the same random weights: logits,"
    " gradients, weights both ways; the cache against the whole computed again; published parameter counts",
)

INTO_THE_STREAM = ("attention.out.weight", "dense.narrow.weight")  # the layers that write


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of LLaMA 2 with 7 billion parameters."""

    vocabulary: int = 32000
    context: int = 4096  # places in training
    width: int = 4096
    layers: int = 32
    heads: int = 32
    groups: int = 32  # heads of keys and values
    head_width: int | None = None  # None: width / heads
    hidden: int = 11008  # width inside the gated layer
    rope_base: float = 10_000.0
    rope_scaling: Llama3Scaling | None = None
    window: int | None = None  # places that can be seen; None: all
    biases: bool = False  # of queries, keys and values
    query_key_norm: bool = False
    tied: bool = False  # one matrix for input and output
    epsilon: float = 1e-5  # of the norms

    def __post_init__(self) -> None:
        for name in ("vocabulary", "context", "width", "layers", "heads", "groups", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.heads % self.groups:
            raise ValueError(f"groups is {self.groups}; it must divide heads, {self.heads}")
        if self.head_width is None and self.width % self.heads:
            raise ValueError(
                f"width is {self.width}; without head_width it must be a multiple of {self.heads}"
            )
        if self.e < 2 or self.e % 2:
            raise ValueError(f"head_width is {self.e}; it must be even, 2 or more, for places turn pairs")
        if self.window is not None and self.window < 1:
            raise ValueError(f"window is {self.window}; it must be 1 or more, or None")
        if not self.rope_base > 1:
            raise ValueError(f"rope_base is {self.rope_base}; it must be above 1")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon is {self.epsilon}; it must be positive")

    @property
    def e(self) -> int:
        """Width of a head."""
        return self.width // self.heads if self.head_width is None else self.head_width

    @property
    def states(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What is carried from one token to the next: names and shapes, see `Llama.step`."""
        kept = (self.groups, self.window or self.context, self.e)
        names = [f"state_{kind}_{layer}" for layer in range(self.layers) for kind in ("keys", "values")]
        return (("state_place", (1,)), *((name, kept) for name in names))

    def build(self) -> "Llama":
        return Llama(self)


Cache = KeyValueCache | CarriedCache
Mask = Bool[Tensor, "*b t s"]
Tables = tuple[Tensor, Tensor]  # cosine and sine of each place, (t, e / 2) or (b, 1, 1, e / 2)


class Attention(nn.Module):
    """Causal self-attention whose heads share keys; with a cache, of new tokens to those before as well."""

    def __init__(self, cfg: Config, layer: int) -> None:
        super().__init__()
        self.layer, self.cfg = layer, cfg
        self.query = nn.Linear(cfg.width, cfg.heads * cfg.e, bias=cfg.biases)
        self.key = nn.Linear(cfg.width, cfg.groups * cfg.e, bias=cfg.biases)
        self.value = nn.Linear(cfg.width, cfg.groups * cfg.e, bias=cfg.biases)
        self.query_norm = RMSNorm(cfg.e, epsilon=cfg.epsilon) if cfg.query_key_norm else nn.Identity()
        self.key_norm = RMSNorm(cfg.e, epsilon=cfg.epsilon) if cfg.query_key_norm else nn.Identity()
        self.out = nn.Linear(cfg.heads * cfg.e, cfg.width, bias=False)

    def forward(
        self, x: Float[Tensor, "b t d"], tables: Tables, mask: Mask | None = None, cache: Cache | None = None
    ) -> Float[Tensor, "b t d"]:
        query = rearrange(self.query(x), "b t (k e) -> b k t e", e=self.cfg.e)
        key, value = (
            rearrange(part(x), "b t (g e) -> b g t e", e=self.cfg.e) for part in (self.key, self.value)
        )
        query, key = rotate(self.query_norm(query), *tables), rotate(self.key_norm(key), *tables)
        if cache is not None:
            key, value = cache.extend(self.layer, key, value)
        heard = F.scaled_dot_product_attention(
            query, key, value, mask,
            is_causal=mask is None and x.shape[1] > 1, enable_gqa=self.cfg.groups < self.cfg.heads,
        )  # fmt: skip
        return self.out(rearrange(heard, "b k t e -> b t (k e)"))


class Dense(nn.Module):
    """Each place for itself: one half of a wide layer opens or closes the other (SwiGLU)."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.gate = nn.Linear(cfg.width, cfg.hidden, bias=False)
        self.wide = nn.Linear(cfg.width, cfg.hidden, bias=False)
        self.narrow = nn.Linear(cfg.hidden, cfg.width, bias=False)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return self.narrow(F.silu(self.gate(x)) * self.wide(x))


class Block(nn.Module):
    """Look around, then think; each adds to the stream."""

    def __init__(self, cfg: Config, layer: int) -> None:
        super().__init__()
        self.norm_1 = RMSNorm(cfg.width, epsilon=cfg.epsilon)
        self.attention = Attention(cfg, layer)
        self.norm_2 = RMSNorm(cfg.width, epsilon=cfg.epsilon)
        self.dense = Dense(cfg)

    def forward(
        self, x: Float[Tensor, "b t d"], tables: Tables, mask: Mask | None = None, cache: Cache | None = None
    ) -> Float[Tensor, "b t d"]:
        x = x + self.attention(self.norm_1(x), tables, mask, cache)
        return x + self.dense(self.norm_2(x))


class Llama(nn.Module):
    """Embedding, blocks, a norm, and a linear layer that scores each token as the next."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.embedding = nn.Embedding(cfg.vocabulary, cfg.width)
        self.blocks = nn.ModuleList(Block(cfg, layer) for layer in range(cfg.layers))
        self.norm = RMSNorm(cfg.width, epsilon=cfg.epsilon)
        self.head = None if cfg.tied else nn.Linear(cfg.width, cfg.vocabulary, bias=False)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        embedding, linear               normal, std = 0.02
        linear that write to the stream normal, std = 0.02 / sqrt(2 layers), as many as write
        norms                           weight 1
        biases                          zeros
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

        Without states: windows (b, t) give scores (b, t, v). With those of ``cfg.states``: one token each,
        (b,), gives scores (b, v) and the new states: this is what is deployed.
        """
        if states:
            return self.step(token, states)
        length, window = token.shape[1], self.cfg.window
        narrow = window is not None and length > window
        mask = sliding_window_mask(length, length, window, token.device) if window and narrow else None
        return self.scores(self.body(token, torch.arange(length, device=token.device), mask))

    def body(
        self, token: Int[Tensor, "b t"], place: Tensor, mask: Mask | None = None, cache: Cache | None = None
    ) -> Float[Tensor, "b t d"]:
        """All blocks: the vectors that are scored, of tokens at ``place``, (t,) or (b, 1, 1)."""
        x = self.embedding(token)
        tables = rotary_tables(
            place, frequencies(self.cfg.e, self.cfg.rope_base, self.cfg.rope_scaling, x.device)
        )
        for block in self.blocks:
            x = block(x, tables, mask, cache)
        return self.norm(x)

    def scores(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b v"]:
        return F.linear(x, self.embedding.weight) if self.head is None else self.head(x)

    # -- writing ---------------------------------------------------------------------------------
    def cache(self, batch: int = 1, rows: int | None = None) -> KeyValueCache:
        """An empty cache for ``batch`` texts of equal length.

        With a window it is a ring; else it has ``rows`` for as many tokens, None: the context.
        """
        weight, window = self.embedding.weight, self.cfg.window
        return KeyValueCache(
            layers=self.cfg.layers, batch=batch, heads=self.cfg.groups, width=self.cfg.e,
            rows=window or rows or self.cfg.context, rolling=window is not None,
            dtype=weight.dtype, device=weight.device,
        )  # fmt: skip

    @torch.no_grad()
    def read(self, token: Int[Tensor, "b t"], cache: KeyValueCache) -> Float[Tensor, "b v"]:
        """Read on: scores of what comes after the last of ``token``, given all that ``cache`` has seen.

        A prompt is read at once, then token by token. Raises ``ValueError`` where the cache is full.
        """
        return self.scores(self.vectors(token, cache)[:, -1])

    @torch.no_grad()
    def vectors(self, token: Int[Tensor, "b t"], cache: KeyValueCache) -> Float[Tensor, "b t d"]:
        """Read on: what ``scores`` takes after each of ``token``; contrastive search compares these."""
        mask = cache.admit(token.shape[1])
        place = torch.arange(cache.start, cache.length, device=token.device)
        return self.body(token, place, mask, cache)

    def step(self, token: Int[Tensor, "b"], states: Sequence[Float[Tensor, "b ..."]]) -> tuple[Tensor, ...]:
        """Scores (b, v) after one more token, and the new states; zeros are the states before the first.

        The first state is the number of tokens read over n, rounded, so that any number is one; keys and
        values of each layer (b, g, n, e) follow.
        """
        given = tuple(tuple(s.shape[1:]) for s in states)
        if given != tuple(shape for _, shape in self.cfg.states):
            raise ValueError(f"states of shapes {given} were given; this model has {self.cfg.states}")
        place, *kept = states
        rows = self.cfg.window or self.cfg.context
        count = (place[:, 0] * rows).round().long().clamp(min=0)
        cache = CarriedCache(kept[0::2], kept[1::2], count)
        x = self.body(token[:, None], count[:, None, None], cache.mask, cache)
        layers = zip(cache.keys, cache.values, strict=True)
        kept = [s for layer in layers for s in layer]
        return self.scores(x[:, 0]), ((count + 1) / rows)[:, None].to(place.dtype), *kept


# transformers' names, the same for all kinds; the inverse is computed.
UPSTREAMS = {
    "transformers": {
        "model.embed_tokens": "embedding",
        "model.layers.{i}.input_layernorm": "blocks.{i}.norm_1",
        "model.layers.{i}.self_attn.q_proj": "blocks.{i}.attention.query",
        "model.layers.{i}.self_attn.k_proj": "blocks.{i}.attention.key",
        "model.layers.{i}.self_attn.v_proj": "blocks.{i}.attention.value",
        "model.layers.{i}.self_attn.q_norm": "blocks.{i}.attention.query_norm",
        "model.layers.{i}.self_attn.k_norm": "blocks.{i}.attention.key_norm",
        "model.layers.{i}.self_attn.o_proj": "blocks.{i}.attention.out",
        "model.layers.{i}.post_attention_layernorm": "blocks.{i}.norm_2",
        "model.layers.{i}.mlp.gate_proj": "blocks.{i}.dense.gate",
        "model.layers.{i}.mlp.up_proj": "blocks.{i}.dense.wide",
        "model.layers.{i}.mlp.down_proj": "blocks.{i}.dense.narrow",
        "model.norm": "norm",
        "lm_head": "head",
    },
}
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
CONSTANTS = ".rotary_emb.inv_freq"  # frequencies, in files of before 2024


def to_transformers(model: Llama) -> dict[str, Tensor]:
    """The weights as transformers names them, for its own ``load_state_dict(strict=True)``."""
    from fathom.training.weights import upstream_state

    state = upstream_state(model, UPSTREAMS["transformers"])
    return state if model.head is not None else {**state, HEAD: state[EMBEDDING]}


def filled(model: Llama, weights: Any) -> Llama:
    """``model`` with ``weights``: what `published` takes, or None for those it has."""
    from fathom.errors import InputError
    from fathom.training.weights import load_weights

    def before(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        kept = {n: t for n, t in state.items() if not n.endswith(CONSTANTS)}
        if model.head is None and EMBEDDING in kept and HEAD in kept:
            if not torch.equal(kept.pop(HEAD), kept[EMBEDDING]):
                raise InputError(f"{HEAD} differs from {EMBEDDING}; in this model the two are one matrix")
        return kept

    if weights is not None:
        load_weights(model, weights, head=(), upstreams=UPSTREAMS, before=before)
    return model


LLAMA2 = Config()
LLAMA3 = replace(LLAMA2, vocabulary=128256, context=8192, groups=8, hidden=14336, rope_base=500_000.0)
LLAMA32 = replace(LLAMA3, context=131072, tied=True, rope_scaling=Llama3Scaling(factor=32.0), hidden=8192)
QWEN = replace(
    LLAMA2, vocabulary=151936, context=32768, rope_base=1_000_000.0, epsilon=1e-6, biases=True, tied=True
)
QWEN3 = replace(QWEN, context=40960, biases=False, query_key_norm=True, head_width=128, groups=8)
SIZES = {
    "llama2_7b": LLAMA2,
    "llama2_70b": replace(LLAMA2, width=8192, layers=80, heads=64, groups=8, hidden=28672),
    "llama3_8b": LLAMA3,
    "llama3_1_8b": replace(LLAMA3, context=131072, rope_scaling=Llama3Scaling()),
    "llama3_2_1b": replace(LLAMA32, width=2048, layers=16),
    "mistral_7b": replace(LLAMA2, context=32768, groups=8, hidden=14336, window=4096),
    "qwen2_5_0_5b": replace(QWEN, width=896, layers=24, heads=14, groups=2, hidden=4864),
    "qwen2_5_7b": replace(
        QWEN, vocabulary=152064, width=3584, layers=28, heads=28, groups=4, hidden=18944, tied=False
    ),
    "qwen3_0_6b": replace(QWEN3, width=1024, layers=28, heads=16, hidden=3072),
    "qwen3_8b": replace(QWEN3, layers=36, hidden=12288, tied=False),
}


def llama2_7b(weights: Any = None) -> Llama:
    """6.7 billion parameters. ``weights`` as in `published`."""
    return published("llama2_7b", weights)


def llama2_70b(weights: Any = None) -> Llama:
    """69.0 billion parameters. ``weights`` as in `published`."""
    return published("llama2_70b", weights)


def llama3_8b(weights: Any = None) -> Llama:
    """8.0 billion parameters. ``weights`` as in `published`."""
    return published("llama3_8b", weights)


def llama3_1_8b(weights: Any = None) -> Llama:
    """8.0 billion parameters, for texts of 128 thousand tokens. ``weights`` as in `published`."""
    return published("llama3_1_8b", weights)


def llama3_2_1b(weights: Any = None) -> Llama:
    """1.2 billion parameters. ``weights`` as in `published`."""
    return published("llama3_2_1b", weights)


def mistral_7b(weights: Any = None) -> Llama:
    """Mistral 7B, version 0.1: 7.2 billion parameters. ``weights`` as in `published`."""
    return published("mistral_7b", weights)


def qwen2_5_0_5b(weights: Any = None) -> Llama:
    """0.5 billion parameters. ``weights`` as in `published`."""
    return published("qwen2_5_0_5b", weights)


def qwen2_5_7b(weights: Any = None) -> Llama:
    """7.6 billion parameters. ``weights`` as in `published`."""
    return published("qwen2_5_7b", weights)


def qwen3_0_6b(weights: Any = None) -> Llama:
    """0.6 billion parameters. ``weights`` as in `published`."""
    return published("qwen3_0_6b", weights)


def qwen3_8b(weights: Any = None) -> Llama:
    """8.2 billion parameters. ``weights`` as in `published`."""
    return published("qwen3_8b", weights)


def published(size: str, weights: Any) -> Llama:
    """A model of a published size, a key of ``SIZES``.

    ``weights`` is a folder of transformers, a .safetensors, .pt or .pth file, a run folder or a state dict,
    with the names of Fathom or of transformers. What was taken over is printed and kept as ``load_report``.
    """
    return filled(SIZES[size].build(), weights)


KINDS = ("llama", "mistral", "qwen2", "qwen3")
TOLD = {
    "vocabulary": "vocab_size", "context": "max_position_embeddings", "width": "hidden_size",
    "layers": "num_hidden_layers", "heads": "num_attention_heads", "hidden": "intermediate_size",
}  # fmt: skip
ONLY = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "use_sliding_window": False}


def from_folder(folder: str | Path, dtype: torch.dtype = torch.float32) -> Llama:
    """The model of a folder as transformers saves it: config.json, and safetensors, in one file or sharded.

    Kinds: llama, mistral, qwen2, qwen3. Raises ``InputError`` where a file is missing, where config.json asks
    for what this model has not, and where it contradicts the tensors.
    """
    from fathom.errors import InputError
    from fathom.training.model_folder import Claim, read_folder

    found = read_folder(folder, KINDS)
    try:
        cfg = told_config(found)
    except ValueError as error:  # of Config, or of the folder, which says where already
        raise error if isinstance(error, InputError) else found.wrong(str(error)) from error
    first = "model.layers.0."
    heads, groups = ("num_attention_heads", cfg.heads), ("num_key_value_heads", cfg.groups)
    found.agree(
        [
            Claim("vocab_size", cfg.vocabulary, EMBEDDING, 0),
            Claim("hidden_size", cfg.width, EMBEDDING, 1),
            Claim("intermediate_size", cfg.hidden, f"{first}mlp.gate_proj.weight", 0),
            *(
                Claim(
                    f"{name} x head_dim = {count} x {cfg.e}",
                    count * cfg.e,
                    f"{first}self_attn.{which}.weight",
                    0,
                )
                for (name, count), which in ((heads, "q_proj"), (groups, "k_proj"))
            ),
        ],
        found.state,
    )
    found.agree_on_layers("num_hidden_layers", "model.layers.{i}.input_layernorm.weight", found.state)
    return filled(cfg.build().to(dtype), found.state)


def told_config(found: Any) -> Config:
    """The sizes that the config.json of a ``ModelFolder`` tells."""
    kind = found.config["model_type"]
    for key, only in ONLY.items():
        found.require(key, only, default=only)
    told = {name: found.number(key) for name, key in TOLD.items()}
    base, scaling = found.rotary()
    window = found.config.get("sliding_window") if kind == "mistral" else None
    width = found.config.get("head_dim")
    return Config(
        **told,
        groups=found.number("num_key_value_heads", told["heads"]),
        head_width=None if width is None else found.number("head_dim"),
        rope_base=base,
        rope_scaling=None if scaling is None else Llama3Scaling(**scaling),
        window=None if window is None else found.number("sliding_window"),
        biases=kind == "qwen2",
        query_key_norm=kind == "qwen3",
        tied=found.require("tie_word_embeddings", False, True, default=False),
        epsilon=found.real("rms_norm_eps", 1e-6),
    )


FITS = "language_modelling"  # the kind of task that `fathom fit --model llama` is for
CHOSEN = Config(  # the text brings its vocabulary
    vocabulary=2, context=128, width=128, layers=4, heads=4, groups=2, hidden=344, window=48
)


def tiny() -> "Experiment":
    """The smallest complete run: a nursery rhyme learned by heart, a second on one core. Tests run it."""
    from fathom.data.split import Data, InMemory
    from fathom.data.windows import Windows, encode
    from fathom.tasks.language_modelling import LanguageModelling
    from fathom.training import AdamW, Experiment, GradientDescent, NextToken

    rhyme = "hey diddle diddle, the cat and the fiddle,\nthe cow jumped over the moon.\n" * 9
    vocabulary = tuple(sorted(set(rhyme)))
    config = Config(
        vocabulary=len(vocabulary), context=32, width=32, layers=2, heads=4, groups=2, hidden=64, window=12
    )
    text = encode(rhyme, vocabulary)
    held_out = Windows(text[:146], length=32)
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
