"""WordPiece: a word is cut, from the left, into the longest pieces that are known.

BERT's vocabulary (Devlin et al. 2019, section 3; Schuster and Nakajima 2012; Wu et al. 2016, section 4.1)
writes pieces that do not begin a word with "##":

    "unaffable"  ->  un ##aff ##able

Cutting needs no order of merges: the longest piece of the vocabulary that the rest of the word begins with is
taken, then the rest is cut; a word of which any part fits nothing is one unknown token. Before that a text is
cleaned (control signs go, accents and capitals too where the model is uncased, every Chinese sign stands
alone) and split at spaces and punctuation. The pieces are learned like byte pairs, over signs.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fathom.card import Card
from fathom.fundamentals.tokenizers.byte_pair_encoding import (
    SPACES,
    check_training,
    counted,
    join_pairs_by_hand,
    model_of,
)
from fathom.fundamentals.tokenizers.tokenizer import Tokenizer, tokenizers_package

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="WordPiece",
    paper="https://arxiv.org/abs/1609.08144",
    year=2016,
    summary="Cuts words into the longest known pieces from the left; BERT's way to read.",
    rows=("NL01",),
    builds_on=("tokenizer", "byte_pair_encoding"),
    differs=(
        "The most frequent pair is joined, as in tokenizers; the paper joins the pair that raises the"
        " likelihood of the training text most.",
        "Single signs are numbered in the order of their code points; the trainer of tokenizers numbers those"
        " with ## in an order that changes from run to run.",
    ),
    oracle="WordPiece, its trainer, BertNormalizer and BertPreTokenizer of tokenizers on 10,000 lines",
    extra="text",
)

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
INSIDE = "##"  # before a piece that does not begin a word
LONGEST = 100  # signs of a word; a longer one is unknown


@dataclass(frozen=True)
class WordPieces:
    """A vocabulary that holds BERT's five marks; ``cased`` keeps capitals and accents."""

    vocabulary: tuple[str, ...]
    cased: bool = False

    def __post_init__(self) -> None:
        absent = [mark for mark in MARKS if mark not in self.vocabulary]
        if absent or len(set(self.vocabulary)) < len(self.vocabulary):
            raise ValueError(
                f"vocabulary has {len(self.vocabulary)} entries, {len(set(self.vocabulary))} different, and"
                f" lacks {', '.join(absent) or 'none of its marks'}; it must hold {', '.join(MARKS)},"
                " each once"
            )

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Of each entry of the vocabulary."""
        return {token: i for i, token in enumerate(self.vocabulary)}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The same, framed by [CLS] and [SEP], run by the `tokenizers` package. Raises ``MissingExtra``."""
        library = tokenizers_package()
        model = library.models.WordPiece(self.numbers, unk_token="[UNK]", max_input_chars_per_word=LONGEST)
        made = cleaning(library.Tokenizer(model), library, self.cased)
        made.decoder = library.decoders.WordPiece(prefix=INSIDE, cleanup=False)
        made.add_special_tokens(list(MARKS))
        frame = [(mark, self.numbers[mark]) for mark in ("[CLS]", "[SEP]")]
        made.post_processor = library.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=frame)
        return Tokenizer(made.to_str())

    def encode(self, text: str) -> list[int]:
        """The numbers of ``text`` without a frame; marks in it are letters."""
        return self.tokenizer.encode(text)

    def decode(self, numbers: Sequence[int]) -> str:
        """The words of ``numbers`` with single spaces, without marks."""
        return self.tokenizer.decode(numbers)


def cleaning(tokenizer: Any, library: Any, cased: bool) -> Any:
    """``tokenizer`` with BERT's way to clean and to split."""
    tokenizer.normalizer = library.normalizers.BertNormalizer(lowercase=not cased)
    tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    return tokenizer


def train_word_pieces(texts: Iterable[str], size: int, *, cased: bool = False, rarest: int = 2) -> WordPieces:
    """``size`` pieces learned of ``texts``: five marks, single signs, joins that occur ``rarest`` times.

    Fewer where no pair is left. Raises ``ValueError`` for a size without room for the signs that occur, a
    rarest below 1, and no text at all.
    """
    library = tokenizers_package()
    made = cleaning(library.Tokenizer(library.models.WordPiece(unk_token="[UNK]")), library, cased)
    read = list(counted(texts))
    words = {
        word
        for text in read
        for word, _ in made.pre_tokenizer.pre_tokenize_str(made.normalizer.normalize_str(text))
    }
    signs = single_signs(words)
    check_training(size, len(MARKS) + len(signs), rarest)
    trainer = library.trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=rarest,
        special_tokens=[*MARKS, *signs],  # given so, they are numbered in this order
        continuing_subword_prefix=INSIDE,
        show_progress=False,
    )
    made.train_from_iterator(read, trainer)
    learned = model_of(made)["vocab"]
    return WordPieces(tuple(sorted(learned, key=learned.__getitem__)), cased)


