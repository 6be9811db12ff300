"""From a heap of texts to a small LLaMA, and what it learns from rows that documents share.

49,000 captions, film reviews and speeches of plays, most of them far shorter than a row of 128 places. They
are deduplicated, divided, cut into byte pairs and laid into rows; then a LLaMA of 0.8 million weights reads
200 batches of 16 rows, drawn at random. All arms compute as many places; they differ in what stands in them:

    padded        a row holds one document, the rest is filling
    packed        documents share rows; places begin anew in each, and none sees another
    crossed       the same rows, but each place sees all before it, of other documents as well
    short_first   as packed, with rows of equally long documents: the shortest at first, then more and more,
                  all of them from the middle on (a curriculum: Platanios et al. 2019, section 2)

A packed row holds four times as many tokens as a padded one; that is the gain. What ``crossed`` and
``short_first`` change is small in so short a run. But where documents are not kept apart, what a model says
of one depends on those that happen to stand before it: ``gap``.

``valid/loss``: nats a token over documents that were held out, each read alone; ``valid/perplexity``: exp of
it; ``valid/bits_per_byte``: the same whatever the vocabulary; ``loss_at/N``: on the way. ``tokens``: targets
that were learned from; ``filled``: their share of the places. ``gap``: the furthest that a logit of a
document in a shared row is from the one that the document gives alone. ``corpus`` counts the collection;
``lost``: tokens and marks of its documents that are in no row.

Source: Krell et al. (2021), https://arxiv.org/abs/2107.02027; Lee et al. (2022),
https://arxiv.org/abs/2107.06499; Platanios et al. (2019), https://arxiv.org/abs/1903.09848.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fathom.claim import Claim

if TYPE_CHECKING:
    from torch import Tensor

    from fathom.architectures.transformers.llama import Llama
    from fathom.data.split import Tensors
    from fathom.report.markup import Block

CLAIM = Claim(
    sentence="For the same work, rows packed with documents kept apart teach more than padded rows.",
    rows=("LM05",),
    expect=(
        "valid/loss: packed - padded <= -0.3",
        "valid/loss: packed - crossed <= 0.08",
        "valid/loss: short_first - packed <= 0.1",
        "valid/perplexity: packed <= 150",
        "gap: packed <= 1e-3",
        "gap: crossed >= 0.1",
        "filled: packed >= 0.98",
        "lost: corpus <= 0",
    ),
    source="Krell et al. 2021, arXiv 2107.02027; Platanios et al. 2019, arXiv 1903.09848",
    builds_on=("packing", "deduplication", "byte_pair_encoding", "llama"),
    seeds=3,
    differs=(
        "Padded rows are as long as packed ones, as fixed shapes ask for; shorter batches would waste less.",
        "The curriculum goes by how long documents are; Platanios et al. also try how rare their words are.",
    ),
)

LENGTH, PIECES, BATCH, STEPS = 128, 2000, 16, 200
POINTS = 8  # of the curve
RATE = 3e-3
EASIEST = 0.1  # share of the rows that a curriculum begins with
Share = Callable[[float], float]  # progress of the run -> share of the rows that may be drawn


def texts() -> list[str]:
    """Captions, sentences of reviews, and what one person says at a time."""
    from fathom.data.sets import multi30k, rt_polarity, tiny_shakespeare

    captions = multi30k.read("en", "de")
    english = [text for split in (captions.train, captions.valid, captions.test) for text, _ in split]
    return [*english, *rt_polarity.read().texts, *tiny_shakespeare.read().split("\n\n")]


def measure(seed: int) -> dict[str, dict[str, float]]:
    """Make the rows, train each arm on its own, and score it on documents that were held out."""
    import torch

    from fathom.architectures.transformers.llama import Config
    from fathom.data.documents import collected, laid_out, one_a_row, packed

    collection = collected(texts(), PIECES, share=0.02, seed=seed)
    data = packed(collection, LENGTH)
    padded, _ = laid_out(collection, "train", LENGTH, one_a_row)
    ordered, _ = laid_out(collection, "train", LENGTH, equally_long)
    found = {"corpus": counted(data.facts)}
    per_byte = data.facts["valid"]["targets"] / data.facts["valid"]["bytes"]
    arms: dict[str, tuple[Tensors, bool, Share]] = {
        "packed": (data.train, True, lambda progress: 1.0),
        "crossed": (data.train, False, lambda progress: 1.0),
        "padded": (padded, False, lambda progress: 1.0),  # nothing stands before a row's only document
        "short_first": (ordered, True, competence),
    }
    for arm, (rows, apart, share) in arms.items():
        torch.manual_seed(seed)
        model = Config(
            vocabulary=data.facts["pieces"], context=LENGTH, width=128, layers=3, heads=4, groups=2,
            hidden=344, tied=True,
        ).build()  # fmt: skip
        curve, tokens = learned(model, rows, apart, share, data.valid, seed)  # type: ignore[arg-type]
        loss = curve[STEPS]
        found[arm] = {"valid/loss": loss, "valid/perplexity": math.exp(loss)}
        found[arm] |= {"valid/bits_per_byte": loss / math.log(2) * per_byte, "tokens": float(tokens)}
        found[arm] |= {"filled": tokens / (STEPS * BATCH * LENGTH)}
        found[arm] |= {f"loss_at/{step}": value for step, value in curve.items()}
        if arm != "padded":
            found[arm]["gap"] = gap(model, data.valid, apart)  # type: ignore[arg-type]
    return found


def counted(facts: Any) -> dict[str, float]:
    """The numbers of the collection, and what its rows lack."""
    parts = {name: facts[name] for name in ("train", "valid", "test")}
    lost = sum(part["tokens"] + part["documents"] - part["targets"] for part in parts.values())
    whole = {name: facts[name] for name in ("documents", "exact_duplicates", "near_duplicates", "pieces")}
    inside = {f"{name}/{what}": count for name, part in parts.items() for what, count in part.items()}
    return {name: float(count) for name, count in {**whole, **inside, "lost": lost}.items()}


def equally_long(lengths: Sequence[int], length: int) -> list[list[int]]:
    """Rows of documents, by number, that are about equally long; the shortest first."""
    from fathom.fundamentals.corpora.packing import rows_in_order

    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [[order[i] for i in row] for row in rows_in_order([lengths[i] for i in order], length)]


def competence(progress: float) -> float:
    """The share of the rows, shortest documents first, that a learner may meet; all from the middle on."""
    return min(1.0, math.sqrt(2 * progress * (1 - EASIEST**2) + EASIEST**2))


def learned(
    model: "Llama", rows: "Tensors", apart: bool, share: Share, valid: "Tensors", seed: int
) -> tuple[dict[int, float], int]:
    """Train on rows drawn at random; the loss of held-out documents on the way, and the targets met."""
    import torch

    from fathom.training import WarmupCosine

    dice, rate = torch.Generator().manual_seed(seed), WarmupCosine()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
    curve, tokens = {0: held_out_loss(model, valid)}, 0
    for step in range(STEPS):
        index = torch.randint(math.ceil(share(step / STEPS) * len(rows)), (BATCH,), generator=dice)
        losses = losses_of(model, rows, index, apart)
        for group in optimizer.param_groups:
            group["lr"] = RATE * rate(step / STEPS)
        optimizer.zero_grad()
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tokens += len(losses)
        if (step + 1) % (STEPS // POINTS) == 0:
            curve[step + 1] = held_out_loss(model, valid)
    return curve, tokens


def losses_of(model: "Llama", rows: "Tensors", index: "Tensor", apart: bool) -> "Tensor":
    """-log probability of each target of the rows ``index``, one after the other."""
    import torch.nn.functional as F

    from fathom.training.objectives import IGNORE

    token, document, place, target = rows.rows(index)
    wanted = target != IGNORE
    logits = read(model, token, document, place, apart)
    return F.cross_entropy(logits[wanted], target[wanted], reduction="none")


def read(model: "Llama", token: "Tensor", document: "Tensor", place: "Tensor", apart: bool) -> "Tensor":
    """Scores (b, t, v) of rows whose documents stand ``apart``, or as one text."""
    from fathom.fundamentals.corpora.packing import own_document_mask

    if not apart:
        return model(token)
    return model.scores(model.body(token, place[:, None], own_document_mask(document)[:, None]))


def held_out_loss(model: "Llama", valid: "Tensors") -> float:
    """The mean over all targets; each document is read as if it were alone."""
    import torch

    with torch.no_grad():
        parts = [losses_of(model, valid, i, True) for i in torch.arange(len(valid)).split(BATCH)]
    return float(torch.cat(parts).double().mean())


def gap(model: "Llama", valid: "Tensors", apart: bool) -> float:
    """The furthest that a logit in a shared row is from that of the document alone, over eight rows.

    The last ones: first fit gives those to the shortest documents, and the first ones to the longest.
    """
    import torch

    token, document, place, _ = valid.rows(torch.arange(len(valid) - 8, len(valid)))
    furthest = 0.0
    with torch.no_grad():
        together = read(model, token, document, place, apart)
        for row, numbers in enumerate(document):
            for number in numbers[numbers >= 0].unique():
                own = numbers == number
                furthest = max(
                    furthest, float((together[row, own] - model(token[row, own][None])[0]).abs().max())
                )
    return furthest


def picture(seed: int, found: dict[str, dict[str, float]]) -> "list[Block]":
    """What held-out documents cost on the way, and what stands in the rows."""
    from fathom.report.blocks import LineChart, Table

    arms = {name: metrics for name, metrics in found.items() if name != "corpus"}
    curves = {
        name: [(int(m.removeprefix("loss_at/")), value) for m, value in metrics.items() if "loss_at/" in m]
        for name, metrics in arms.items()
    }
    rows = [
        (name, m["valid/loss"], m["valid/perplexity"], int(m["tokens"]), m["filled"])
        for name, m in arms.items()
    ]
    columns = ("rows", "nats a token", "perplexity", "tokens learned from", "share of places")
    corpus = found["corpus"]
    told = (
        f"Of {corpus['documents']:,.0f} documents {corpus['exact_duplicates']:,.0f} repeat another and"
        f" {corpus['near_duplicates']:,.0f} nearly do; {corpus['train/documents']:,.0f} with"
        f" {corpus['train/tokens']:,.0f} tokens are learned from."
    )
    return [
        LineChart(curves, y="nats a token", caption="Loss on documents that were held out, each alone"),
        Table(columns, rows, told),
    ]
