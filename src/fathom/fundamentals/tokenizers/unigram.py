"""Unigram tokenizer: of all ways to cut a word, the likeliest, where every piece has a probability.

Kudo (2018, section 3.2) lets a text be a sequence of pieces drawn one by one, so that a cut has the
probability of the product of its pieces. The best cut is found by Viterbi's recursion; what all cuts together
say of a piece, by the forward and the backward one. The vocabulary is learned downwards:

    begin     with every sign, and every string that repeats in the words
    E step    n(p) = expected number of times that p is used, over all cuts of all words
    M step    log p = digamma(n(p)) - digamma(sum n); pieces used less than half a time go
    prune     of the rest the quarter goes that the text misses least: the loss if p were cut in its next best
              way, n(p) / N * (log p(p) - sum of log p of those parts)
    until     there are a tenth too many, of which the last are cut off; single signs always stay

The digamma instead of a logarithm favours few strong pieces, as a sparse prior does. A space is written "▁"
and stands at the beginning of the word after it; a text begins with one.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fathom.card import Card
from fathom.fundamentals.tokenizers.byte_pair_encoding import check_training, counted, model_of
from fathom.fundamentals.tokenizers.tokenizer import Tokenizer, tokenizers_package

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Unigram tokenizer",
    paper="https://arxiv.org/abs/1804.10959",
    year=2018,
    summary="Cuts words in the likeliest way, with a vocabulary that was pruned to the pieces most missed.",
    rows=("NL01",),
    builds_on=("tokenizer", "byte_pair_encoding"),
    differs=(
        "The M step uses the digamma function and drops rare pieces, as sentencepiece and tokenizers do; the"
        " paper maximises the likelihood.",
        "The loss of a piece takes the text for longer by as many tokens as there are pieces, not by those"
        " that replace it, for sentencepiece and tokenizers do so.",
        "Cuts are the likeliest ones; the paper draws them at random while a network is trained.",
        "Scores are rounded to six digits, and signs that no cut used are put in order: trained by"
        " tokenizers alone both change from run to run.",
    ),
    oracle="Unigram and its trainer of tokenizers, and sentencepiece, on 10,000 lines",
    extra="text",
)

UNKNOWN = "<unk>"
SPACE = "▁"
LONGEST = 16  # signs of a piece that is learned
PENALTY = 10.0  # of an unknown sign, below the least likely piece
SHRINK = 0.75  # of the pieces stay at each pruning
RESCUED = 1e-4  # step between the scores of signs that no cut used


@dataclass(frozen=True)
class Unigrams:
    """Pieces and their log probabilities; the first piece is the unknown one, then come ``special`` marks."""

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    special: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        front = (UNKNOWN, *self.special)
        if self.pieces[: len(front)] != front or len(set(self.pieces)) < len(self.pieces):
            raise ValueError(
                f"pieces begin with {self.pieces[:3]}; they must be {UNKNOWN!r}, the special ones, then each"
                " piece once"
            )
        if len(self.scores) != len(self.pieces) or not all(map(math.isfinite, self.scores)):
            raise ValueError(
                f"scores has {len(self.scores)} entries for {len(self.pieces)} pieces; it must have one"
                " finite number for each"
            )

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Of each piece."""
        return {piece: i for i, piece in enumerate(self.pieces)}

    @cached_property
    def known(self) -> dict[str, float]:
        """Score of each piece that stands for signs."""
        front = 1 + len(self.special)
        return dict(zip(self.pieces[front:], self.scores[front:], strict=True))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The same, run by the `tokenizers` package. Raises ``MissingExtra``."""
        library = tokenizers_package()
        model = library.models.Unigram(list(zip(self.pieces, self.scores, strict=True)), unk_id=0)
        made = spacing(library.Tokenizer(model), library)
        made.decoder = library.decoders.Sequence(
            [library.decoders.Replace(SPACE, " "), library.decoders.Fuse(), library.decoders.Strip(" ", 1, 0)]
        )
        made.add_special_tokens([UNKNOWN, *self.special])
        return Tokenizer(made.to_str())

    def encode(self, text: str) -> list[int]:
        """The numbers of ``text``; marks in it are letters, signs that are in no piece one unknown piece."""
        return self.tokenizer.encode(text)

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of ``numbers`` without marks and unknown pieces."""
        return self.tokenizer.decode(numbers)


