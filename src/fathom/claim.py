"""A claim: one sentence of a lesson, the experiment that would show it, and how much it must show.

A claim is a file of ``claims/`` that holds a literal ``CLAIM``. ``fathom verify NAME`` runs each of its arms
once for every seed and keeps what came out, whether the sentence held or not. Arms are settings of recipes
(``{"he": ("deep_mlp", "initialization=he"), ...}``), run by the engine; where an experiment needs code of its
own, the file has ``measure(seed) -> {arm: {metric: value}}`` instead.

The page of a claim (``fathom show NAME --page FILE``) shows the record. A file that also has
``picture(seed, found)`` draws there what numbers cannot tell: it gives blocks of ``fathom.report``, and gets
what ``measure`` found with that seed, as it stands in the record.
"""

import re
from dataclasses import dataclass, field

PATTERN = re.compile(
    r"(?P<metric>[\w/]+): (?P<left>[\w.+/-]+)(?: - (?P<right>[\w.+/-]+))?"
    r" (?P<sign>>=|<=) (?P<bound>[-+.\de]+)"
)


@dataclass(frozen=True)
class Promise:
    """``metric`` of arm ``left``, less that of arm ``right`` where one is named, against ``bound``."""

    text: str
    metric: str
    left: str
    right: str | None
    sign: str  # ">=" or "<="
    bound: float


def promise(text: str) -> Promise:
    """Read ``"valid/accuracy: he - xavier >= 0.05"``; anything else raises ``ValueError``."""
    found = PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is no promise; write 'METRIC: ARM >= NUMBER' or 'METRIC: ARM - ARM >= NUMBER' (or <=)"
        )
    return Promise(text, found["metric"], found["left"], found["right"], found["sign"], float(found["bound"]))


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Every value is a literal, so ``fathom.catalog`` reads it from the syntax tree, as it does cards."""

    sentence: str  # what a lesson says
    rows: tuple[str, ...]  # ids of the inventory whose experiment this is
    expect: tuple[str, ...]  # how much must be seen: "valid/accuracy: he - xavier >= 0.05"
    source: str  # who said so, or the chapter that makes the point
    builds_on: tuple[str, ...] = ()  # the primitives and systems it is about
    arms: dict[str, tuple[str, ...]] = field(default_factory=dict)  # arm -> recipe and settings "path=value"
    seeds: int = 5
    differs: tuple[str, ...] = ()  # how this experiment departs from the source or the inventory, and why

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}; it must be 1 or more")
        for text in self.expect:
            wanted = promise(text)
            for arm in (wanted.left, wanted.right):
                if self.arms and arm is not None and arm not in self.arms:
                    raise ValueError(f"{text!r} names the arm {arm!r}; there are {', '.join(self.arms)}")
