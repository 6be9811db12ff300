"""Our models of text as they come, against transformers' at their best.

``language_models.py`` gives both sides the same switches. Here ours are used as people use them: a training
step is the one of ``fathom train`` and ``fathom fit``, with all that it checks and measures, reading is the
model as it lies, and writing is what ``fathom generate`` does. The others get what their documentation and
torch's advise for a processor: the fused optimizer, gradients set to None, fused attention, GELU in one
operation, clipping as their Trainer does it, ``inference_mode``. With ``--compile`` the compiled network is
tried as well, for writing with the cache of fixed size that their guide asks for then; that takes minutes and
a C++ compiler, and of what was tried the quickest is taken. The LSTM's other side is torch's own, bare. Both
sides have float32, equal weights, the same tokens and as many threads, and take turns step by step. A part is
measured with ``--only``; rows of earlier calls stay.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import peers  # noqa: F401 - before transformers
import torch
import torch.nn.functional as F
import transformers
from language_models import (
    BASE,
    LLAMA,
    PUBLISHED,
    SMALL,
    Logits,
    Pair,
    artifact_writes,
    bert_pair,
    causal,
    gpt2_pair,
    llama_pair,
    lstm_pair,
    masked,
    plain,
    rate,
    reading,
    theirs_writes,
)
from pairs import keep, options, paired, shown
from torch import Tensor

from fathom.architectures.recurrent import char_lstm
from fathom.architectures.transformers import gpt2
from fathom.training import AdamW, GradientDescent, NextToken
from fathom.training.parallel import Parallel

GOAL = "<= 0.95 (a goal, no gate)"
MORE = ">= 1.05 (a goal, no gate)"  # of tokens a second more is better
RATE = 1e-5
WARM, TRIED = 2, 3  # runs before a setting is timed, and timed ones of which the quickest counts
PLAIN, COMPILED = "plain", "compiled"
PROMPT, ANSWER = 32, 128  # tokens

Run = Callable[[], float]  # seconds of a step, or tokens a second
LEARNED: dict[str, tuple[Callable[[], Pair], Logits, tuple[int, int]]] = {
    "GPT-2, 6 x 384": (lambda: gpt2_pair(SMALL), causal, (12, 256)),
    "BERT-base": (lambda: bert_pair(BASE), masked, (4, 128)),
    "LLaMA, 95 M": (lambda: llama_pair(LLAMA), causal, (2, 256)),
    "LSTM, 256": (lambda: lstm_pair(char_lstm.Config()), plain, (32, 128)),
}


def our_training(net: Any, token: Tensor) -> Run:
    optimizer = AdamW(learning_rate=RATE)
    how = GradientDescent(objective=NextToken(), optimizer=optimizer, clip_norm=1.0)
    learner = how.learner(net, 10**6, Parallel())
    batch = token[:, :-1], token[:, 1:]

    def step() -> float:
        began = time.perf_counter()
        learner.update(batch, 0)
        return time.perf_counter() - began

    return step


def their_training(net: Any, logits: Logits, token: Tensor) -> Run:
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, fused=True)
    net.train()

    def step() -> float:
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits(net, token[:, :-1]).flatten(0, 1), token[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return time.perf_counter() - began

    return step


def fixed_writes(model: Any, prompt: Tensor, count: int) -> Tensor:
    """As `theirs_writes`, with a cache whose size does not change, so that one compiled step serves."""
    made = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=count, do_sample=False,
        eos_token_id=None, pad_token_id=0, cache_implementation="static",
    )  # fmt: skip
    return made[:, prompt.shape[1] :]


def quickest(ways: dict[str, Run], more: bool = False) -> tuple[str, Run, dict[str, float]]:
    """The setting that is best here, warm, and what each reached; ``more``: where more is better."""
    tried: dict[str, float] = {}
    for how, run in ways.items():
        for _ in range(WARM):
            run()
        reached = [run() for _ in range(TRIED)]
        tried[how] = max(reached) if more else min(reached)
    best = (max if more else min)(tried, key=lambda how: tried[how])
    return best, ways[best], tried


def learned(kind: str, name: str, args: argparse.Namespace) -> None:
    """A training step, or a ``reading`` of the same texts."""
    make, logits, shape = LEARNED[name]
    ours, theirs = make()
    token = torch.randint(1, ours.cfg.vocabulary, (shape[0], shape[1] + 1))
    theirs_does = reading if kind == "reading" else their_training
    ways = {PLAIN: theirs_does(theirs, logits, token)}
    if args.compile:
        compiled: Any = torch.compile(theirs)
        ways[COMPILED] = theirs_does(compiled, logits, token)
    step = reading(ours, plain, token) if kind == "reading" else our_training(ours, token)
    for _ in range(WARM):
        step()
    how, other, tried = quickest(ways)
    what = f"{name}: milliseconds, {kind}, {shape[0]} x {shape[1]} tokens"
    peer = "nn.LSTM" if name.startswith("LSTM") else "transformers"
    told(what, paired(step, other, args.pairs), 1e3, f"{peer} {{}}, {how}", tried, args)


def writing(name: str, cfg: gpt2.Config, texts: int, args: argparse.Namespace) -> None:
    ours, theirs = (net.eval() for net in gpt2_pair(cfg))
    prompt = torch.randint(1, ours.cfg.vocabulary, (texts, PROMPT))
    ways = {PLAIN: rate(theirs_writes, theirs, prompt, ANSWER)}
    wanted = theirs_writes(theirs, prompt, ANSWER)
    assert torch.equal(artifact_writes(ours, prompt, ANSWER), wanted), "ours writes otherwise"
    if args.compile:
        compiled = gpt2_pair(cfg)[1].eval()
        compiled.load_state_dict(theirs.state_dict())
        compiled.forward = torch.compile(compiled.forward)
        assert torch.equal(fixed_writes(compiled, prompt, ANSWER), wanted), (
            "theirs writes otherwise when compiled"
        )
        ways[COMPILED] = rate(fixed_writes, compiled, prompt, ANSWER)
    how, other, tried = quickest(ways, more=True)
    found = paired(rate(artifact_writes, ours, prompt, ANSWER), other, args.pairs)
    what = f"{name}: tokens written a second, texts at a time: {texts}"
    told(what, found, 1, f"transformers {{}}, {how}", tried, args)


def told(
    what: str, found: dict[str, Any], unit: float, other: str, tried: dict[str, float],
    args: argparse.Namespace,
) -> None:  # fmt: skip
    """Keep one comparison; ``unit`` is what its numbers are multiplied by to be shown."""
    row = {
        "what": f"{what}, our defaults",
        "ours": f"{found['ours_median'] * unit:.0f}",
        "other": other.format(f"{found['other_median'] * unit:.0f}"),
        "ratio": shown(found), "goal": GOAL if "milliseconds" in what else MORE,
    }  # fmt: skip
    keep("language_defaults", [row], {what: found | {"threads": args.threads, "tried": tried}}, args.out)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    f"{part}{'-reading' if kind == 'reading' else ''}": partial(learned, kind, name)
    for part, name in zip(("gpt2", "bert", "llama", "lstm"), LEARNED, strict=True)
    for kind in ("training step", "reading")
} | {
    f"writing{part}-{texts}": partial(writing, name, cfg, texts)
    for part, name, cfg in (("", "GPT-2, 6 x 384", SMALL), ("-124M", "GPT-2, 124 M", PUBLISHED))
    for texts in (1, 8)
}


def main() -> None:
    parser = options(__doc__, [*PARTS])
    parser.add_argument("--compile", action="store_true", help="let the others try compiled networks too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    for part in args.only:
        torch.manual_seed(0)
        PARTS[part](args)


if __name__ == "__main__":
    main()