def spacing(tokenizer: Any, library: Any) -> Any:
    """``tokenizer`` with spaces written out, before the word they belong to."""
    rules = [library.normalizers.Prepend(SPACE), library.normalizers.Replace(" ", SPACE)]
    tokenizer.normalizer = library.normalizers.Sequence(rules)
    tokenizer.pre_tokenizer = library.pre_tokenizers.Split(SPACE, "merged_with_next")
    return tokenizer


def train_unigrams(texts: Iterable[str], size: int, *, special: Sequence[str] = ()) -> Unigrams:
    """``size`` pieces learned of ``texts``, the unknown one and the marks included; fewer where none repeat.

    Raises ``ValueError`` for a size without room for the signs that occur, and for no text at all.
    """
    library = tokenizers_package()
    read = list(counted(texts))
    signs = set(SPACE).union(*(set(text.replace(" ", SPACE)) for text in read))
    check_training(size, 1 + len(special) + len(signs), 1)
    made = spacing(library.Tokenizer(library.models.Unigram()), library)
    trainer = library.trainers.UnigramTrainer(
        vocab_size=size - len(special),
        unk_token=UNKNOWN,
        special_tokens=[UNKNOWN],
        max_piece_length=LONGEST,
        shrinking_factor=SHRINK,
        show_progress=False,
    )
    made.train_from_iterator(read, trainer)
    (_, *learned), marks = model_of(made)["vocab"], [(mark, 0.0) for mark in special]
    occurs = Counter(sign for text in read for sign in text)
    return assembled(settled(learned, occurs), marks)


def settled(learned: Sequence[Sequence[Any]], occurs: Mapping[str, int]) -> list[tuple[str, float]]:
    """Pieces and scores without what changes from run to run.

    The package hands steps of ``RESCUED`` above the lowest score to the signs that no cut used, in the order
    of a hash table, and sums in that order too, which moves the twelfth digit: far from the sixth, to which
    scores are rounded. The first of them has the lowest score itself, as learned signs may have: of these it
    is the one that occurs most, for it stands within larger pieces.
    """
    lowest = min(score for _, score in learned)
    least = [piece for piece, score in learned if len(piece) == 1 and abs(score - lowest) < 1e-9]
    rescued = sorted(least, key=lambda sign: -occurs.get(sign, 0))[:1]
    for piece, score in sorted(learned, key=lambda pair: pair[1]):
        if len(piece) == 1 and piece not in least and abs(score - lowest - len(rescued) * RESCUED) < 1e-9:
            rescued.append(piece)
    steps = {sign: lowest + i * RESCUED for i, sign in enumerate(sorted(rescued))}
    return [(piece, round(steps.get(piece, score), 6)) for piece, score in learned]


def assembled(learned: Iterable[Sequence[Any]], marks: Sequence[tuple[str, float]]) -> Unigrams:
    """The unknown piece, the marks, and what was learned, the likeliest first."""
    ordered = sorted(learned, key=lambda pair: (-pair[1], pair[0]))
    pieces, scores = zip(*((UNKNOWN, 0.0), *marks, *ordered), strict=True)
    return Unigrams(tuple(pieces), tuple(scores), tuple(mark for mark, _ in marks))


def split_by_hand(text: str) -> list[str]:
    """Words, each with the space before it; a space that no word follows is a word of its own."""
    found: list[str] = []
    for sign in f" {text}" if text else "":
        if sign in (" ", SPACE):
            found.append(SPACE)
        else:
            found[-1] += sign
    return found


Scores = Mapping[str, float]  # log probability of each piece


def pieces_in(word: str, scores: Scores) -> list[tuple[int, int, str, float]]:
    """(begin, end, piece, score) of every piece in ``word``, by end, then by begin.

    A sign that is no piece itself is an unknown piece.
    """
    found = []
    unknown = min(scores.values(), default=0.0) - PENALTY if any(s not in scores for s in word) else 0.0
    for end in range(1, len(word) + 1):
        for begin in range(end):
            piece = word[begin:end]
            if piece in scores:
                found.append((begin, end, piece, scores[piece]))
            elif begin == end - 1:
                found.append((begin, end, UNKNOWN, unknown))
    return found


