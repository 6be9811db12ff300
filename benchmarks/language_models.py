"""Our models of text against transformers': a training step, a reading, tokens written a second.

The same switches on both sides: float32, attention and GELU by torch's fused kernels, no dropout, the same
fused optimizer, no compiling, the same weights, the same tokens. That both give the same is made sure of
first: logits to a ten-thousandth, every token that is written. The two take turns, one step each, so that
whatever slows the machine slows both. Writing is greedy, with keys and values kept on both sides: ours by the
model's `read`, and through an artifact, which is what `fathom generate` does; our weights lie as that command
lays them, theirs as their model makes them. How many tokens the matrix products alone would allow stands
beside. The LSTM's other side is torch's own, bare.

This file is not called after what it compares with: a script's folder comes first where modules are looked
for, and it would be imported in the place of the library.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import peers  # noqa: F401 - before transformers, which may bring torchvision along
import torch
import torch.nn.functional as F
import transformers
from pairs import keep, paired, shown
from torch import Tensor, nn

from fathom.architectures.recurrent import char_lstm
from fathom.architectures.transformers import bert, gpt2, llama
from fathom.deployment.weight_layout import lay_for_writing, packed
from fathom.fundamentals.decoding.greedy_decoding import greedy

GATE = "upper end <= 1.02"
Rows = list[dict[str, str]]
Details = dict[str, Any]
Logits = Callable[[nn.Module, Tensor], Tensor]
Pair = tuple[Any, Any]  # our model and the other one, with equal weights

SMALL = gpt2.Config(vocabulary=65, context=256, width=384, layers=6, heads=6, dropout=0.0)
PUBLISHED = replace(gpt2.SIZES["gpt2"], dropout=0.0)
BASE = replace(bert.SIZES["bert_base"], dropout=0.0)
LLAMA = llama.Config(
    vocabulary=32000, context=256, width=768, layers=10, heads=12, groups=12, hidden=2048, tied=True
)
FUSED: dict[str, Any] = {"attn_implementation": "sdpa"}
FIRST = 0x20000  # code point from which on there are as many characters as any vocabulary wants
TINY = {"vocabulary": 65, "width": 32, "layers": 2, "heads": 2, "context": 64}  # to see that all runs


# -- the two sides -----------------------------------------------------------------------------------
def gpt2_pair(cfg: gpt2.Config) -> Pair:
    """Ours and transformers', with the weights of the latter."""
    other = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=cfg.vocabulary, n_positions=cfg.context, n_embd=cfg.width, n_layer=cfg.layers,
            n_head=cfg.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, layer_norm_epsilon=cfg.epsilon,
            bos_token_id=0, eos_token_id=0, **FUSED,
            activation_function="gelu_pytorch_tanh",  # the same function as its default, in one operation
        )
    )  # fmt: skip
    return gpt2.filled(cfg.build(), other.state_dict()), other


def bert_pair(cfg: bert.Config) -> Pair:
    other = transformers.BertForMaskedLM(
        transformers.BertConfig(
            vocab_size=cfg.vocabulary, max_position_embeddings=cfg.context, hidden_size=cfg.width,
            num_hidden_layers=cfg.layers, num_attention_heads=cfg.heads, intermediate_size=cfg.hidden,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=cfg.epsilon,
            **FUSED,
        )
    )  # fmt: skip
    return bert.filled(cfg.build(), other.state_dict()), other


def llama_pair(cfg: llama.Config) -> Pair:
    other = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=cfg.vocabulary, hidden_size=cfg.width, intermediate_size=cfg.hidden,
            num_hidden_layers=cfg.layers, num_attention_heads=cfg.heads, num_key_value_heads=cfg.groups,
            max_position_embeddings=cfg.context, rms_norm_eps=cfg.epsilon, tie_word_embeddings=cfg.tied,
            rope_parameters={"rope_type": "default", "rope_theta": cfg.rope_base}, bos_token_id=0,
            eos_token_id=0, **FUSED,
        )
    )  # fmt: skip
    return llama.filled(cfg.build(), other.state_dict()), other


class BareLSTM(nn.Module):
    """What anyone would write with torch alone."""

    def __init__(self, cfg: char_lstm.Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(cfg.vocabulary, cfg.embedding)
        self.lstm = nn.LSTM(cfg.embedding, cfg.width, cfg.layers, batch_first=True)
        self.head = nn.Linear(cfg.width, cfg.vocabulary)

    def forward(self, token: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(token))[0])


