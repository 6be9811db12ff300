"""What a chat template may use of time, of memory and of length, and how its values are made within that.

Three bounds hold together. Every value that a template makes is measured, with all that it holds, so that
no single operation on it takes long. All texts and lists that it makes are added up, kept or not: that bounds
the memory. And a clock is looked at between operations.
"""

import datetime
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from itertools import chain, islice
from types import GeneratorType
from typing import Any, TypeVar

from jinja2 import Undefined
from jinja2.utils import Namespace

STEPS = (
    1_000_000  # lines of a template, and calls, that rendering may run: a conversation takes some thousand
)
SECONDS = 10.0  # of one processor
MEMORY = 2**28  # bytes of all texts and lists that one rendering makes
LARGEST = 1_000_000  # characters of a text, or items of a list, that an operation may make
TOGETHER = 10_000_000  # characters of a list with all that it holds
DEEPEST = 100  # lists in lists
KEYS = 10_000  # of a mapping: numbers chosen to collide make each of them as slow as all before it
BITS = 4096  # of a whole number
SOUGHT = 1000  # characters that a method looks for: some compare them at each place of the text
ITEM = 100  # bytes of an item of a list, about
HOLDING = (list, tuple, dict, AbstractSet, type({}.values()))
SEARCHES = (
    "strip", "lstrip", "rstrip", "split", "rsplit", "partition", "rpartition", "find", "rfind", "index",
    "rindex", "count",
)  # fmt: skip
METHODS = {
    str: (
        *SEARCHES, "splitlines", "removeprefix", "removesuffix", "startswith", "endswith", "upper", "lower",
        "title", "capitalize", "casefold", "swapcase", "isdigit", "isalpha", "isalnum", "isspace", "isupper",
        "islower", "istitle", "isnumeric", "isdecimal", "replace", "join",
    ),
    list: ("index", "count"),
    tuple: ("index", "count"),
    dict: ("get", "items", "keys", "values", "copy"),
}  # fmt: skip


class Exhausted(Exception):
    """A template ran for too long, or made too much."""


class Budget:
    """What is left to one template."""

    def __init__(self, steps: int) -> None:
        self.steps, self.memory = steps, MEMORY
        self.until = time.thread_time() + SECONDS

    def look(self) -> None:
        if time.thread_time() > self.until:
            raise Exhausted(f"it is not done after {SECONDS:g} seconds")

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise Exhausted(f"it is not done after {STEPS:,} steps")
        if self.steps % 64 == 0:
            self.look()

    def take(self, size: int) -> None:
        self.memory -= size
        if self.memory < 0:
            raise Exhausted(f"its texts and lists take more than {MEMORY // 2**20} MiB")


BUDGET: ContextVar[Budget] = ContextVar("BUDGET")
Made = TypeVar("Made")


def watched(work: Callable[[], Made], steps: int, counted: str) -> Made:
    """What ``work`` gives, with its steps counted: calls, and lines of a file of the name ``counted``."""
    budget = Budget(steps)

    def count(frame: Any, event: str, argument: Any) -> Any:
        file = frame.f_code.co_filename
        if file != __file__:  # what is measured here is bounded, and is not the template's work
            budget.step()
        return count if file == counted else None

    token, before = BUDGET.set(budget), sys.gettrace()
    sys.settrace(count)
    try:
        return work()
    finally:
        sys.settrace(before)
        BUDGET.reset(token)


def bounded(size: int) -> None:
    if size > LARGEST:
        raise Exhausted(f"it makes a text or a list of more than {LARGEST:,} characters or items")


def measure(value: Any, most: int = TOGETHER) -> None:
    """Raise ``Exhausted`` where ``value``, with all that it holds, has more than ``most`` characters."""
    before = sys.gettrace()
    sys.settrace(None)  # this walk is bounded
    try:
        weigh(value, most)
    finally:
        sys.settrace(before)


