"""The code of a page, run: what a reader sees is what was executed, line by line.

The Python fences of a page share one namespace, from top to bottom. A line that ends in ``# -> value`` is a
promise: the expression before it has that value, by shape and number, to the digits that are written. Text
is equal to text; a type, a shape or a truth value to itself. Fences of ``sh`` are commands; their lines that
begin with ``fathom`` are read by the real parser. Files of a project run in a folder of theirs (``project``).
"""

import ast
import re
import shlex
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fathom.learn.engine.topic import Code, Topic

PROMISE = re.compile(r"\s#\s*->\s*(.+)$")


class BrokenPromise(AssertionError):
    """A fence did not do what the page says."""


def run(topic: Topic) -> int:
    """Run every Python fence of a page; returns how many promises were kept.

    Raises ``BrokenPromise`` with file and line where a promise was not, or where code raised.
    """
    space: dict[str, Any] = {"__name__": "__page__"}
    torch.manual_seed(0)
    kept = 0
    for fence in topic.every(Code):
        if fence.language == "python" and not fence.file:
            kept += run_fence(fence, f"{topic.head.slug}/topic.md", space)
    return kept


def run_fence(fence: Code, place: str, space: dict[str, Any]) -> int:
    lines, kept = fence.text.splitlines(), 0
    for statement in ast.parse(fence.text).body:
        last = statement.end_lineno or statement.lineno
        promise = PROMISE.search(lines[last - 1])
        where = f"{place}, line {fence.line + last}"
        try:
            if promise and isinstance(statement, ast.Expr):
                value = eval(compile(ast.Expression(statement.value), place, "eval"), space)
            else:
                exec(compile(ast.Module([statement], []), place, "exec"), space)
                continue
        except Exception as error:
            raise BrokenPromise(f"{where}: {type(error).__name__}: {error}") from error
        if not equals(value, promise[1], space):
            raise BrokenPromise(f"{where}: the page says {promise[1]}, and it is {value!r}")
        kept += 1
    return kept


def equals(value: Any, written: str, space: dict[str, Any]) -> bool:
    """Whether a value is what is written, to the digits that are written."""
    wanted = eval(written, {"tensor": torch.tensor, "torch": torch, "nan": float("nan")} | space)
    digits = [len(found) for found in re.findall(r"\d\.(\d*)", written)]
    return close(value, wanted, 0.5000001 * 10.0 ** -max(digits, default=9))


def close(value: Any, wanted: Any, within: float) -> bool:
    if isinstance(value, Tensor) or isinstance(wanted, Tensor):
        if not isinstance(wanted, Tensor):  # a number of Python stands for a tensor without axes
            wanted = torch.tensor(wanted)
        if not isinstance(value, Tensor) or value.shape != wanted.shape:
            return False
        return torch.allclose(value.double(), wanted.double(), 0.0, within, equal_nan=True)
    if isinstance(value, tuple | list) and isinstance(wanted, tuple | list):
        return len(value) == len(wanted) and all(map(close, value, wanted, [within] * len(value)))
    if isinstance(wanted, float) and not isinstance(value, bool) and isinstance(value, int | float):
        return bool(abs(value - wanted) <= within or (value != value and wanted != wanted))
    return type(value) is type(wanted) and value == wanted


def commands(topic: Topic) -> Iterator[list[str]]:
    """The words of each ``fathom`` command of a page, "fathom" left out; of its head too."""
    lines = [topic.head.use] if topic.head.use else []
    for fence in topic.every(Code):
        if fence.language == "sh":
            lines += fence.text.splitlines()
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] == ["fathom"]:
            yield words[1:]
