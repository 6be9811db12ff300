"""Text as the word pieces of BERT: one of the operations of ``preprocessing``.

What a person types is text: a "[MASK]" or "[SEP]" in it is letters, as the tokenizer has it. Where a model
fills blanks, a blank is written as people write it, with two underscores or more.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.deployment.json_values import kind
from fathom.errors import InputError

if TYPE_CHECKING:
    from fathom.fundamentals.tokenizers.word_piece import WordPieces

BLANK = re.compile("__+")
FRAME = ("[CLS]", "[SEP]")
_known: dict[int, tuple[Any, bool, "WordPieces"]] = {}


def word_pieces(item: Any, settings: Mapping[str, Any]) -> np.ndarray:
    """Text -> int64 (length,): [CLS], numbers of its pieces in ``vocabulary``, [SEP], then [PAD].

    A text that is too long loses its end; the frame stays. ``cased`` keeps capitals and accents. With
    ``blanks`` two underscores or more are a [MASK]. Raises ``InputError`` for what is no text, and
    ``MissingExtra`` where the package `tokenizers` is absent.
    """
    if not isinstance(item, str):
        raise InputError(f"a text is a JSON string, not {kind(item)}")
    limit = settings.get("longest", 100_000)
    if len(item) > limit:
        raise InputError(f"the text has {len(item):,} characters; at most {limit:,} are read")
    known = pieces(settings)
    found: list[int] = []
    for place, part in enumerate(BLANK.split(item) if settings.get("blanks") else [item]):
        found += [known.numbers["[MASK]"]] * (place > 0)
        try:
            found += known.encode(part)
        except ValueError as error:  # half of a surrogate pair
            raise InputError(str(error)) from error
    length = settings["length"]
    first, last = (known.numbers[mark] for mark in FRAME)
    row = np.full(length, known.numbers["[PAD]"], dtype=np.int64)
    framed = [first, *found[: length - len(FRAME)], last]
    row[: len(framed)] = framed
    return row


def pieces(settings: Mapping[str, Any]) -> "WordPieces":
    """The pieces of ``settings["vocabulary"]``, a list; made once for each list object, a few kept."""
    from fathom.fundamentals.tokenizers.word_piece import WordPieces

    listed, cased = settings["vocabulary"], bool(settings.get("cased"))
    found = _known.get(id(listed))
    if found is None or found[0] is not listed or found[1] != cased:
        if len(_known) >= 16:
            _known.clear()
        _known[id(listed)] = found = (listed, cased, WordPieces(tuple(listed), cased))
    return found[2]