def best_cut_by_hand(word: str, scores: Scores, without: str = "") -> list[str]:
    """Viterbi: the likeliest pieces of ``word``, of equally likely ones those with the longest last.

    ``without`` may not be used; where nothing is left to use, there are no pieces.
    """
    best: dict[int, tuple[float, int, str]] = {0: (0.0, 0, "")}  # by end: score, -begin and piece of the last
    for begin, end, piece, score in pieces_in(word, scores):
        if begin in best and piece != without:
            best[end] = max(best.get(end, (-math.inf, 0, "")), (best[begin][0] + score, -begin, piece))
    found: list[str] = []
    end = len(word)
    while end and end in best:
        found.append(best[end][2])
        end = -best[end][1]
    return found[::-1]


def expected_uses_by_hand(words: Mapping[str, int], scores: Scores) -> dict[str, float]:
    """E step: how often each piece is used, over all cuts of all words, each as likely as it is."""
    uses: defaultdict[str, float] = defaultdict(float)
    for word, times in words.items():
        inside = pieces_in(word, scores)
        forward, backward = [-math.inf] * (len(word) + 1), [-math.inf] * (len(word) + 1)
        forward[0] = backward[-1] = 0.0  # log of the sum over all cuts of what is before, and after, a place
        for begin, end, _, score in inside:
            forward[end] = log_sum(forward[end], forward[begin] + score)
        for begin, end, _, score in reversed(inside):
            backward[begin] = log_sum(backward[begin], backward[end] + score)
        for begin, end, piece, score in inside:
            uses[piece] += times * math.exp(forward[begin] + score + backward[end] - forward[-1])
    return uses


def log_sum(a: float, b: float) -> float:
    """log(exp(a) + exp(b)) without overflow."""
    high, low = max(a, b), min(a, b)
    return high + math.log1p(math.exp(low - high)) if low > -math.inf else high


def digamma(x: float) -> float:
    """The derivative of log gamma at ``x`` > 0: the recurrence up to 10, then the asymptotic series."""
    below = 0.0
    while x < 10:
        below += 1 / x
        x += 1
    square = 1 / (x * x)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return math.log(x) - 0.5 / x - series - below


def seeds_by_hand(words: Mapping[str, int]) -> dict[str, float]:
    """Every sign, and every string of 2 to 16 signs that different ones follow; log of its share of all.

    The others need not be tried: what is always followed by the same sign is never better than with it.
    """
    signs: Counter[str] = Counter()
    after: defaultdict[str, list[str]] = defaultdict(list)
    for word, times in words.items():
        for begin in range(len(word)):
            signs[word[begin]] += times
            for end in range(begin + 2, min(begin + LONGEST, len(word)) + 1):
                after[word[begin:end]].append(word[end : end + 1])
    repeated = {s: len(s) * len(following) for s, following in after.items() if len(set(following)) > 1}
    ordered = [*falling(signs), *falling(repeated)]
    total = math.log(sum(n for _, n in ordered))
    return {piece: math.log(n) - total for piece, n in ordered}


def falling(weights: Mapping[str, int]) -> list[tuple[str, int]]:
    """Pairs by falling weight; equal ones backwards by their signs: the order of words does not tell."""
    return sorted(weights.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)


def maximised_by_hand(uses: Mapping[str, float], scores: Scores) -> dict[str, float]:
    """M step: scores of the pieces that are used half a time or more."""
    kept = {piece: uses[piece] for piece in scores if uses[piece] >= 0.5}
    total = digamma(sum(kept.values()))
    return {piece: digamma(n) - total for piece, n in kept.items()}


