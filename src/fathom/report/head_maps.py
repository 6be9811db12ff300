"""Where it looks: the attention maps of a model's heads on held-out texts, and how far and widely each looks.

Maps are noted while the model reads (``fundamentals.explanation.attention_maps``), one text at a time, as its
task gives it. Drawn are two texts, short ones where texts differ in length and beginnings of lines where they
are cut from running text, in the first and the last layer; the table counts more of them, whole. A task
whose input is not tokens of one vocabulary, and a model without attention among the places of a text, have no
section.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fathom.fundamentals.explanation.attention_maps import distances, entropies, noted_attention
from fathom.report.blocks import Table
from fathom.report.markup import Block
from fathom.report.page import Section
from fathom.report.square_maps import SquareMap, SquareMaps
from fathom.task import Task

DRAWN = 2  # texts
MANY = 8  # heads of a layer; where it has more, one text is enough
HEADS = 16  # of a layer that are drawn
ROWS = 64  # of the table; of a deeper model it has the first and the last layer
CONSIDERED = 64  # texts that those drawn are chosen among
COUNTED = 16  # texts of the table, where the model is small
WORK = 6e10  # multiplications that they may cost, a few seconds of one core
SHORT, LONG = 8, 16  # tokens of a text that is good to look at
FEW = 20  # characters that are drawn of running text
MOST = 256  # that are counted
FILLING = ("[PAD]", "<padding>")
FRAME = ("[CLS]", "[SEP]")
UNKNOWN = ("[UNK]", "<unknown>")
BLANK: Mapping[str, str] = {"\n": "\u21b5", " ": "\u00b7", "\t": "\u21e5"}  # what cannot be seen
PLACES = ("itself", "the one before", "the one after", "the first", "the last")
INTRO = (
    "How much each token takes from each other: softmax(q k / sqrt(e)), of the very queries and keys that"
    " enter the model's attention, with its mask and its positions. Attention tells from where a head takes,"
    " not why the model answers as it does."
)


@dataclass(frozen=True, eq=False)
class Reading:
    """One text as the model read it: its tokens, and the maps of each layer, (heads, n, n)."""

    names: list[str]
    layers: list[Tensor]

    @property
    def heads(self) -> list[int]:
        return [len(layer) for layer in self.layers]

    @property
    def causal(self) -> bool:
        """Whether nothing looks ahead."""
        return not any(layer.triu(1).any() for layer in self.layers)

    def text(self) -> str:
        """For a caption: without the marks that frame it, and with line ends that can be seen."""
        single = sum(len(name) == 1 for name in self.names)
        gap = "" if 2 * single > len(self.names) else " "
        words = gap.join(name for name in self.names if name not in FRAME).replace(" ##", "")
        return words.strip().replace("\n", f" {BLANK[chr(10)]} ")


def head_map_sections(task: Task, model: nn.Module, split: Any) -> list[Section]:
    """One section, or none; the model's mode and weights stay."""
    vocabulary: tuple[str, ...] = tuple(getattr(task, "vocabulary", ()))
    texts = some_texts(split)
    if texts is None or not vocabulary:
        return []
    apart = vocabulary[0] in FILLING  # a row is a text; else it is cut from running text
    short, whole = shortest_first(texts) if apart else lines(texts, vocabulary)
    with judging(model):
        shown = [one for text in short if (one := read(task, model, text, vocabulary))]
        if not shown:
            return []
        more = whole[: affordable(model, len(whole[0]))][DRAWN if apart else 0 :]
        counted = [one for text in more if (one := read(task, model, text, vocabulary))]
    counted = [one for one in [*(shown if apart else []), *counted] if one.heads == shown[0].heads]
    blocks: list[Block] = []
    for one in shown[: 1 if max(shown[0].heads) > MANY else DRAWN]:
        ends = sorted({0, len(one.layers) - 1})
        groups = {titled(one.layers, layer): drawn(one, layer) for layer in ends}
        names = [BLANK.get(name, name) for name in one.names]
        blocks.append(SquareMaps(names, groups, f"\u201c{one.text()}\u201d"))
    return [Section("Where it looks", [*blocks, table(counted or shown)], INTRO)]


