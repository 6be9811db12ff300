"""BLEU: how many runs of words a translation shares with one that a person made.

Papineni et al. (2002) count what a text and its references have in common, in runs of one to four words. A
run counts as often as it stands in the text, but at most as often as in the reference that has it most
(clipping: "the the the" earns one "the"). Counts are summed over all texts, and only then divided:

    p_n = matches_n / runs_n                                        section 2.1.1, over the corpus
    BP  = 1 if c > r, else exp(1 - r / c)                           c, r: words written and expected
    BLEU = 100 BP exp(1/4 sum_n log p_n)                            section 2.3

r sums, text by text, the length of the reference that is nearest in length. Without BP a text of one sure
word would be perfect. Where the texts share no run of some length with their references, p_n is 0 and so
would be all; mteval takes 1/2, 1/4, ... of a match for the first such length, the second, and so on
(exponential smoothing, method 3 of Chen and Cherry 2014). For a single text only the lengths that it has
runs of are averaged.

What is a word decides the score by several points, and so does case, so a number without its settings cannot
be compared (Post 2018). ``SIGNATURE`` tells them. Texts are given as a person would write them, and cut here,
as mteval-v13a does: signs stand alone, but for dots and commas inside numbers, hyphens and apostrophes.

Axes used below
    n  texts      10 counts of a text: words, words expected, 4 x matches, 4 x runs
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="BLEU",
    paper="https://aclanthology.org/P02-1040/",
    year=2002,
    summary="Scores translations by the runs of one to four words that they share with those of people.",
    rows=("NL06",),
    differs=(
        "A length of runs without a match is smoothed, as mteval-v13a does; in the paper it makes all 0.",
        "The length of the nearest reference counts, the shorter of two; the paper leaves ties open.",
    ),
    oracle="sacrebleu 2.6.0, corpus and sentence, to 1e-9; its tokenizer 13a, token by token",
)

ORDER = 4  # the longest runs that are counted
SIGNATURE = (
    "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp"  # as sacrebleu writes the settings of ``corpus_bleu``
)

ESCAPES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))  # undone in this order
ALONE = '!"#$%&()*+/:;<=>?@[\\]^_`{|}~'  # ASCII signs but ' , - .
SIGN = re.compile(f"[{re.escape(ALONE)}]")
AFTER_NO_DIGIT = re.compile(r"([^0-9])([.,])")
BEFORE_NO_DIGIT = re.compile(r"([.,])([^0-9])")
DASH = re.compile(r"(?<=[0-9])-")

References = Sequence[str | Sequence[str]]


def corpus_bleu(written: Sequence[str], references: References) -> float:
    """BLEU in [0, 100] of all texts together; ``references`` holds one text, or several, for each.

    Raises ``ValueError`` for no texts, for another number of references, and for a text without any.
    """
    return bleu_of(bleu_counts(written, references).sum(axis=0))


def sentence_bleu(written: str, references: str | Sequence[str]) -> float:
    """BLEU in [0, 100] of one text, over the lengths of runs that it has. Raises as ``corpus_bleu`` does."""
    return bleu_of(bleu_counts([written], [references])[0], effective=True)


def bleu_counts(written: Sequence[str], references: References) -> np.ndarray:
    """int64 (n, 10): what of each text counts. Sums over rows, of a resample too, are what ``bleu_of`` takes.

    Raises as ``corpus_bleu`` does.
    """
    rows = []
    for text, known in zip(written, listed(written, references), strict=True):
        ours, theirs = tokenize_13a(text), [tokenize_13a(one) for one in known]
        nearest = min((abs(len(one) - len(ours)), len(one)) for one in theirs)[1]
        matches, totals = [], []
        for order in range(1, ORDER + 1):
            most: Counter[tuple[str, ...]] = Counter()
            for one in theirs:
                most |= runs(one, order)  # of each run the greatest count
            found = runs(ours, order)
            matches.append((found & most).total())
            totals.append(found.total())
        rows.append([len(ours), nearest, *matches, *totals])
    return np.array(rows, dtype=np.int64)


def bleu_of(counts: np.ndarray, *, effective: bool = False) -> float:
    """BLEU in [0, 100] of ``counts`` (10,), summed over texts.

    With ``effective`` lengths of which there are no runs are left out; otherwise they make it 0.
    """
    length, expected, *rest = (int(count) for count in counts)
    matches, totals = rest[:ORDER], rest[ORDER:]
    known = sum(total > 0 for total in totals)
    if not any(matches) or (known < ORDER and not effective):
        return 0.0
    logs, halved = 0.0, 1
    for match, total in zip(matches[:known], totals[:known], strict=True):
        if not match:
            halved *= 2
        logs += math.log((match or 1 / halved) / total)
    brevity = min(0.0, 1 - expected / length)
    return 100 * math.exp(brevity + logs / known)


def runs(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    """How often each run of ``order`` tokens stands among them."""
    return Counter(zip(*(tokens[k:] for k in range(order)), strict=False))


def tokenize_13a(text: str) -> list[str]:
    """The words and signs of ``text``, as mteval-v13a cuts it; case is kept."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for escape, sign in ESCAPES:
        text = text.replace(escape, sign)
    text = SIGN.sub(lambda sign: f" {sign[0]} ", f" {text} ")
    text = BEFORE_NO_DIGIT.sub(r" \1 \2", AFTER_NO_DIGIT.sub(r"\1 \2 ", text))
    return DASH.sub(" - ", text).split()


