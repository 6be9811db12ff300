"""Texts and what they should have been: drawn ones that share much, and real captions with mistakes."""

import random

import pytest

WORDS = (
    *"ein Mann Hund läuft über die Straße rot . , ! ? - 1.000,50 3-4 & < > ( ) ' \"x\" (ja) E-Mail d'or"
    " &quot; &amp; <skipped> 你好 世界 Ελλάς İstanbul 𝄞 ½ e\u0301 ... a,b 5. .5 $3 -".split(),
    "\u3000", "\xa0", "\t",
)  # fmt: skip


def drawn(seed: int, count: int) -> tuple[list[str], list[list[str]]]:
    """``count`` texts with one to three references; a seventh of either are empty or a single word."""
    dice = random.Random(seed)

    def text() -> str:
        size = dice.choice((0, 1, 2, 3, 5, 8, 13, 21, 34, 5, 8, 13, 8, 13))
        return " ".join(dice.choices(WORDS, k=size))

    def near(text: str) -> str:
        words = text.split(" ")
        kept = [dice.choice(WORDS) if dice.random() < 0.25 else word for word in words]
        if dice.random() < 0.3:
            dice.shuffle(kept)
        return " ".join(kept[: dice.randint(0, 2 * len(kept))])

    references = [[text() for _ in range(dice.randint(1, 3))] for _ in range(count)]
    return [near(dice.choice(known)) for known in references], references


def real(count: int) -> tuple[list[str], list[str]]:
    """German captions of the validation split, and the same with words lost, doubled, swapped and changed."""
    from fathom.data import places
    from fathom.data.sets import multi30k

    if places.locate("multi30k") is None:
        pytest.skip("the data set multi30k is in none of the places looked at")
    dice = random.Random(0)
    references = [german for _, german in multi30k.read("en", "de").valid[:count]]
    known = [word for text in references for word in text.split()]
    written = []
    for text in references:
        words = text.split()
        words = [dice.choice(known) if dice.random() < 0.2 else word for word in words]
        words = [word for word in words for _ in range(dice.choices((0, 1, 2), (1, 12, 1))[0])]
        written.append(" ".join(words))
    return written, references
