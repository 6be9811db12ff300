"""Tokenizer: from what a person writes to the numbers that a network reads, and back.

Words as units leave the rare ones unknown, characters make texts long; subwords (byte pairs, WordPiece,
unigram) lie between: frequent words are one unit, rare ones a few (Mielke et al. 2021, sections 3 to 6).
Whatever the kind, four steps surround it:

    clean       normalise the signs: case, accents, spaces
    tokenise    cut into units of a vocabulary, each a number
    frame       add the marks that the network was trained with: [CLS] ... [SEP]
    batch       cut to a length, fill up with padding, say which places are real

`Tokenizer` runs what a tokenizer.json describes, the one file that holds all four, by the `tokenizers`
package. Marks such as [SEP] or <|endoftext|> command the network. Typed by a person they are letters: they
are cut like any other text, unless the caller asks for marks by ``interpret``.

Axes used below
    b  batch      t  time: tokens of a text
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Tokenizer",
    paper="https://arxiv.org/abs/2112.10508",
    year=2021,
    summary="Turns texts into equally long rows of numbers with the marks a network expects, and back.",
    rows=("NL01", "NL03"),
    oracle="transformers' fast tokenizers on the same tokenizer.json: numbers, masks, cut and padded batches",
    extra="text",
)


@dataclass(frozen=True)
class Batch:
    """Texts as rows of equal length."""

    tokens: np.ndarray  # int64 (b, t)
    mask: np.ndarray  # bool (b, t): true where there is a token, false where there is padding
    cut: tuple[int, ...]  # tokens that did not fit, for each text


class Tokenizer:
    """What a tokenizer.json describes, run by the `tokenizers` package.

    ``text`` is the content of such a file. A length and a padding that stand in it are not used: a caller
    of `batch` says how long. Raises ``InputError`` where it is no tokenizer, and ``MissingExtra`` where the
    package is absent.
    """

    def __init__(self, text: str) -> None:
        from fathom.errors import InputError

        library = tokenizers_package()
        try:
            described = json.loads(text)
            if not isinstance(described, dict) or not isinstance(described.get("model"), dict):
                raise ValueError("it is no JSON object with a 'model'")
            self._interpreting = library.Tokenizer.from_str(text)
            self._plain = library.Tokenizer.from_str(json.dumps(unmarked(described)))
        except Exception as error:  # the package raises that itself
            raise InputError(
                f"this is no tokenizer: {error}; give the content of a tokenizer.json"
            ) from error
        for tokenizer in (self._interpreting, self._plain):
            tokenizer.no_padding()
            tokenizer.no_truncation()
        added = self._interpreting.get_added_tokens_decoder()
        self.special: dict[str, int] = {token.content: i for i, token in added.items() if token.special}
        # One more than the largest number that it gives: kept, for to find it lists the whole vocabulary.
        self.size: int = max(self._interpreting.get_vocab(with_added_tokens=True).values()) + 1

    @classmethod
    def open(cls, path: str | Path) -> "Tokenizer":
        """The tokenizer of a file, or of the tokenizer.json in a folder. Raises ``InputError``."""
        from fathom.errors import InputError

        file = Path(path) / "tokenizer.json" if Path(path).is_dir() else Path(path)
        try:
            return cls(file.read_bytes().decode("utf-8"))
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}; give a tokenizer.json") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{file} is not UTF-8 at byte {error.start}; give a tokenizer.json") from error
        except InputError as error:
            raise type(error)(f"{file}: {error}") from error

    def number(self, token: str) -> int:
        """The number of ``token``; ``ValueError`` where it has none."""
        found = self._interpreting.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokenizer has no token {token!r}; its marks: {', '.join(self.special)}")
        return found

    def encode(self, text: str, *, interpret: bool = False) -> list[int]:
        """The numbers of ``text`` without a frame; nothing for an empty text.

        With ``interpret`` marks in it are what they stand for, otherwise they are letters. Raises
        ``ValueError`` for what no UTF-8 can hold.
        """
        chosen = self._interpreting if interpret else self._plain
        return chosen.encode(whole(text), add_special_tokens=False).ids

    def decode(self, numbers: Sequence[int], *, marks: bool = False) -> str:
        """The text of ``numbers``, with or without ``marks``. Raises ``ValueError`` for an unknown number."""
        for n in numbers:
            if not 0 <= n < self.size:
                raise ValueError(f"numbers holds {n}; the tokenizer gives 0 to {self.size - 1}")
        return self._interpreting.decode(list(numbers), skip_special_tokens=not marks)

    def batch(self, texts: Sequence[str], length: int | None = None) -> Batch:
        """``texts`` in their frame, cut to ``length`` where they are longer, the shorter ones filled up.

        The frame always stays whole; ``cut`` says how many tokens of a text went. Rows are as long as the
        longest of them, at least 1. Raises ``ValueError`` for texts as in `encode`, none at all, and a
        length without room for the frame.
        """
        if not texts:
            raise ValueError("texts is empty; give at least one text, which may be empty itself")
        frame = self._plain.num_special_tokens_to_add(False)
        if length is not None and length < max(1, frame):
            raise ValueError(f"length is {length}; it must be {max(1, frame)} or more, to hold the frame")
        found = self._plain.encode_batch([whole(text) for text in texts], add_special_tokens=False)
        room = None if length is None else length - frame
        cut = tuple(0 if room is None else max(0, len(one) - room) for one in found)
        for one in found:
            if room is not None:
                one.truncate(room)
        rows = [self._plain.post_process(one, add_special_tokens=True).ids for one in found]
        return Batch(*filled(rows, self.padding), cut)

    @property
    def padding(self) -> int:
        """The number that fills rows up: that of [PAD] or <pad>, or else 0, which the mask hides."""
        return next((self.special[name] for name in ("[PAD]", "<pad>") if name in self.special), 0)

    def json(self) -> str:
        """The content of its tokenizer.json."""
        return self._interpreting.to_str()


def tokenizers_package() -> Any:
    """The package that production runs on. Raises ``MissingExtra`` where it is absent."""
    try:
        import tokenizers
    except ImportError:
        from fathom.errors import missing_extra

        raise missing_extra("text", "tokenizers") from None
    return tokenizers


def unmarked(described: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json whose marks nobody can type: each keeps its number and gets a secret name.

    Not to look for marks in a text is too little: a unigram model has them among its pieces, and would cut
    "</s>" to the very mark.
    """
    model = described["model"]
    added = described.get("added_tokens") or []
    secret = {t["content"]: f"<{secrets.token_hex(16)}>" for t in added if t.get("special")}
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        renamed: Any = {secret.get(token, token): i for token, i in vocabulary.items()}
    else:
        renamed = [[secret.get(token, token), score] for token, score in vocabulary]
    changed = {**model, "vocab": renamed}
    if model.get("unk_token") is not None:
        changed["unk_token"] = secret.get(model["unk_token"], model["unk_token"])
    if "merges" in model:
        pairs = [(m, m.split(" ") if isinstance(m, str) else m) for m in model["merges"]]
        changed["merges"] = [m for m, pair in pairs if not {*pair, "".join(pair)} & secret.keys()]
    tokens = [{**t, "content": secret.get(t["content"], t["content"])} for t in added]
    return {**described, "model": changed, "added_tokens": tokens}


