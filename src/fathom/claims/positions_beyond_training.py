"""Ways of telling a Transformer where a word stands, and what they are worth in texts longer than any it saw.

One small decoder reads Shakespeare's plays in windows of 64 characters and is then asked about the same
characters of unseen plays after 64, 128 and 256 others. More before a character can only help to guess it -
if the model can stand places, or distances, that it never met:

    learned       a vector for each place (Vaswani et al. 2017, section 3.5); beyond the 64th there is none
    sinusoidal    a vector for each place, computed, so that there is one for every place
    relative      a learned bias for each distance, larger ones sharing a bucket (Raffel et al. 2020)
    rotary        queries and keys turned by an angle that grows with the place (Su et al. 2021)
    alibi         a bias that falls in a straight line with the distance (Press et al. 2022)

``loss/64``, ``loss/128``, ``loss/256``: nats a character, each time over the same last 32 characters of
windows of that length. ``worse/N``: ``loss/N`` less ``loss/64``, above 0 where a longer text harms.

Source: Press, Smith and Lewis (2022, section 2 and figure 1), https://arxiv.org/abs/2108.12409.
"""

from typing import TYPE_CHECKING

from fathom.claim import Claim

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fathom.report.markup import Block

CLAIM = Claim(
    sentence="Trained on 64 characters, ALiBi reads 256 as well as 64; sinusoids fall apart there.",
    rows=("TR06",),
    expect=(
        "worse/256: alibi <= 0.02",
        "worse/256: sinusoidal >= 0.2",
        "worse/256: sinusoidal - alibi >= 0.2",
        "worse/256: rotary - alibi >= 0.02",
        "loss/64: alibi - sinusoidal <= 0.1",
    ),
    source="Press et al. 2022, arXiv 2108.12409",
    builds_on=("alibi", "rotary", "relative_buckets", "sinusoidal", "learned_positions"),
    seeds=3,
    differs=(
        "Characters of plays, 64 of them, and 0.1 million weights; the paper has words and 247 million.",
    ),
)

KINDS = ("learned", "sinusoidal", "relative", "rotary", "alibi")
TRAINED, ASKED = 64, (64, 128, 256)
LAST = 32  # characters of a window that are scored
WIDTH, HEADS, LAYERS = 64, 4, 2
BATCH, STEPS, RATE = 64, 600, 3e-3
WINDOWS = 800  # that are scored


def measure(seed: int) -> dict[str, dict[str, float]]:
    from fathom.data.windows import running_text
    from fathom.recipes.char_lstm import CHARACTERS, char_lstm

    data = char_lstm().data.load()
    assert data.valid is not None
    known, unseen = running_text(data.train), running_text(data.valid)
    found = {}
    for kind in KINDS:
        model = learned(kind, known, len(CHARACTERS), seed)
        lengths = ASKED[:1] if kind == "learned" else ASKED
        loss = {length: scored(model, kind, unseen, length) for length in lengths}
        found[kind] = {f"loss/{length}": loss[length] for length in lengths}
        found[kind] |= {f"worse/{length}": loss[length] - loss[TRAINED] for length in lengths[1:]}
    return found