def lstm_pair(cfg: char_lstm.Config) -> Pair:
    ours, other = cfg.build(), BareLSTM(cfg)
    other.load_state_dict(ours.state_dict())
    return ours, other


def plain(model: nn.Module, token: Tensor) -> Tensor:
    return model(token)


def causal(model: nn.Module, token: Tensor) -> Tensor:
    return model(token, use_cache=False).logits


def masked(model: nn.Module, token: Tensor) -> Tensor:
    """With the mask that a tokenizer gives, as ours makes one."""
    return model(token, attention_mask=torch.ones_like(token)).logits


# -- steps -------------------------------------------------------------------------------------------
def training(net: nn.Module, logits: Logits, token: Tensor) -> Callable[[], float]:
    """One step of AdamW on ``token`` (b, t + 1), each place's target the next; returns its seconds."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=True)
    net.train()

    def step() -> float:
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        scores = logits(net, token[:, :-1])
        F.cross_entropy(scores.flatten(0, 1), token[:, 1:].flatten()).backward()
        optimizer.step()
        return time.perf_counter() - began

    return step


def reading(net: nn.Module, logits: Logits, token: Tensor) -> Callable[[], float]:
    net.eval()

    def step() -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            logits(net, token[:, :-1])
        return time.perf_counter() - began

    return step


def ours_writes(model: Any, prompt: Tensor, count: int) -> Tensor:
    """The ``count`` tokens after each prompt (b, t), (b, count)."""
    written = [prompt]
    with torch.inference_mode(), packed(model, len(prompt), count):
        cache = model.cache(len(prompt), prompt.shape[1] + count)
        for _ in range(count):
            written.append(greedy(model.read(written[-1], cache))[:, None])
    return torch.cat(written[1:], dim=1)


def theirs_writes(model: Any, prompt: Tensor, count: int) -> Tensor:
    made = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, do_sample=False,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    return made[:, prompt.shape[1] :]


def artifact_writes(model: Any, prompt: Tensor, count: int) -> Tensor:
    """As `fathom generate` asks a run of its own: with filters, dice and texts of any lengths."""
    from fathom.deployment.writing import Wish, Writer
    from fathom.fundamentals.decoding.token_sampling import Sampling
    from fathom.task import Boundary
    from fathom.tasks.language_modelling import LanguageModelling

    characters = tuple(map(chr, range(FIRST, FIRST + model.cfg.vocabulary)))  # any: none of them is shown
    task = LanguageModelling(vocabulary=characters, states=model.cfg.states)
    wish = Wish(
        length=count, beams=1, contrast=0.0, candidates=1, trace=0, seed=0, how=Sampling(temperature=0)
    )
    writer = Writer(Boundary(task, model), task.zeros, characters)
    texts = writer.write(prompt.tolist(), [wish] * len(prompt))
    return torch.tensor(texts)[:, prompt.shape[1] :]


def products_alone(model: Any, prompt: Tensor, count: int) -> Tensor:
    """The matrix products of ``count`` tokens, nothing else: no way of writing in float32 is faster."""
    linear = [part for part in model.modules() if isinstance(part, nn.Linear)]
    inputs = {part.in_features: torch.randn(len(prompt), part.in_features) for part in linear}
    with torch.inference_mode(), packed(model, len(prompt), count):
        for _ in range(count):
            for part in linear:
                part.forward(inputs[part.in_features])
            F.linear(inputs[model.cfg.width], model.embedding.weight)
    return prompt


def rate(write: Callable[..., Tensor], model: Any, prompt: Tensor, count: int) -> Callable[[], float]:
    """Tokens a second, those of all texts together."""

    def run() -> float:
        began = time.perf_counter()
        write(model, prompt, count)
        return len(prompt) * count / (time.perf_counter() - began)

    return run


# -- comparisons -------------------------------------------------------------------------------------
def learned(
    name: str,
    pair: Pair,
    logits: Logits,
    shape: tuple[int, int],
    args: argparse.Namespace,
) -> tuple[Rows, Details]:
    """Training steps and readings of ``shape`` (texts, tokens)."""
    ours, other = pair
    token = torch.randint(1, ours.cfg.vocabulary, (shape[0], shape[1] + 1))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(token[:, :-1]), logits(other.eval(), token[:, :-1]),
                                   rtol=1e-4, atol=1e-4)  # fmt: skip
    peer, gate = ("nn.LSTM", "upper end <= 1.03") if isinstance(other, BareLSTM) else ("transformers", GATE)
    rows: Rows = []
    details: Details = {}
    for kind, make in (("reading", reading), ("training step", training)):  # weights move in the latter
        steps = make(ours, plain, token), make(other, logits, token)
        for step in steps * 2:  # both warm
            step()
        found = details[f"{name}, {kind}"] = paired(*steps, args.pairs)
        rows.append(
            {
                "what": f"{name}: milliseconds, {kind}, {shape[0]} x {shape[1]} tokens",
                "ours": f"{found['ours_median'] * 1e3:.0f}",
                "other": f"{peer} {found['other_median'] * 1e3:.0f}",
                "ratio": shown(found), "goal": gate,
            }
        )  # fmt: skip
    return rows, details


def written(
    name: str,
    pair: Pair,
    lengths: tuple[int, int],
    goal: float,
    args: argparse.Namespace,
) -> tuple[Rows, Details]:
    """Tokens a second, ``lengths`` of prompt and answer, of one text and of eight."""
    ours, other = (net.eval() for net in pair)
    lay_for_writing(ours)
    begun, count = lengths
    ways = {
        "": (ours_writes, f"lower end >= {goal}"),
        ", the matrix products alone": (products_alone, "none (what any way of writing stays below)"),
    }
    if ours.cfg.vocabulary == SMALL.vocabulary:
        ways[", through an artifact"] = (artifact_writes, "none (what `fathom generate` does)")
    rows: Rows = []
    details: Details = {}
    for texts in (1, 8):
        prompt = torch.randint(1, ours.cfg.vocabulary, (texts, begun))
        wanted = theirs_writes(other, prompt, count)  # warms it, too
        for way, (write, aim) in ways.items():
            if write is not products_alone and not torch.equal(write(ours, prompt, count), wanted):
                raise SystemExit(f"{name}{way}: what is written is not what transformers writes")
            found = paired(
                rate(write, ours, prompt, count), rate(theirs_writes, other, prompt, count), args.pairs
            )
            details[f"{name}{way}, {texts}"] = found
            rows.append(
                {
                    "what": f"{name}{way}: tokens written a second, texts at a time: {texts}",
                    "ours": f"{found['ours_median']:.0f}",
                    "other": f"transformers {found['other_median']:.0f}",
                    "ratio": shown(found), "goal": aim,
                }
            )  # fmt: skip
    return rows, details


def parts(tiny: bool) -> dict[str, Callable[[argparse.Namespace], tuple[Rows, Details]]]:
    """What can be measured, by its name; ``tiny`` sizes show that it runs."""
    small, published = (replace(c, **TINY) if tiny else c for c in (SMALL, PUBLISHED))
    base = replace(BASE, hidden=64, **TINY) if tiny else BASE
    llama_cfg = replace(LLAMA, groups=2, hidden=64, **TINY) if tiny else LLAMA
    lstm = char_lstm.Config(width=32) if tiny else char_lstm.Config()

    def shape(texts: int, tokens: int) -> tuple[int, int]:
        return (2, 16) if tiny else (texts, tokens)

    lengths = (8, 12) if tiny else (32, 128)
    return {
        "gpt2": lambda a: learned("GPT-2, 6 x 384", gpt2_pair(small), causal, shape(12, 256), a),
        "bert": lambda a: learned("BERT-base", bert_pair(base), masked, shape(4, 128), a),
        "llama": lambda a: learned("LLaMA, 95 M", llama_pair(llama_cfg), causal, shape(2, 256), a),
        "lstm": lambda a: learned("LSTM, 256", lstm_pair(lstm), plain, shape(32, 128), a),
        "writing": lambda a: written("GPT-2, 6 x 384", gpt2_pair(small), lengths, 1.5, a),
        "writing-124M": lambda a: written("GPT-2, 124 M", gpt2_pair(published), lengths, 1.1, a),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--only", action="append", choices=list(parts(True)), help="this part; may be repeated"
    )
    parser.add_argument("--tiny", action="store_true", help="sizes that only show that it runs; needs --out")
    parser.add_argument("--out", help="the result as JSON (default: benchmarks/results/language_models.json)")
    args = parser.parse_args()
    if args.tiny and not args.out:
        parser.error("--tiny measures nothing worth keeping; give --out FILE")
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    for name, compare in parts(args.tiny).items():
        if args.only and name not in args.only:
            continue
        torch.manual_seed(0)
        rows, details = compare(args)
        keep("language_models", rows, {"threads": args.threads, **details}, args.out)


if __name__ == "__main__":
    main()