def whole(text: str) -> str:
    """``text`` itself; ``ValueError`` where half of a surrogate pair stands in it, which is no sign."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text holds {text[error.start]!a} at place {error.start}, half of a sign; it must be valid"
            " Unicode: read its file as UTF-8"
        ) from None
    return text


def filled(rows: Sequence[Sequence[int]], padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers as one array, filled up with ``padding``, and a mask of what is real."""
    longest = max(1, *map(len, rows))
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(longest) < lengths[:, None]
    tokens = np.full(mask.shape, padding, dtype=np.int64)
    tokens[mask] = np.fromiter((n for row in rows for n in row), dtype=np.int64, count=int(lengths.sum()))
    return tokens, mask


def batch_by_hand(
    texts: Sequence[Sequence[int]], before: Sequence[int], after: Sequence[int], padding: int, length: int
) -> tuple[list[list[int]], list[list[bool]]]:
    """Numbers of texts -> rows and their mask: cut, frame, fill up."""
    room = length - len(before) - len(after)
    rows = [[*before, *numbers[:room], *after] for numbers in texts]
    longest = max(1, *(len(row) for row in rows))
    tokens = [[row[i] if i < len(row) else padding for i in range(longest)] for row in rows]
    return tokens, [[i < len(row) for i in range(longest)] for row in rows]


def encode_by_hand(
    text: str, plain: Callable[[str], list[int]], special: Mapping[str, int], *, interpret: bool = False
) -> list[int]:
    """Marks become their numbers where they are asked for; ``plain`` cuts all between them."""
    found: list[int] = []
    begin = place = 0
    while interpret and place < len(text):
        here = [mark for mark in special if mark and text.startswith(mark, place)]
        if not here:
            place += 1
            continue
        mark = max(here, key=len)
        found += [*plain(text[begin:place]), special[mark]]
        begin = place = place + len(mark)
    return found + plain(text[begin:])


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "to", "be", "or", "not"]
    number = {word: i for i, word in enumerate(words)}
    marks = {word: number[word] for word in words[:4]}
    texts = ["to be or not to be", "", "be", "to [SEP] be"]

    def plain(text: str) -> list[int]:
        return [number[w] if w in words[4:] else number["[UNK]"] for w in text.split()]

    def tokenizer() -> Tokenizer:
        library = tokenizers_package()
        made = library.Tokenizer(library.models.WordLevel(number, unk_token="[UNK]"))
        made.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
        made.add_special_tokens(words[:4])
        frame = [("[CLS]", 1), ("[SEP]", 2)]
        made.post_processor = library.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=frame)
        return Tokenizer(made.to_str())

    def batch() -> list[np.ndarray]:
        made = tokenizer().batch(texts, 5)
        return [made.tokens, made.mask]

    def batch_plainly() -> list[np.ndarray]:
        return [np.array(x) for x in batch_by_hand([plain(t) for t in texts], (1,), (2,), 0, 5)]

    yield Twin("batch", batch, batch_plainly, (), gradients=False)
    for asked in (False, True):
        yield Twin(
            f"marks {'interpreted' if asked else 'as letters'}",
            lambda asked=asked: [tokenizer().encode(t, interpret=asked) for t in texts],
            lambda asked=asked: [encode_by_hand(t, plain, marks, interpret=asked) for t in texts],
            (),
            gradients=False,
        )
