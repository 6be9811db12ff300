"""How a classifier does on kinds of texts: with a word that negates and without, and by their length.

A model that counts words may be right nine times in ten and still read "not good" as "good"; one number over
all texts does not show it. The texts are looked at as the network reads them, so a word that it does not know
counts as none, and what was cut away is not there.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from fathom.report.blocks import Table
from fathom.report.intervals import bootstrap_mean
from fathom.report.page import Section

FEWEST = 20  # texts that a number is told of
# Words may stand apart from the signs in them: "didn ' t". Of a word that is not known "[?]" is left.
NEGATION = re.compile(
    r"\b(?:not|no|never|nothing|nobody|none|neither|nor|without|cannot|hardly)\b|[n\]] ?['\u2019] ?t\b",
    re.IGNORECASE,
)
NEGATING = "not, no, never, n't, nothing, nobody, none, neither, nor, without, cannot, hardly"


def slice_sections(
    right: np.ndarray, texts: Sequence[str], lengths: Sequence[int], unit: str
) -> list[Section]:
    """One section, or none where the texts are all of one kind.

    ``right`` (n,) is 1 for each text that was labelled rightly, else 0; ``lengths`` count its ``unit``, which
    is a plural.
    """
    negated = np.array([bool(NEGATION.search(text)) for text in texts], dtype=bool)
    parts = [("with a negation", negated), ("without one", ~negated)] if negated.any() else []
    size = np.asarray(lengths)
    spans = list(thirds(size))
    if len(spans) > 1:
        named = (f"{low} to {high}" if low < high else f"{low}" for low, high, _ in spans)
        parts += [(f"length {name}", mask) for name, (_, _, mask) in zip(named, spans, strict=True)]
    if not parts:
        return []
    rows = [row("all", right), *(row(name, right[mask]) for name, mask in parts)]
    columns = ("texts", "how many", "accuracy", "95 % interval")
    caption = f"Where there are fewer than {FEWEST} texts, no number is told."
    table = Table(columns, rows, caption, ("left", "right", "right", "right"), emphasis={0})
    said = [f"A negation is one of: {NEGATING}."] if negated.any() else []
    said += [f"Lengths, in {unit}, part the texts into thirds, nearly."] if len(spans) > 1 else []
    return [Section("Slices", [table], " ".join([*said, "Texts are looked at as the network reads them."]))]


def thirds(lengths: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """(shortest, longest, which): a third of the texts each, about, for those of one length stay together."""
    ordered, count = np.sort(lengths), len(lengths)
    below = -1
    for part in (1, 2, 3):
        end = int(ordered[-(-part * count // 3) - 1])
        if end > below:
            mask = (lengths > below) & (lengths <= end)
            yield int(lengths[mask].min()), end, mask
            below = end


def row(name: str, right: np.ndarray) -> list[str | int]:
    """A row of the table."""
    if len(right) < FEWEST:
        return [name, len(right), f"fewer than {FEWEST} texts", "\u2013"]
    found = bootstrap_mean(right)
    return [name, len(right), f"{found.estimate:.3f}", f"{found.low:.3f} to {found.high:.3f}"]
