"""Weight maps: what a tensor is called elsewhere, what it is called here, and back.

A system has a literal table for each library whose weights it takes (``UPSTREAMS``): patterns of module names
there, and of module names here. ``{i}`` stands for a number, the same on both sides, ``{i+1}`` for the number
that is one more. A pattern covers the tensors of the module ("layer1.0.conv1" covers "layer1.0.conv1.weight")
or is the whole name of a tensor. Since both sides name the same numbers, a table reads either way.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache

Table = Mapping[str, str]  # pattern there -> pattern here
NUMBER = re.compile(r"\{(\w+)(?:\+(\d+))?\}")
DIGITS = re.compile(r"\d+")


def inverse(table: Table) -> dict[str, str]:
    """The same table, read from here to there. Raises ``ValueError`` where two patterns lead to one."""
    turned = {here: there for there, here in table.items()}
    if len(turned) < len(table):
        twice = sorted(h for h in turned if list(table.values()).count(h) > 1)
        raise ValueError(f"two patterns of a weight map lead to {', '.join(twice)}")
    return turned


def translate(names: Iterable[str], table: Table) -> dict[str, str]:
    """Each of ``names`` that the table knows -> its name on the other side; the others are absent.

    Raises ``ValueError`` where two names would become one, or two patterns disagree about one.
    """
    found: dict[str, str] = {}
    rules: dict[str, list[tuple[str, str]]] = {}
    for there, here in table.items():
        rules.setdefault(outline(there), []).append((there, here))
    for name in names:
        near = rules.get(outline(name), []) + rules.get(outline(name.rpartition(".")[0]), [])
        new = {made for there, here in near if (made := one(name, there, here)) is not None}
        if len(new) > 1:
            raise ValueError(f"patterns of a weight map disagree about {name}: {', '.join(sorted(new))}")
        found |= dict.fromkeys([name], *new) if new else {}
    if len(set(found.values())) < len(found):
        seen: dict[str, str] = {}
        for name, new_name in found.items():
            if new_name in seen:
                raise ValueError(f"{seen[new_name]} and {name} would both be called {new_name}")
            seen[new_name] = name
    return found


def outline(pattern: str) -> str:
    """``pattern``, or a name, with every number, given or not, as one sign: few rules share an outline."""
    return DIGITS.sub("#", NUMBER.sub("0", pattern))


def one(name: str, there: str, here: str) -> str | None:
    """``name`` by the rule ``there`` -> ``here``, or None where the rule is not about it."""
    whole = compiled(there).fullmatch(name)
    if whole is not None:
        return filled(here, numbers(whole, there))
    module, dot, leaf = name.rpartition(".")
    match = compiled(there).fullmatch(module) if dot else None
    made = None if match is None else filled(here, numbers(match, there))
    return None if made is None else f"{made}.{leaf}"


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    parts, end = [], 0
    for found in NUMBER.finditer(pattern):
        parts += [re.escape(pattern[end : found.start()]), rf"(?P<{found[1]}>\d+)"]
        end = found.end()
    return re.compile("".join(parts) + re.escape(pattern[end:]))


def numbers(match: re.Match[str], pattern: str) -> dict[str, int]:
    """What ``{i}`` stands for, by its letter."""
    more = {letter: int(plus or 0) for letter, plus in NUMBER.findall(pattern)}
    return {letter: int(text) - more[letter] for letter, text in match.groupdict().items()}


def filled(pattern: str, values: Mapping[str, int]) -> str | None:
    """The name that ``pattern`` means; None where a number would be negative, which no module has."""
    if min(values.values(), default=0) < 0:
        return None
    return NUMBER.sub(lambda found: str(values[found[1]] + int(found[2] or 0)), pattern)
