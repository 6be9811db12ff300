"""Three figures: words that look at words, from scores to answers, and what the width does to a softmax."""

from types import SimpleNamespace

import torch
from torch import Tensor

from fathom.fundamentals.attention.scaled_dot_product import (
    attend,
    attention_weights,
    causal_mask,
    saturation,
)
from fathom.learn.engine.figure import choice, figure, log_slider, switch, text, whole
from fathom.learn.engine.marks import Bars, Curve, Frame, Matrix, Panel, Scatter, Tokens, frame, number, rows

# What each word is: p pronoun, t thing, v doing word, s small word. Set by hand; a network finds its own.
KINDS = {
    "the cat slept because it was tired": "stvspvs",
    "she read the letter and kept it": "svstsvp",
    "the cup broke because it fell down": "stvspvs",
}
ORDER = "ptvs"
NAMES = ("pronoun", "thing", "doing word", "small word")
PRONOUNS = "i me you he him she her it we us they them myself itself himself herself who"
SMALL = (
    "a an the this that these those my your his its our their no not and or but because so if when while as"
    " than of to in on at by for from with into over under up down out off very too all some every"
)
DOING = (
    "am is are was were be been has have had do does did can could will would may might must shall should"
    " ate eats eat saw sees see ran runs run fell falls fall sat sits sit went goes go came comes come got"
    " gets get made makes make took takes take gave gives give read reads kept keeps keep broke breaks break"
    " slept sleeps sleep said says say knew knows know thought thinks think found finds find lost loses lose"
    " loves love likes like wants want barks bark held holds hold wrote writes write drank drinks drink"
)
KNOWN = {"p": set(PRONOUNS.split()), "s": set(SMALL.split()), "v": set(DOING.split())}


def kind_of(word: str) -> str:
    """The kind of a word that is not one of ours: from the lists, else from its end, else a thing."""
    plain = "".join(sign for sign in word.lower() if sign.isalpha())
    for kind, words in KNOWN.items():
        if plain in words:
            return kind
    return "v" if len(plain) > 4 and plain.endswith(("ed", "ing")) else "t"


def kinds(sentence: str) -> Tensor:
    """A row for each word: 1 in the column of its kind."""
    found = KINDS.get(sentence) or [kind_of(word) for word in sentence.split()]
    return torch.stack([torch.tensor([float(kind == other) for other in ORDER]) for kind in found])


def asked(sentence: str, head: str) -> tuple[Tensor, Tensor]:
    """Queries and keys of one head."""
    kind = kinds(sentence)
    places = torch.eye(len(kind))
    if head == "what a pronoun stands for":
        query = torch.zeros_like(kind)
        query[:, 1] = 8 * kind[:, 0]  # a pronoun asks for a thing
        return query, kind
    if head == "the word before":
        before = places.roll(-1, dims=1)
        before[0] = places[0]  # the first word has none before it
        return 16 * before, places
    return 6 * kind, kind


def cut(word: str, longest: int) -> str:
    return word if len(word) <= longest else word[: longest - 1] + "…"


OWN = "your own"


@figure(
    sentence=choice(
        ("the cat slept because it was tired", "she read the letter and kept it",
         "the cup broke because it fell down", "your own"),
        "the cat slept because it was tired", "sentence",
    ),
    mine=text("the dog barked because it saw a fox", 80, "your own sentence", words=10,
              chooses=("sentence", "your own")),
    word=whole(1, 10, 5, "the word that looks"),
    head=choice(
        ("what a pronoun stands for", "the word before", "words of my kind"),
        "what a pronoun stands for", "head",
    ),
    temperature=log_slider(0.2, 10.0, 1.0, "temperature"),
    causal=switch(False, "causal"),
)  # fmt: skip
def look(c: SimpleNamespace) -> Frame:
    """One word looks at all others: how much it takes from each, the whole table, and each word's kind."""
    sentence = c.mine if c.sentence == OWN else c.sentence
    words = tuple(cut(word, 16) for word in sentence.split())
    query, key = asked(sentence, c.head)
    scale = 1 / (query.shape[1] ** 0.5 * c.temperature)
    weights = attention_weights(query, key, causal=c.causal, scale=scale)
    place = min(c.word, len(words)) - 1
    mine, name = weights[place], words[place]
    best = int(mine.argmax())
    drawn = tuple(round(float(w), 3) for w in mine)
    short = tuple(cut(word, 6) for word in words)
    kind, table = kinds(sentence), rows(weights.mul(100).round() / 100)
    guessed = f" It counts as a {NAMES[int(kind[place].argmax())]}." if c.sentence == OWN else ""
    return frame(
        Panel(title=f"What '{name}' takes from each word", marks=(Tokens(words=words, weights=drawn),)),
        Panel(
            title="Rows ask, columns are asked",
            marks=(Matrix(values=table, row_names=tuple(cut(w, 9) for w in words), column_names=short),),
        ),
        Panel(
            title="The kind of each word, set by hand",
            marks=(Matrix(values=rows(kind.T), row_names=NAMES, column_names=short),),
        ),
        say=f"'{name}' takes the most, {float(mine[best]):.0%}, from '{words[best]}'; its shares add up to"
        f" {float(mine.sum()):.0%}.{guessed}",
    )