def listed(written: Sequence[str], references: References) -> list[Sequence[str]]:
    """The references of each text as a sequence, after a check."""
    if isinstance(written, str) or isinstance(references, str):
        raise ValueError("written and references are sequences of texts; for one text call sentence_bleu")
    if not len(written) or len(written) != len(references):
        raise ValueError(
            f"there are {len(written)} texts and {len(references)} references; give one entry for each text,"
            " and at least one"
        )
    known = [[one] if isinstance(one, str) else one for one in references]
    bare = [place for place, one in enumerate(known) if not len(one)]
    if bare:
        raise ValueError(f"references[{bare[0]}] is empty; each text needs a reference, which may be ''")
    return known


def corpus_bleu_by_hand(written: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Run by run: look whether a reference still has one that was not used up."""
    length = expected = 0
    matches, totals = [0.0] * ORDER, [0] * ORDER
    for text, known in zip(written, references, strict=True):
        words, others = tokenize_13a_by_hand(text), [tokenize_13a_by_hand(one) for one in known]
        length += len(words)
        expected += sorted((abs(len(one) - len(words)), len(one)) for one in others)[0][1]
        for k in range(ORDER):
            ours = [words[i : i + k + 1] for i in range(len(words) - k)]
            theirs = [[one[i : i + k + 1] for i in range(len(one) - k)] for one in others]
            for place, run in enumerate(ours):
                before = ours[:place].count(run)
                matches[k] += any(before < one.count(run) for one in theirs)
            totals[k] += len(ours)
    if 0 in totals or sum(matches) == 0:
        return 0.0
    smaller, product = 1.0, 1.0
    for k in range(ORDER):
        if matches[k] == 0:
            smaller = smaller / 2
            matches[k] = smaller
        product *= matches[k] / totals[k]
    penalty = 1.0 if length > expected else math.exp(1 - expected / length)
    return 100 * penalty * product ** (1 / ORDER)


def tokenize_13a_by_hand(text: str) -> list[str]:
    """Sign by sign, then pair by pair; what one pair has used up begins no other."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    text = text.replace("&quot;", '"').replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    text = "".join(f" {sign} " if sign in ALONE else sign for sign in f" {text} ")
    rules = (
        (lambda a, b: a not in "0123456789" and b in ".,", "{} {} "),
        (lambda a, b: a in ".," and b not in "0123456789", " {} {}"),
        (lambda a, b: a in "0123456789" and b == "-", "{} {} "),
    )
    for fits, shape in rules:
        made, place = "", 0
        while place < len(text):
            pair = text[place : place + 2]
            if len(pair) == 2 and fits(*pair):
                made, place = made + shape.format(*pair), place + 2
            else:
                made, place = made + text[place], place + 1
        text = made
    return text.split()


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    written = [
        "the cat sat on the mat, and ate.",
        "a dog runs",
        "",
        "it costs 1,000.50 - or 5-6 &quot;more&quot;",
    ]
    known = [
        ["The cat sat on a mat and ate."],
        ["a dog runs fast .", "one dog runs"],
        ["x"],
        ['1,000.50, "more"'],
    ]
    for name, kept in (("four texts", 4), ("one text", 1)):
        yield Twin(
            name, lambda n=kept: [corpus_bleu(written[:n], known[:n])],
            lambda n=kept: [corpus_bleu_by_hand(written[:n], known[:n])], (), gradients=False,
        )  # fmt: skip
    odd = "a.. 1.2,b -\nc &amp;lt; <skipped>(x)'s 3-4-e.g., ½.5 Ü.n"
    yield Twin(
        "words", lambda: list(map(ord, " ".join(tokenize_13a(odd)))),
        lambda: list(map(ord, " ".join(tokenize_13a_by_hand(odd)))), (), gradients=False,
    )  # fmt: skip