def single_signs(words: Iterable[str]) -> list[str]:
    """The signs of ``words`` in order, then those that occur inside of one, marked so."""
    every, inside = set[str](), set[str]()
    for word in words:
        every |= set(word)
        inside |= set(word[1:])
    return [*sorted(every), *(INSIDE + sign for sign in sorted(inside))]


def clean_by_hand(text: str, cased: bool = False) -> str:
    """Without control signs; each space a plain one; Chinese signs apart; uncased: no accents, capitals."""
    found = ""
    for sign in text:
        control = unicodedata.category(sign).startswith("C") and sign not in "\t\n\r"
        if sign in SPACES and not control:
            found += " "
        elif not control and sign != "\ufffd":
            found += f" {sign} " if is_chinese(sign) else sign
    if cased:
        return found
    found = "".join(s for s in unicodedata.normalize("NFD", found) if unicodedata.category(s) != "Mn")
    return "".join(sign.lower() for sign in found)  # each alone: a sigma at the end is like any other


def is_chinese(sign: str) -> bool:
    """Whether ``sign`` is an ideograph of the blocks that BERT names."""
    ranges = (
        (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
        (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
    )  # fmt: skip
    return any(low <= ord(sign) <= high for low, high in ranges)


def split_by_hand(text: str) -> list[str]:
    """At spaces, and before and after each sign of punctuation."""
    found: list[str] = []
    inside = False
    for sign in text:
        punctuation = sign in "$+<=>^`|~" or unicodedata.category(sign).startswith("P")
        if sign in SPACES:
            inside = False
        elif inside and not punctuation:
            found[-1] += sign
        else:
            found.append(sign)
            inside = not punctuation
    return found


def train_word_pieces_by_hand(
    texts: Iterable[str],
    size: int,
    cased: bool = False,
    rarest: int = 2,
    signs: Sequence[str] | None = None,
) -> WordPieces:
    """Count words, spell them in signs, then join pair after pair; ``signs`` orders those to begin with."""
    words = Counter(word for text in texts for word in split_by_hand(clean_by_hand(text, cased)))
    spelled = [[word[0], *(INSIDE + sign for sign in word[1:])] for word in words]
    vocabulary = [*MARKS, *(single_signs(words) if signs is None else signs)]

    def join(first: str, second: str) -> str:
        return first + second.removeprefix(INSIDE)

    join_pairs_by_hand(spelled, list(words.values()), vocabulary, size, rarest, join)
    return WordPieces(tuple(vocabulary), cased)


def encode_word_pieces_by_hand(text: str, pieces: WordPieces) -> list[int]:
    """The longest piece that fits, then the next; a word that does not come out even is unknown."""
    number = pieces.numbers
    found: list[int] = []
    for word in split_by_hand(clean_by_hand(text, pieces.cased)):
        cut: list[int] = []
        begin = 0
        while begin < len(word) <= LONGEST:
            front = INSIDE if begin else ""
            fits = (end for end in range(len(word), begin, -1) if front + word[begin:end] in number)
            end = next(fits, None)
            if end is None:
                break
            cut.append(number[front + word[begin:end]])
            begin = end
        found += cut if begin == len(word) else [number["[UNK]"]]
    return found


def decode_word_pieces_by_hand(numbers: Sequence[int], pieces: WordPieces) -> str:
    """Pieces inside of a word are joined to what is before them; marks say nothing."""
    tokens = [pieces.vocabulary[n] for n in numbers if pieces.vocabulary[n] not in MARKS]
    return " ".join(tokens).replace(f" {INSIDE}", "")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    texts = ["The newest, the widest and the LOWEST: new wide low-rise", "Müßig? 你好!  \t ΑΣ café\x07", ""]

    def numbers(learned: WordPieces) -> list[int]:
        return list(map(ord, " ".join(learned.vocabulary)))

    for cased in (False, True):
        known = train_word_pieces_by_hand(texts, 100, cased)
        asked = [*texts, "newer cafés [SEP] unknowñ ☃" + "low" * 40]
        yield Twin(
            f"train, {'cased' if cased else 'uncased'}",
            lambda cased=cased: numbers(train_word_pieces(texts, 100, cased=cased)),
            lambda known=known: numbers(known),
            (),
            gradients=False,
        )
        yield Twin(
            f"encode, {'cased' if cased else 'uncased'}",
            lambda known=known, asked=asked: [known.encode(text) for text in asked],
            lambda known=known, asked=asked: [encode_word_pieces_by_hand(text, known) for text in asked],
            (),
            gradients=False,
        )
    yield Twin(
        "decode",
        lambda: [ord(sign) for sign in known.decode(range(4, len(known.vocabulary)))],
        lambda: [ord(sign) for sign in decode_word_pieces_by_hand(range(4, len(known.vocabulary)), known)],
        (),
        gradients=False,
    )
