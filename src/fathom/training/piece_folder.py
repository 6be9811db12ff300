"""The word pieces of a folder in which transformers keeps an encoder, read from what lies beside the weights.

    tokenizer.json           the whole tokenizer: pieces, and how a text is cleaned and split before; or else
    vocab.txt                the pieces, a line each, and
    tokenizer_config.json    do_lower_case, where it is not true

Numbers of pieces mean nothing without the weights that were trained with them. So a tokenizer of another
kind, one that cleans texts in another way, and one with more pieces than the weights have rows are refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.errors import InputError
from fathom.training.model_folder import read_json

WHOLE, LINES, SETTINGS = "tokenizer.json", "vocab.txt", "tokenizer_config.json"
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SPARE = 128  # rows of an embedding that no piece has: some are padded to a multiple of a power of two
CLEANS = {"clean_text": True, "handle_chinese_chars": True}  # of BertNormalizer, besides capitals and accents


@dataclass(frozen=True)
class Pieces:
    """Pieces in the order of their numbers, and whether capitals and accents are kept."""

    vocabulary: tuple[str, ...]
    cased: bool


def read_pieces(folder: str | Path, rows: int) -> Pieces:
    """The word pieces of a folder whose weights have ``rows`` vectors of pieces. Raises ``InputError``."""
    folder = Path(folder)
    if (folder / WHOLE).is_file():
        file, found = folder / WHOLE, from_json(folder / WHOLE)
    elif (folder / LINES).is_file():
        file, found = folder / LINES, from_lines(folder)
    else:
        raise InputError(
            f"{folder} holds no {WHOLE} and no {LINES}: an encoder knows texts in its own pieces only; fetch"
            " the tokenizer from where the weights came from"
        )
    absent = [mark for mark in MARKS if mark not in found.vocabulary]
    if absent or found.vocabulary[0] != MARKS[0]:
        what = f"has no {', '.join(absent)}" if absent else f"begins with {found.vocabulary[0]!r}"
        raise InputError(f"{file} {what}; pieces of BERT begin with [PAD], and {', '.join(MARKS)} are there")
    count = len(found.vocabulary)
    if not rows - SPARE < count <= rows:
        raise InputError(
            f"{file} has {count:,} pieces and the weights have vectors of {rows:,}: the tokenizer is of"
            " another model; take both from one"
        )
    return found


def from_json(file: Path) -> Pieces:
    """From the file of the package `tokenizers`."""
    told = read_json(file)
    model, normal, split = (part(told, name) for name in ("model", "normalizer", "pre_tokenizer"))
    kind = model.get("type", "WordPiece" if "max_input_chars_per_word" in model else None)
    wanted: tuple[tuple[str, Any, Any], ...] = (
        ("model.type", kind, "WordPiece"),
        ("continuing_subword_prefix", model.get("continuing_subword_prefix", "##"), "##"),
        ("normalizer.type", normal.get("type"), "BertNormalizer"),
        ("pre_tokenizer.type", split.get("type"), "BertPreTokenizer"),
        *((name, normal.get(name, value), value) for name, value in CLEANS.items()),
    )
    for name, given, value in wanted:
        if given != value:
            raise InputError(f"{file}: {name} is {given!r}; texts are read with {value!r} here")
    lower, accents = normal.get("lowercase", True), normal.get("strip_accents")
    if accents is not None and accents != lower:
        raise InputError(
            f"{file}: lowercase is {lower}, strip_accents {accents}; capitals and accents go or stay together"
        )
    numbers = {k: v for k, v in part(model, "vocab").items() if isinstance(v, int)}
    for added in told.get("added_tokens") or []:
        numbers.setdefault(str(added.get("content")), added.get("id"))
    if not numbers or sorted(numbers.values()) != list(range(len(numbers))):
        raise InputError(
            f"{file}: the {len(numbers):,} pieces are not numbered 0, 1, ...; the file is damaged"
        )
    return Pieces(tuple(sorted(numbers, key=numbers.__getitem__)), not lower)


def part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside of another; empty where there is none."""
    found = told.get(name)
    return found if isinstance(found, Mapping) else {}


def from_lines(folder: Path) -> Pieces:
    """From a list of pieces, a line each."""
    file = folder / LINES
    try:
        lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if not lines or len(set(lines)) < len(lines):
        raise InputError(f"{file} has {len(lines):,} lines, {len(set(lines)):,} different; each is a piece")
    told = read_json(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    return Pieces(tuple(lines), not told.get("do_lower_case", True))