def some_texts(split: Any) -> Tensor | None:
    """Rows of tokens (n, t) from all over ``split``; None where its rows are of another kind."""
    if not hasattr(split, "rows") or not len(split):
        return None
    count = min(len(split), CONSIDERED)
    inputs = split.rows(torch.arange(count) * len(split) // count)[:-1]
    if len(inputs) != 1 or not isinstance(inputs[0], Tensor):
        return None
    return inputs[0] if inputs[0].ndim == 2 and inputs[0].dtype == torch.int64 else None


def shortest_first(texts: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Of texts that are filled up: those to be drawn, of a length good to look at, and all, these first."""
    lengths = (texts != 0).sum(dim=1).tolist()
    order = sorted(range(len(texts)), key=lambda i: (max(0, SHORT - lengths[i], lengths[i] - LONG), i))
    return [texts[i] for i in order[:DRAWN]], [texts[i] for i in order]


def lines(texts: Tensor, vocabulary: tuple[str, ...]) -> tuple[list[Tensor], list[Tensor]]:
    """Of running text, any piece of which is a text: beginnings that are to be drawn, and all."""
    short = [from_a_beginning(row, vocabulary)[:FEW] for row in texts[:DRAWN]]
    return short, [row[:MOST] for row in texts]


def from_a_beginning(row: Tensor, vocabulary: tuple[str, ...]) -> Tensor:
    """A piece of running text, from the first line or else word that begins in its first half."""
    half = "".join(vocabulary[n][:1] or "?" for n in row[: len(row) // 2].tolist())
    begun = re.search(r"\n(?=\S)", half) or re.search(r"\s(?=\S)", half)
    return row[begun.end() :] if begun else row


def read(task: Task, model: nn.Module, text: Tensor, vocabulary: tuple[str, ...]) -> Reading | None:
    layers = maps_of(task, model, text)
    if not layers:
        return None
    names = [vocabulary[n] for n in text[: layers[0].shape[-1]].tolist()]
    return Reading(["[?]" if name in UNKNOWN else name for name in names], layers)


def affordable(model: nn.Module, length: int) -> int:
    """How many texts of ``length`` tokens may be read."""
    each = length * max(1, sum(p.numel() for p in model.parameters()))
    return max(1, min(COUNTED, int(WORK / each)))


@contextmanager
def judging(model: nn.Module) -> Iterator[None]:
    """Within it the model is in evaluation mode, and afterwards each part in the mode it was in."""
    was = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in was.items():
            module.training = training


def maps_of(task: Task, model: nn.Module, text: Tensor) -> list[Tensor]:
    """The maps of each layer that looks from the places of a text to the same, where it is no filling."""
    weight = next(iter(model.parameters()), torch.zeros(()))
    try:
        with noted_attention() as maps, torch.no_grad():
            model(*task.prepare(text[None].to(weight.device)))
    except Exception:  # a module of one's own may take texts in any form; its report is not to fail of that
        return []
    sizes = {len(text), int((text != 0).sum())}  # a model may leave filling out by itself
    square = [m[None].flatten(0, -3).float().cpu() for m in maps if m.shape[-1] == m.shape[-2] in sizes]
    square = [m for m in square if m.shape[-1] == square[0].shape[-1]]
    if not square or not all(m.isfinite().all() for m in square):
        return []
    seen = torch.stack([m.amax(dim=(0, 1)) for m in square]).amax(dim=0) > 0
    last = int(seen.nonzero().max()) + 1  # beyond it is what no head looks at: filling
    return [m[:, :last, :last] for m in square] if last > 2 else []


def titled(layers: Sequence[Tensor], layer: int) -> str:
    some = f", {HEADS} of {len(layers[layer])} heads" if len(layers[layer]) > HEADS else ""
    return (f"Layer {layer + 1} of {len(layers)}" if len(layers) > 1 else "The only layer") + some


def drawn(one: Reading, layer: int) -> list[SquareMap]:
    """The heads of a layer."""
    maps, direction = [], "back" if one.causal else "away"
    for head, weights in enumerate(one.layers[layer][:HEADS], 1):
        far, wide = float(distances(weights).mean()), math.exp(float(entropies(weights).mean()))
        maps.append(
            SquareMap(weights.numpy(), f"Head {head}", f"{far:.1f} {direction}, over {wide:.1f} tokens")
        )
    return maps


def table(read: Sequence[Reading]) -> Table:
    """How far and how widely each head looks, and at what place most; last what an even look would be."""
    count = len(read[0].layers)
    whole = sum(read[0].heads) <= ROWS
    rows: list[tuple[str, ...]] = []
    for layer in range(count) if whole else sorted({0, count - 1}):
        measured = torch.stack([measures(one.layers[layer]) for one in read]).mean(dim=0)
        for head, values in enumerate(measured, 1):
            rows.append((f"layer {layer + 1}, head {head}", *told(values)))
    even = torch.stack([measures(evenly(one)) for one in read]).mean(dim=0)[0]
    rows.append(("evenly at all it may see", *told(even)[:-1], "\u2013"))
    some = "Of one held-out text" if len(read) == 1 else f"Means over {len(read)} held-out texts"
    caption = (
        f"{some}. Distance: how many tokens {'back' if read[0].causal else 'away'} a head looks. Entropy, in"
        " nats: how widely, as over so many tokens alike. Most at: where the largest share goes."
    )
    columns = ("", "distance", "entropy", "as over", "most at")
    return Table(columns, rows, caption, emphasis={len(rows) - 1})


def measures(weights: Tensor) -> Tensor:
    """For each head (heads, 2 + places): distance, entropy, and the share that goes to each of ``PLACES``.

    Shares are those of the tokens between the first and the last, which have all these places.
    """
    end = weights.shape[-1] - 1
    t = torch.arange(1, end)
    shares = [weights[:, t, s].mean(dim=1) for s in (t, t - 1, t + 1, 0 * t, 0 * t + end)]
    return torch.stack([distances(weights).mean(dim=1), entropies(weights).mean(dim=1), *shares], dim=1)


def evenly(one: Reading) -> Tensor:
    """The map (1, n, n) of a head that looks alike at every place where some head looks."""
    seen = torch.stack([layer.amax(dim=0) for layer in one.layers]).amax(dim=0) > 0
    return (seen / seen.sum(dim=1, keepdim=True).clamp(min=1))[None]


def told(values: Tensor) -> tuple[str, ...]:
    distance, entropy, *shares = values.tolist()
    most = max(range(len(PLACES)), key=lambda i: shares[i])
    numbers = (f"{distance:.2f}", f"{entropy:.2f}", f"{math.exp(entropy):.1f}")
    return (*numbers, f"{PLACES[most]}, {shares[most]:.0%}")