PLACES, HIDDEN = 5, -99.0  # minus infinity cannot be drawn


def matrix(title: str, values: Tensor) -> Panel:
    shown = rows([[number(round(float(v), 2)) for v in row] for row in values])
    names = tuple(f"place {p}" for p in range(len(shown)))
    columns = tuple(str(p) for p in range(len(shown[0])))
    return Panel(title=title, marks=(Matrix(values=shown, row_names=names, column_names=columns),))


@figure(
    width=whole(1, 64, 4, "width e"),
    temperature=log_slider(0.1, 10.0, 1.0, "temperature"),
    causal=switch(True, "causal"),
    seed=whole(0, 9, 0, "seed"),
)
def stages(c: SimpleNamespace) -> Frame:
    """Five places: scores, shares, and answers of two numbers each."""
    dice = torch.Generator().manual_seed(c.seed)
    query, key = (torch.randn(PLACES, c.width, generator=dice) for _ in range(2))
    value = torch.randn(PLACES, 2, generator=dice)
    scale = 1 / (c.width**0.5 * c.temperature)
    scores = query @ key.T * scale
    if c.causal:
        scores = scores.masked_fill(~causal_mask(PLACES, PLACES), HIDDEN)
    weights = attention_weights(query, key, causal=c.causal, scale=scale)
    answers = attend(query, key, value, causal=c.causal, scale=scale)
    seen = "Place 0 sees only itself" if c.causal else "Every place sees all five"
    return frame(
        matrix("Scores", scores),
        matrix("Shares: each row adds up to 1", weights),
        matrix("Answers: the shares' mean of the values", answers),
        say=f"{seen}; the largest share of the last place is {float(weights[-1].max()):.0%}.",
    )


WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@figure(
    power=whole(0, 9, 6, "width: 2 to the power of"),
    divided=switch(False, "divide by the root of the width"),
    seed=whole(0, 9, 0, "seed"),
)
def widths(c: SimpleNamespace) -> Frame:
    """The shares of one random query with eight keys, and how much slope the softmax lets through."""
    width = 2**c.power
    dice = torch.Generator().manual_seed(c.seed)
    query, key = torch.randn(1, width, generator=dice), torch.randn(8, width, generator=dice)
    shares = attention_weights(query, key, scale=None if c.divided else 1.0)[0]
    slopes = {
        scaled: [saturation(w, scaled=scaled, places=8, draws=64, seed=c.seed).gradient for w in WIDTHS]
        for scaled in (False, True)
    }
    here = slopes[c.divided][c.power]
    across = [float(k) for k in range(len(WIDTHS))]

    def curve(scaled: bool) -> tuple[tuple[float, float], ...]:
        return tuple((x, number(v)) for x, v in zip(across, slopes[scaled], strict=True))

    return frame(
        Panel(
            title=f"One query of width {width} and eight keys",
            marks=(Bars(names=tuple("abcdefgh"), values=tuple(round(float(s), 2) for s in shares)),),
            y="share",
            y_range=(0.0, 1.1),
        ),
        Panel(
            title="The slope that the softmax lets through",
            marks=(
                Curve(name="divided by the root", points=curve(True), tone=0, dots=True),
                Curve(name="not divided", points=curve(False), tone=1, dots=True),
                Scatter(name="here", points=((float(c.power), number(here)),), tone=3),
            ),
            x="width: 2 to the power of",
            y="mean slope",
            x_range=(0.0, 9.0),
            y_range=(0.0, 0.6),
        ),
        say=f"At width {width}, {'divided' if c.divided else 'not divided'}, the largest share is"
        f" {float(shares.max()):.0%}; the mean slope of the softmax is {here:.3f}.",
    )