def learned(kind: str, text: "Tensor", vocabulary: int, seed: int) -> "nn.ModuleDict":
    """A decoder of that kind after its training; all see the same windows."""
    import torch
    import torch.nn.functional as F

    from fathom.fundamentals.schedules.one_cycle import one_cycle

    torch.manual_seed(seed)
    model = decoder(kind, vocabulary)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    dice = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * one_cycle(step / STEPS, 1, 0.1, 0.04, 0.0, "cosine")
        begin = torch.randint(len(text) - TRAINED, (BATCH, 1), generator=dice)
        window = text[begin + torch.arange(TRAINED + 1)]
        loss = F.cross_entropy(scores(model, kind, window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def scored(model: "nn.ModuleDict", kind: str, text: "Tensor", length: int) -> float:
    """Nats a character over the last ones of windows that end at the same places, whatever their length."""
    import torch
    import torch.nn.functional as F

    ends = torch.linspace(max(ASKED), len(text) - 1, WINDOWS).long()
    losses = []
    with torch.inference_mode():
        for end in ends.split(100):
            window = text[end[:, None] + torch.arange(-length, 1)]
            logits = scores(model, kind, window[:, :-1])[:, -LAST:]
            losses.append(
                F.cross_entropy(logits.flatten(0, 1), window[:, -LAST:].flatten(), reduction="none")
            )
    return float(torch.cat(losses).double().mean())


def decoder(kind: str, vocabulary: int) -> "nn.ModuleDict":
    """The parts with weights: embedding, blocks of attention and a dense part, a norm, scores."""
    from torch import nn

    from fathom.fundamentals.positions.learned_positions import LearnedPositions
    from fathom.fundamentals.positions.relative_buckets import RelativeBuckets
    from fathom.fundamentals.positions.sinusoidal import SinusoidalPositions

    parts: dict[str, nn.Module] = {"embedding": nn.Embedding(vocabulary, WIDTH)}
    nn.init.normal_(parts["embedding"].weight, std=0.1)  # type: ignore[arg-type]
    if kind == "learned":
        parts["places"] = LearnedPositions(TRAINED, WIDTH)
    elif kind == "sinusoidal":
        parts["places"] = SinusoidalPositions(max(ASKED), WIDTH)
    elif kind == "relative":
        parts["places"] = RelativeBuckets(HEADS, both_ways=False)
    for layer in range(LAYERS):
        dense = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))
        parts |= {f"qkv_{layer}": nn.Linear(WIDTH, 3 * WIDTH), f"out_{layer}": nn.Linear(WIDTH, WIDTH)}
        parts |= {
            f"norm_{layer}": nn.LayerNorm(WIDTH),
            f"dense_{layer}": nn.Sequential(nn.LayerNorm(WIDTH), dense),
        }
    return nn.ModuleDict({**parts, "norm": nn.LayerNorm(WIDTH), "head": nn.Linear(WIDTH, vocabulary)})


def scores(parts: "nn.ModuleDict", kind: str, token: "Tensor") -> "Tensor":
    """Logits (b, t, v) of what follows each of ``token`` (b, t)."""
    import torch
    from einops import rearrange

    from fathom.fundamentals.attention.scaled_dot_product import attend
    from fathom.fundamentals.positions.alibi import alibi_bias
    from fathom.fundamentals.positions.rotary import frequencies, rotary_tables, rotate

    x, count = parts["embedding"](token), token.shape[1]
    bias = alibi_bias(HEADS, count, count) if kind == "alibi" else None
    if kind in ("learned", "sinusoidal"):
        x = parts["places"](x)
    elif kind == "relative":
        bias = parts["places"](count, count)
    tables = rotary_tables(torch.arange(count), frequencies(WIDTH // HEADS))
    for layer in range(LAYERS):
        asked = parts[f"qkv_{layer}"](parts[f"norm_{layer}"](x))
        query, key, value = rearrange(asked, "b t (three k e) -> three b k t e", three=3, k=HEADS)
        if kind == "rotary":
            query, key = rotate(query, *tables), rotate(key, *tables)
        heard = attend(query, key, value, bias, causal=True)
        x = x + parts[f"out_{layer}"](rearrange(heard, "b k t e -> b t (k e)"))
        x = x + parts[f"dense_{layer}"](x)
    return parts["head"](parts["norm"](x))


def picture(seed: int, found: dict[str, dict[str, float]]) -> "list[Block]":
    """The loss of each kind against the length of the text."""
    import numpy as np

    from fathom.report.blocks import Table
    from fathom.report.charts import LineChart

    curves = {
        kind: np.array([(length, arm[f"loss/{length}"]) for length in ASKED if f"loss/{length}" in arm])
        for kind, arm in found.items()
    }
    rows = [
        (kind, *(f"{arm[f'loss/{n}']:.3f}" if f"loss/{n}" in arm else "-" for n in ASKED))
        for kind, arm in found.items()
    ]
    return [
        LineChart({k: c for k, c in curves.items() if len(c) > 1}, x="characters read", y="nats",
                  caption="The last 32 characters of the same windows, cut to a length"),
        Table(("places", *(f"{n} characters" for n in ASKED)), rows, "Trained on 64."),
    ]  # fmt: skip
