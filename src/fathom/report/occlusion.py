"""What each token adds to the answer on a text: the model is asked again with that token unknown.

    a_i = s(x) - s(x with token i unknown),     s = ln p / (1 - p)  of the class that was given

So nothing of the model needs to be known but its answers, whatever it is made of and whatever runs it. Of a
model that adds up a number for each word, and tells two classes apart by the sum, a_i is what the word adds
beyond an unknown one, exactly; others may need two words together, which one word at a time does not show.
Where p is near 0 or 1, s goes on growing: a word that makes a sure answer less sure is seen.

Source: Zeiler and Fergus (2014), https://arxiv.org/abs/1311.2901, section 4.2, for squares of pictures; Li et
al. (2016), https://arxiv.org/abs/1612.08220, for words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fathom.report.marked_texts import Mark, MarkedText, MarkedTexts
from fathom.report.page import Section

MOST = 48  # times that the model is asked again about a text
TOGETHER = 64  # rows that go through the network together
LEAST = 0.1  # that the deepest colour stands for: at even odds, 2.5 hundredths of probability
NEAREST = float(np.finfo(np.float32).eps)  # probabilities are told from 0 and 1 down to this


@dataclass(frozen=True, eq=False)
class Answered:
    """A text as the network reads it, its tokens by their place in ``row``, and the class that was given."""

    row: np.ndarray
    tokens: Mapping[int, str]
    given: int
    title: str


def occlusion_sections(
    ask: Callable[[np.ndarray], np.ndarray], texts: Sequence[Answered], unknown: int, gap: str
) -> list[Section]:
    """One section, or none; ``ask`` gives probabilities (n, classes) for rows (n, length).

    ``unknown`` is the number of the unknown token, ``gap`` what stands between two tokens.
    """
    read = [marked(ask, text, unknown, gap) for text in texts if text.tokens]
    shown = [text for text in read if all(np.isfinite(mark.adds) for mark in text.marks)]
    if not shown:
        return []
    caption = (
        "Each token was made the unknown one, alone, and the model asked again. What a token adds is how much"
        " surer of its answer the model is with it: the difference of log-odds. In each text the token that"
        " adds or takes most has the deepest colour."
    )
    if any(len(text.tokens) > MOST for text in texts):
        caption += f" Of a text of more than {MOST} tokens, neighbours were taken away together."
    columns = ("token", "adds", "without it")
    block = MarkedTexts(shown, caption, "speaks for what was said", "speaks against it", columns, LEAST)
    return [Section("What each token adds", [block], "Errors first, then right answers, the surest of each.")]


def marked(ask: Callable[[np.ndarray], np.ndarray], text: Answered, unknown: int, gap: str) -> MarkedText:
    """A text with what each part of it adds, and how sure the answer is without it."""
    places = list(text.tokens)
    spans = [part.tolist() for part in np.array_split(places, min(MOST, len(places)))]
    whole, *without = asked_without(ask, text.row, spans, unknown)[:, text.given].tolist()
    marks = []
    for span, share in zip(spans, without, strict=True):
        words = gap.join(text.tokens[place] for place in span).replace(" ##", "")
        glued = words.startswith("##") and len(words) > 2
        adds = log_odds(whole) - log_odds(share)
        marks.append(Mark(words[2:] if glued else words, adds, f"{share:.1%}", "" if glued else gap))
    return MarkedText(marks, f"{text.title}, {whole:.1%} sure")


def asked_without(
    ask: Callable[[np.ndarray], np.ndarray], row: np.ndarray, spans: Sequence[Sequence[int]], unknown: int
) -> np.ndarray:
    """Probabilities (1 + spans, classes): of the text as it is, then with the tokens of each span unknown."""
    rows = np.repeat(row[None], 1 + len(spans), axis=0)
    for changed, span in zip(rows[1:], spans, strict=True):
        changed[list(span)] = unknown
    return np.concatenate([ask(rows[k : k + TOGETHER]) for k in range(0, len(rows), TOGETHER)])


def log_odds(share: float) -> float:
    """Of a probability p: ln p / (1 - p)."""
    near = float(np.clip(share, NEAREST, 1 - NEAREST))
    return float(np.log(near) - np.log1p(-near))