def weigh(value: Any, most: int) -> None:
    """``measure`` itself: one loop over all that is held, each as often as it would be written out."""
    total, open_ones = 0, [iter((value,))]
    while open_ones:
        for item in open_ones[-1]:
            if isinstance(item, str):
                total += 2 + len(item)
            elif isinstance(item, int):
                total += 3 + item.bit_length() // 3
            elif isinstance(item, Namespace):  # what it holds may change, and may be itself
                raise Exhausted("it puts a namespace into a list or into its text")
            elif isinstance(item, HOLDING):
                total += 4
                open_ones.append(chain(item, item.values()) if isinstance(item, dict) else iter(item))
                break
            else:
                total += ITEM
            if total > most:
                break
        else:
            open_ones.pop()
        if total > most:
            raise Exhausted(f"it makes a list that holds more than {most:,} characters")
        if len(open_ones) > DEEPEST:
            raise Exhausted(f"it puts more than {DEEPEST} lists into one another")


def kept(value: Any) -> Any:
    """What an operation made, where it is not too large."""
    budget = BUDGET.get()
    budget.look()
    if isinstance(value, str):
        bounded(len(value))
        budget.take(sys.getsizeof(value))
    elif isinstance(value, int) and value.bit_length() > BITS:
        raise Exhausted(f"it computes a whole number of more than {BITS:,} bits")
    elif isinstance(value, HOLDING):
        bounded(len(value))
        budget.take(ITEM * len(value))
        measure(value)
    elif isinstance(value, GeneratorType):  # an iterator stays one: even an empty one counts as true
        return iter(kept(list(islice(value, LARGEST + 1))))
    return value


def text_of(value: Any) -> str:
    """``value`` as a text, measured before it is written out."""
    if not isinstance(value, str | Undefined):
        measure(value, LARGEST)
    return str(value)


def joined(between: str, parts: Iterable[Any]) -> str:
    """``between.join(parts)``, counted while it grows."""
    size, found = 0, list[str]()
    for part in parts:
        found.append(text_of(part))
        size += len(found[-1]) + len(between)
        bounded(size)
    return kept(between.join(found))


def replaced(text: str, old: str, new: str, count: int | None = -1) -> str:
    """``text.replace``, unless what comes of it may be too long."""
    bounded((len(text) + 1) * max(1, len(new)) if len(new) > max(1, len(old)) else len(text))
    return kept(text.replace(old, new, -1 if count is None else count))


def called(owner: Any, name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """A method of a text, a list or a mapping. Raises ``Exhausted`` for one that is not in ``METHODS``."""
    kind = next((kind for kind in METHODS if isinstance(owner, kind)), None)
    if kind is None or name not in METHODS[kind]:
        raise Exhausted(f"it uses {name} of a {type(owner).__name__}, which a template may not")
    if kind is str:
        if name == "replace":
            return replaced(str(owner), *given, **named)
        if name == "join":
            return joined(str(owner), *given)
        sought = [thing for thing in (*given, *named.values()) if isinstance(thing, str)]
        if name in SEARCHES and any(len(text) > SOUGHT for text in sought):
            raise Exhausted(f"it uses {name} with more than {SOUGHT:,} characters")
        if "split" in name:
            BUDGET.get().take(sys.getsizeof(owner))
    method = getattr(str(owner) if kind is str else owner, name)
    return kept(method(*given, **named))


def few(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a mapping is made of, unless it has too many keys."""
    if any(not hasattr(thing, "__len__") or len(thing) > KEYS for thing in given):
        raise Exhausted(f"it makes a mapping of what may have more than {KEYS:,} entries")
    return given


def dictionary(*given: Any, **named: Any) -> dict[Any, Any]:
    """``dict`` of templates."""
    return kept(dict(*few(given), **named))


def namespace(*given: Any, **named: Any) -> Namespace:
    """``namespace`` of templates."""
    return Namespace(*few(given), **named)


def as_json(value: Any, indent: int | None = None, **options: Any) -> str:
    """The filter ``tojson`` as chat templates mean it: letters as they are, nothing escaped for HTML."""
    if indent is not None and not 0 <= indent <= 16:
        raise Exhausted(f"it indents JSON by {indent}")
    settings: dict[str, Any] = {"ensure_ascii": False, "indent": indent}
    for name in ("ensure_ascii", "separators", "sort_keys"):
        if name in options:
            settings[name] = options[name]
    return joined("", json.JSONEncoder(**settings).iterencode(value))


def today(form: str) -> str:
    """``strftime_now`` of templates."""
    if len(form) > SOUGHT or re.search(r"%(?!-?[A-Za-z%])", form):  # %9999d would be as wide as it says
        raise Exhausted(f"it writes the date as {form[:40]!r}")
    return datetime.datetime.now().strftime(form)
