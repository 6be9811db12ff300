"""Controls that a learner fills by hand: words.

Whatever arrives is of any type and any size: its size is held to a limit first, then it is looked at, and
what it may not be is refused with a reason. No reason repeats more than a little of what was given.

A figure mostly has a choice between things that are given and one of the learner's own. ``chooses`` names
that choice and its option, so that typing takes it by itself.
"""

import reprlib
from dataclasses import dataclass
from typing import Any

from fathom.errors import InputError

Chooses = tuple[str, str]  # a control, and the option of it that typing takes
NOTHING: Chooses = ("", "")


def shown(value: Any) -> str:
    """A value in a message, shortened."""
    return reprlib.repr(value)


@dataclass(frozen=True)
class Text:
    """A short text on one line: of at most ``longest`` characters, and ``words`` words unless that is 0."""

    start: str
    longest: int
    label: str
    words: int = 0
    chooses: Chooses = NOTHING

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise InputError(f"{self.label} takes a text; {shown(value)} was given")
        if len(value) > self.longest:
            raise InputError(f"{self.label} takes at most {self.longest} characters, not {len(value)}")
        if not value.isprintable():
            strange = next(sign for sign in value if not sign.isprintable())
            raise InputError(f"{self.label} takes letters and signs on one line; {strange!r} is none")
        words = value.split()
        if not words:
            raise InputError(f"{self.label} is empty: type something")
        if self.words and len(words) > self.words:
            raise InputError(f"{self.label} takes at most {self.words} words, not {len(words)}")
        return " ".join(words)

    def extremes(self) -> list[Any]:
        """The shortest, one word as long as it may be, and as many long words as fit."""
        words = self.words or self.longest // 2
        many = " ".join(["W" * ((self.longest + 1) // words - 1)] * words)
        return ["a", "W" * self.longest, many]


def text(start: str, longest: int, label: str, words: int = 0, chooses: Chooses = NOTHING) -> Text:
    return Text(start, longest, label, words, chooses)
