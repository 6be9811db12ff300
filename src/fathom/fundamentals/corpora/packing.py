"""Packing: short documents stand side by side in rows of one length, and each is read as if it were alone.

A batch is a block of b rows of t places. Where each row holds one document, much of the block is filling: up
to half of it in the texts that BERT learned from, and far more where texts are short (Krell et al. 2021). So
several documents share a row, and two things keep them apart:

    places     begin anew in each document, so that a word is the third of its own text, not of the row
    a mask     lets a place see those before it in its own document, and no others:

    document   0 0 0 1 1 -       place   0 1 2 0 1 0       sees    1 . . . . .
                                                                   1 1 . . . .
                                                                   1 1 1 . . .
                                                                   . . . 1 . .
                                                                   . . . 1 1 .
                                                                   . . . . . 1

Positions that count distances alone, as rotary ones do, need the mask only; where each place has a vector of
its own, both are needed.

Which documents share a row is bin packing. `rows_in_order` fills one row after the other in the order of the
documents, as if they were read from a stream. `rows_first_fit` takes the longest first and puts each into the
first row with room for it, which never takes more than 11/9 of the fewest rows possible, and 6/9 of a row
(Johnson 1973; Dosa 2007).

Axes used below
    b  batch: rows      t  time: places of a row      k  heads      e  width of a head      n  tokens
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.attention.scaled_dot_product import attend, attend_by_hand, causal_mask

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Packing of documents",
    paper="https://arxiv.org/abs/2107.02027",
    year=2021,
    summary="Puts several short documents into one row, and keeps each from seeing the others.",
    rows=("LM05",),
    builds_on=("scaled_dot_product",),
    differs=(
        "Rows are chosen by next fit or first fit decreasing; the paper packs histograms of lengths.",
        "Filling is kept apart as one more document, so that no place is without one that it sees.",
    ),
    oracle="each document alone through GPT-2 and LLaMA: logits and gradients; transformers' LLaMA, which"
    " finds packed documents by their places",
)

NONE = -1  # the document of a place that holds filling


@dataclass(frozen=True)
class Packed:
    """Rows of documents. A document lies within one row, its tokens side by side in their order."""

    token: Tensor  # (b, t)
    document: Tensor  # int64 (b, t): the number of the document, NONE in filling
    place: Tensor  # int64 (b, t): how many tokens of its document stand before, 0 in filling

    @property
    def tokens(self) -> int:
        """Places that hold a token of a document."""
        return int((self.document != NONE).sum())

    @property
    def filling(self) -> int:
        """Places that hold none."""
        return self.document.numel() - self.tokens


def rows_in_order(lengths: Sequence[int], length: int) -> list[list[int]]:
    """Rows of documents, by number: a row ends where the next document of ``lengths`` does not fit into it.

    Raises ``ValueError`` for a document that is empty or longer than ``length``.
    """
    check_lengths(lengths, length)
    rows: list[list[int]] = []
    left = 0
    for number, size in enumerate(lengths):
        if size > left:
            rows.append([])
            left = length
        rows[-1].append(number)
        left -= size
    return rows


def rows_first_fit(lengths: Sequence[int], length: int) -> list[list[int]]:
    """Rows of documents, by number: the longest first, each into the first row with room for it.

    Of documents equally long the first goes first. Raises ``ValueError`` as `rows_in_order`.
    """
    check_lengths(lengths, length)
    rows: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(length + 1)]  # rows by the places left, each list a heap
    for number in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        size = lengths[number]
        firsts = [(heap[0], left) for left, heap in enumerate(with_room[size:], size) if heap]
        if firsts:
            row, left = min(firsts)
            heapq.heappop(with_room[left])
        else:
            row, left = len(rows), length
            rows.append([])
        rows[row].append(number)
        heapq.heappush(with_room[left - size], row)
    return rows


def pack(
    documents: Sequence[Shaped[Tensor, "_"]], rows: Sequence[Sequence[int]], length: int, filler: int = 0
) -> Packed:
    """``documents`` laid into ``rows`` of ``length`` places, filled up with ``filler``.

    Raises ``ValueError`` unless each document is in one row, once, and every row holds its documents.
    """
    if not documents:
        raise ValueError("there are no documents; give one or more")
    check_lengths([len(d) for d in documents], length)
    if sorted(number for row in rows for number in row) != list(range(len(documents))):
        raise ValueError(
            f"rows must name each of the {len(documents)} documents once, by its number; take those of"
            " rows_in_order or rows_first_fit"
        )
    token = documents[0].new_full((len(rows), length), filler)
    document = torch.full((len(rows), length), NONE)
    place = torch.zeros(len(rows), length, dtype=torch.int64)
    for r, numbers in enumerate(rows):
        sizes = torch.tensor([len(documents[n]) for n in numbers], dtype=torch.int64)
        used = int(sizes.sum())
        if used > length:
            raise ValueError(f"row {r} would hold {used} tokens; it has {length} places")
        if used:
            token[r, :used] = torch.cat([documents[n] for n in numbers])
            document[r, :used] = torch.tensor(list(numbers)).repeat_interleave(sizes)
            place[r, :used] = torch.cat([torch.arange(len(documents[n])) for n in numbers])
    return Packed(token, document, place)


def unpack(packed: Packed) -> list[Tensor]:
    """The documents again, in the order of their numbers."""
    held = packed.document != NONE
    numbers, sizes = packed.document[held].unique_consecutive(return_counts=True)
    pieces = packed.token[held].split(sizes.tolist())
    return [pieces[i] for i in numbers.argsort().tolist()]


def own_document_mask(document: Int[Tensor, "b t"]) -> Bool[Tensor, "b t t"]:
    """True where a key is of the same document as a query, and not later: block-diagonal and causal.

    Places of filling see those of filling. For several heads give it an axis: ``mask[:, None]``.
    """
    length = document.shape[1]
    same = document[:, :, None] == document[:, None, :]
    return same & causal_mask(length, length, document.device)


def check_lengths(lengths: Sequence[int], length: int) -> None:
    """Raise ``ValueError`` unless each of ``lengths`` is between 1 and ``length``."""
    if length < 1:
        raise ValueError(f"length is {length}; it must be 1 or more")
    for number, size in enumerate(lengths):
        if not 1 <= size <= length:
            what = "leave it out" if size < 1 else "cut it into pieces first"
            raise ValueError(f"document {number} has {size} tokens; a row takes 1 to {length}: {what}")


def rows_first_fit_by_hand(lengths: Sequence[int], length: int) -> list[list[int]]:
    """Document after document, look at every row from the first on."""
    rows: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for row in rows:
            if sum(lengths[n] for n in row) + lengths[number] <= length:
                row.append(number)
                break
        else:
            rows.append([number])
    return rows


def rows_in_order_by_hand(lengths: Sequence[int], length: int) -> list[list[int]]:
    """Only the last row is looked at."""
    rows: list[list[int]] = [[]]
    for number, size in enumerate(lengths):
        if sum(lengths[n] for n in rows[-1]) + size > length:
            rows.append([])
        rows[-1].append(number)
    return rows


def pack_by_hand(
    documents: Sequence[Sequence[int]], rows: Sequence[Sequence[int]], length: int, filler: int = 0
) -> list[list[list[int]]]:
    """Place by place: the token, its document, and how far into it. (3, b, t)."""
    blocks: list[list[list[int]]] = [[], [], []]
    for numbers in rows:
        row = [(documents[n][i], n, i) for n in numbers for i in range(len(documents[n]))]
        row += [(filler, NONE, 0)] * (length - len(row))
        for block, column in zip(blocks, zip(*row, strict=True), strict=True):
            block.append(list(column))
    return blocks


def attend_alone_by_hand(
    query: Float[Tensor, "b k t e"],
    key: Float[Tensor, "b k t e"],
    value: Float[Tensor, "b k t e"],
    document: Int[Tensor, "b t"],
) -> Float[Tensor, "b k t e"]:
    """Cut each row where one document ends and the next begins, and let each piece attend to itself."""
    answer = torch.zeros_like(value)
    for b, numbers in enumerate(document.tolist()):
        first = 0
        for end in range(1, len(numbers) + 1):
            if end < len(numbers) and numbers[end] == numbers[first]:
                continue
            own = slice(b, b + 1), slice(None), slice(first, end)
            answer[own] = attend_by_hand(query[own], key[own], value[own], causal=True)
            first = end
    return answer


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    lengths = [3, 9, 1, 4, 4, 2, 10, 5, 1, 1, 6, 3]
    documents = [list(range(100 * n, 100 * n + size)) for n, size in enumerate(lengths)]
    dice = torch.Generator().manual_seed(0)
    for name, choose, choose_by_hand in (
        ("rows in order", rows_in_order, rows_in_order_by_hand),
        ("first fit", rows_first_fit, rows_first_fit_by_hand),
    ):
        rows = choose(lengths, 10)
        yield Twin(
            name,
            lambda choose=choose: [[len(row), *row] for row in choose(lengths, 10)],
            lambda choose=choose_by_hand: [[len(row), *row] for row in choose(lengths, 10)],
            (),
            gradients=False,
        )
        made = pack([torch.tensor(d) for d in documents], rows, 10, 7)
        yield Twin(
            f"pack, {name}",
            lambda made=made: torch.stack([made.token, made.document, made.place]),
            lambda rows=rows: torch.tensor(pack_by_hand(documents, rows, 10, 7)),
            (),
            gradients=False,
        )
        given = torch.randn(3, len(rows), 2, 10, 3, dtype=torch.float64, generator=dice)
        yield Twin(
            f"attention, {name}",
            lambda *qkv, own=made.document: attend(*qkv, own_document_mask(own)[:, None]),  # type: ignore[call-arg]
            lambda *qkv, own=made.document: attend_alone_by_hand(*qkv, own),  # type: ignore[call-arg]
            tuple(given),
        )
