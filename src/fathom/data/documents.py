"""Documents to pre-train a language model on: each once, cut into byte pairs, side by side in equal rows.

A document is a text that stands alone: a caption, a review, a speech. From a heap of them to rows:

    deduplicate    of those that say the same, or nearly, one is kept, before anything is held out
    divide         most to learn from, some to choose by, some for testing: whole documents
    cut            into byte pairs that were learned of the first part alone
    frame          a mark stands before each; after its last token the mark is what comes next
    pack           several into a row, none seeing another (``fundamentals/corpora/packing.py``)

So a document of n tokens has n + 1 places, and each place a target. Nothing is lost on the way, and what is
added is counted: the facts of `packed` say, for each part, how many documents, bytes, tokens, targets, places
and places of filling there are, and what was taken out before.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fathom.data.split import Data, Tensors, held_out
from fathom.errors import InputError
from fathom.fundamentals.corpora.deduplication import deduplicated
from fathom.fundamentals.corpora.packing import pack, rows_first_fit
from fathom.fundamentals.tokenizers.byte_pair_encoding import BytePairs, train_byte_pairs
from fathom.training.objectives import IGNORE

MARK = "<|end|>"
PARTS = ("train", "valid", "test")
Rows = Callable[[Sequence[int], int], list[list[int]]]  # lengths, places -> documents of each row


@dataclass(frozen=True)
class Collection:
    """Documents in three parts, and the byte pairs that the first of them taught."""

    texts: Mapping[str, tuple[str, ...]]  # of "train", "valid" and "test"
    pairs: BytePairs
    facts: Mapping[str, Any]

    @property
    def mark(self) -> int:
        """The number of what stands before a document, and after it."""
        return self.pairs.numbers[MARK]


def collected(texts: Sequence[str], pieces: int, *, share: float = 0.05, seed: int = 0) -> Collection:
    """``texts`` without repetitions and empty ones, a ``share`` of them held out for each of valid and test.

    ``pieces`` is the size of the vocabulary, the mark among them. Raises ``InputError`` for a share outside
    (0, 0.5), fewer than 10 different texts, and such as are no valid Unicode.
    """
    if not 0 < share < 0.5:
        raise InputError(f"share is {share}; it must be in (0, 0.5), for it is held out twice")
    full = [text for text in texts if text.strip()]
    once = deduplicated(full, seed=seed)
    if len(once.numbers) < 10:
        raise InputError(f"of {len(texts)} texts {len(once.numbers)} differ; give 10 different ones or more")
    rest, testing = held_out(len(once.numbers), share, seed)
    train, valid = held_out(len(rest), share / (1 - share), seed)
    chosen = dict(zip(PARTS, (rest[train], rest[valid], testing), strict=True))
    parts = {name: tuple(full[once.numbers[i]] for i in index.tolist()) for name, index in chosen.items()}
    try:
        pairs = train_byte_pairs(parts["train"], pieces, special=(MARK,))
    except ValueError as error:
        raise InputError(str(error)) from error
    facts = {
        "documents": len(texts), "empty": len(texts) - len(full),
        "exact_duplicates": once.exact, "near_duplicates": once.near,
        "sha256": hashlib.sha256("\0".join(texts).encode()).hexdigest(), "pieces": len(pairs.vocabulary),
    }  # fmt: skip
    return Collection(parts, pairs, facts)


def packed(collection: Collection, length: int, choose: Rows = rows_first_fit) -> Data:
    """Rows (token, document, place, target), each int64 (b, length), of each part; and what was counted.

    ``choose`` says which documents share a row. One that is too long for a row is cut into pieces that each
    begin anew. A target is the next token of the document, its end is the mark, and in filling ``IGNORE``.
    """
    made = {name: laid_out(collection, name, length, choose) for name in PARTS}
    counts = {name: facts for name, (_, facts) in made.items()}
    return Data(*(rows for rows, _ in made.values()), facts={**collection.facts, **counts})


def laid_out(collection: Collection, part: str, length: int, choose: Rows) -> tuple[Tensors, dict[str, int]]:
    """The rows of one part, and how many of everything there are."""
    texts, mark = collection.texts[part], torch.tensor([collection.mark])
    documents = [torch.tensor(collection.pairs.encode(text)) for text in texts]
    seen = [piece for d in documents for piece in torch.cat([mark, d]).split(length)]
    wanted = [piece for d in documents for piece in torch.cat([d, mark]).split(length)]
    rows = choose([len(piece) for piece in seen], length)
    given = pack(seen, rows, length, collection.mark)
    target = pack(wanted, rows, length, IGNORE).token
    facts = {
        "documents": len(texts), "bytes": sum(len(text.encode()) for text in texts),
        "tokens": sum(len(d) for d in documents), "cuts": len(seen) - len(documents),
        "targets": int((target != IGNORE).sum()), "rows": len(rows),
        "places": given.document.numel(), "filling": given.filling,
    }  # fmt: skip
    return Tensors((given.token, given.document, given.place, target)), facts


def one_a_row(lengths: Sequence[int], length: int) -> list[list[int]]:
    """Each document in a row of its own: what packing is measured against."""
    return [[number] for number in range(len(lengths))]
