"""Answers that make a known mistake: the wrong twins of an exercise as files of a learner.

A twin may call a function that stands beside it in the exercise. So a file holds, besides the twin under the
name of the exercise, all that it uses and nothing else: neither checks nor words that the rules forbid.
"""

import ast

from fathom.learn.engine.exercise import Exercise
from fathom.learn.engine.forbidden import forbidden_word


def twin_answers(made: Exercise) -> dict[str, str]:
    """The twins of an exercise as texts of answers, but for those that take a short cut the rules forbid."""
    tree = ast.parse(made.path.read_text(encoding="utf-8"))
    named = {name: node for node in tree.body for name in names(node)}
    texts = {twin: answer(named, f"wrong_{twin}", made.name) for twin in made.mistakes}
    return {twin: text for twin, text in texts.items() if not forbidden_word(text, made.forbidden)[0]}


def names(node: ast.stmt) -> list[str]:
    """What a statement of a file defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]


def answer(named: dict[str, ast.stmt], twin: str, name: str) -> str:
    """The file of one twin, its parts in the order of the exercise."""
    wanted, waiting = {twin}, [named[twin]]
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Name) and node.id in named and node.id not in wanted:
                wanted.add(node.id)
                waiting.append(named[node.id])
    parts = list(dict.fromkeys(node for known, node in named.items() if known in wanted))
    return "\n\n".join(map(ast.unparse, parts)) + f"\n\n{name} = {twin}\n"