def pruned_by_hand(words: Mapping[str, int], scores: Scores, least: int) -> dict[str, float]:
    """``scores`` without those that the text misses least: three quarters of them, but ``least`` at least."""
    uses: Counter[str] = Counter()
    for word, times in words.items():
        for piece in best_cut_by_hand(word, scores):
            uses[piece] += times
    total, texts = sum(uses.values()), sum(words.values())
    kept: dict[str, float] = {}
    losses: dict[str, float] = {}
    for piece, score in scores.items():
        other = best_cut_by_hand(piece, scores, without=piece)
        if best_cut_by_hand(piece, scores) != [piece]:
            if uses[piece]:
                kept[piece] = score
        elif not other:
            kept[piece] = score
        elif uses[piece]:
            now = math.log(uses[piece] / total)
            then = math.log(total + uses[piece] * len(scores))  # of all pieces, as both libraries do
            instead = sum(math.log(uses[part] + uses[piece]) - then for part in other)
            losses[piece] = uses[piece] / texts * (now - instead)
    room = max(least, int((len(scores) + 1) * SHRINK)) - 1 - len(kept)  # one is the unknown piece
    missed = sorted(losses, key=losses.__getitem__, reverse=True)[: max(0, room)]
    return kept | {piece: scores[piece] for piece in missed}


def train_unigrams_by_hand(texts: Iterable[str], size: int, special: Sequence[str] = ()) -> Unigrams:
    """Begin with too many pieces, then expect, maximise and prune."""
    words = Counter(word for text in texts for word in split_by_hand(text))
    wanted = size - len(special)
    least = wanted * 11 // 10
    scores = seeds_by_hand(words)
    while True:
        for _ in range(2):
            scores = maximised_by_hand(expected_uses_by_hand(words, scores), scores)
        if len(scores) + 1 <= least:
            break
        fewer = pruned_by_hand(words, scores, least)
        if len(fewer) == len(scores):
            break
        scores = fewer
    lowest = min(scores.values())
    unused = sorted(set().union(*words) - scores.keys())
    chosen = {s: scores[s] for s in sorted(set().union(*words) & scores.keys())}
    chosen |= {sign: lowest + i * RESCUED for i, sign in enumerate(unused)}
    for piece in scores:
        if len(chosen) + 1 < wanted:
            chosen[piece] = scores[piece]
    return assembled(chosen.items(), [(mark, 0.0) for mark in special])


def encode_unigrams_by_hand(text: str, learned: Unigrams) -> list[int]:
    """The best cut of each word; unknown pieces side by side are one."""
    found: list[int] = []
    for word in split_by_hand(text):
        cut = [learned.numbers[piece] for piece in best_cut_by_hand(word, learned.known)]
        found += [n for i, n in enumerate(cut) if n or not i or cut[i - 1]]
    return found


def decode_unigrams_by_hand(numbers: Sequence[int], learned: Unigrams) -> str:
    """Pieces one after the other, spaces as spaces, without the one that every text begins with."""
    pieces = (learned.pieces[n] for n in numbers if n > len(learned.special))
    return "".join(pieces).replace(SPACE, " ").removeprefix(" ")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    texts = ["the newest and the lowest", "low and new, lower and newer: the lowest of the new", "", "  we  "]
    known = train_unigrams_by_hand(texts, 30, ("</s>",))

    def learned(made: Unigrams) -> list[Any]:
        pairs = sorted(zip(made.pieces, made.scores, strict=True))
        return [[ord(sign) for piece, _ in pairs for sign in piece], [s for _, s in pairs]]

    yield Twin(
        "train",
        lambda: learned(train_unigrams(texts, 30, special=("</s>",))),
        lambda: learned(known),
        (),
        tolerance=1e-6,  # the digits that scores are rounded to
        gradients=False,
    )
    asked = [*texts, "lownew </s> xyz  the", "日本 the日"]
    yield Twin(
        "encode",
        lambda: [known.encode(text) for text in asked],
        lambda: [encode_unigrams_by_hand(text, known) for text in asked],
        (),
        gradients=False,
    )
    yield Twin(
        "decode",
        lambda: [ord(sign) for sign in known.decode(range(len(known.pieces)))],
        lambda: [ord(sign) for sign in decode_unigrams_by_hand(range(len(known.pieces)), known)],
        (),
        gradients=False,
    )
