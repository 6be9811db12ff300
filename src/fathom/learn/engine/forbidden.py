"""Words that an answer may not use: the rules of the game of an exercise.

"Without autograd" is part of a question, so it is checked before the answer runs, in its syntax tree: names,
attributes, imported modules and text inside ``getattr``. It keeps an honest learner on the path; one who
wants around it finds a way, and cheats nobody else.
"""

import ast
from collections.abc import Mapping


def forbidden_word(text: str, rules: Mapping[str, str]) -> tuple[str, str]:
    """The first forbidden word in an answer and the reason, or two empty texts."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # whoever runs the answer says it better
        return "", ""
    for node in ast.walk(tree):
        for word in words(node):
            if word in rules:
                return word, rules[word]
    return "", ""


def words(node: ast.AST) -> list[str]:
    """The words that a node of the tree brings in."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.Import):
        return [part for name in node.names for part in name.name.split(".")]
    if isinstance(node, ast.ImportFrom):
        return [*(node.module or "").split("."), *(name.name for name in node.names)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        return [str(inner.value) for inner in node.args if isinstance(inner, ast.Constant)]
    if isinstance(node, ast.For | ast.While):
        return ["loop"]
    return []
