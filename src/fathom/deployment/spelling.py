"""Spelling: lower-case words as a text again, with the capitals and spaces that texts like it have.

A task that cuts texts into lower-case words and single signs loses how they were written. Most of it can be
learned by counting: each word is given the form that it has most often inside a text (Lita et al. 2003 call
the most frequent form the baseline of truecasing), and each sign the spaces that usually stand around it. The
first word of a text tells nothing of its own case, so it counts only for words that stand nowhere else; where
most texts begin with a capital, so does what is written. None of this imports torch.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from fathom.deployment.preprocessing import words


def learn_spelling(texts: Iterable[str], vocabulary: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """How each word of ``vocabulary`` is written, and whether most of ``texts`` begin with a capital.

    A form begins and ends with a space where one usually stands there: " Haus ", ". ", "-". What stands in
    no text keeps its form, with spaces.
    """
    inside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    first: defaultdict[str, Counter[str]] = defaultdict(Counter)
    gaps: defaultdict[tuple[str, str], Counter[bool]] = defaultdict(Counter)  # word, side -> is there a space
    capitals = 0
    for text in texts:
        parts = forms(text)
        if [form.lower() for form, _ in parts] != words(text):
            continue  # a sign that becomes two in lower case
        capitals += 1 if parts and parts[0][0][0].isupper() else -1
        for place, (form, gap) in enumerate(parts):
            word = form.lower()
            (inside if place else first)[word][form] += 1
            if place:
                gaps[word, "before"][gap] += 1
                gaps[parts[place - 1][0].lower(), "after"][gap] += 1

    def spelled(word: str) -> str:
        known = inside.get(word) or first.get(word) or Counter((word,))
        form = known.most_common(1)[0][0]
        if word[:1].isalnum():  # what stands without a space beside a word is a sign, and knows it
            return f" {form} "
        before, after = (" " if usual(gaps.get((word, side))) else "" for side in ("before", "after"))
        return before + form + after

    return tuple(map(spelled, vocabulary)), capitals > 0


def usual(gap: Counter[bool] | None) -> bool:
    """Whether a space is at least as frequent as none; so it is where nothing is known."""
    return gap is None or gap[True] >= gap[False]


def forms(text: str) -> list[tuple[str, bool]]:
    """What ``words`` cuts, as it is written, each with whether a space stands before it."""
    found: list[tuple[str, bool]] = []
    inside = gap = False
    for sign in text:
        if sign.isspace():
            inside, gap = False, True
            continue
        if sign.isalnum() and inside:
            found[-1] = (found[-1][0] + sign, found[-1][1])
        else:
            found.append((sign, gap))
        inside, gap = sign.isalnum(), False
    return found


def spell(numbers: Iterable[int], spelling: Sequence[str], capitals: bool) -> str:
    """The words ``numbers`` of a vocabulary as a text. A space stands where both sides have one."""
    text = ""
    for number in numbers:
        form = spelling[number]
        if text.endswith(" ") and form.startswith(" "):
            text += form[1:]
        else:
            text = text.rstrip(" ") + form.lstrip(" ")
    text = text.strip(" ")
    return text[:1].upper() + text[1:] if capitals else text
