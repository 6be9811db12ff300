"""Published sizes of the catalogue's systems and their weights, as ``show`` and the page of models tell them.

A size is a public function of a system's file that takes ``weights`` first, or bears a name of its ``SIZES``:
``resnet50`` of resnet.py. The table ``WEIGHTS`` of that file is read, not imported, so that telling what is
there needs no torch: it is a literal, or made of literals by ``torchvision_weights`` and ``|``.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fathom import catalog
from fathom.catalog import Entry
from fathom.published import torchvision_weights

Statements = Mapping[str, ast.expr]  # what each name of a file is set to, at its top level


@dataclass(frozen=True)
class Size:
    """A published size, and its weights by name with what is known of each."""

    name: str  # "resnet50"
    system: str
    summary: str  # "50 layers, 25.6 million parameters"
    weights: Mapping[str, Mapping[str, Any]]


@cache
def sizes() -> dict[str, Size]:
    """Every published size, by name."""
    found: dict[str, Size] = {}
    for entry in catalog.systems().values():
        for size in sizes_of(entry):
            if size.name in found:
                raise ValueError(f"two systems have a size {size.name!r}: {found[size.name].system}, {entry}")
            found[size.name] = size
    return found


def sizes_of(entry: Entry) -> list[Size]:
    """The published sizes of one system, in the order of its file."""
    source = entry.path.read_text(encoding="utf-8")
    if "(weights: " not in source and "\n    weights: " not in source and "\nSIZES = " not in source:
        return []
    body = ast.parse(source).body
    names = assigned(body)
    table_of_sizes = names.get("SIZES")
    keys = table_of_sizes.keys if isinstance(table_of_sizes, ast.Dict) else []
    listed = {key.value for key in keys if isinstance(key, ast.Constant)}
    table = value(names["WEIGHTS"], names) if "WEIGHTS" in names else {}
    return [
        Size(node.name, entry.name, first_sentence(node), table.get(node.name, {}))
        for node in body
        if isinstance(node, ast.FunctionDef) and (node.name in listed or takes_weights(node))
    ]


def takes_weights(node: ast.FunctionDef) -> bool:
    return not node.name.startswith("_") and [a.arg for a in node.args.args[:1]] == ["weights"]


def assigned(body: list[ast.stmt]) -> Statements:
    """What names are set to at the top level of a file."""
    found: dict[str, ast.expr] = {}
    for node in body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and node.value:
            found[target.id] = node.value
    return found


def value(node: ast.expr, names: Statements) -> dict[str, Any]:
    """A table that a file writes as a literal, as the join of two, or by ``torchvision_weights``."""
    if isinstance(node, ast.Name):
        return value(names[node.id], names)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return value(node.left, names) | value(node.right, names)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == torchvision_weights.__name__:
        more = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
        return torchvision_weights(value(node.args[0], names), **more)
    return ast.literal_eval(node)


def first_sentence(node: ast.FunctionDef) -> str:
    """Of a docstring: what the size is, without what its arguments are."""
    line = (ast.get_docstring(node) or "").split("\n")[0]
    return line.partition(". ")[0].removesuffix(".")


def told(size: Size) -> list[str]:
    """The size and a line for each of its weights."""
    lines = [f"size      {size.name}: {size.summary}"]
    for name, facts in size.weights.items():
        about = [accuracy(facts), prepared(facts), origin(facts)]
        lines.append(f"weights   {size.name}:{name}: " + "; ".join(part for part in about if part))
    return lines


def told_whole(size: Size) -> list[str]:
    """The size with all that is known of its weights, and how they are used."""
    lines = [f"size      {size.name}: {size.summary}"]
    for name, facts in size.weights.items():
        lines.append(f"weights   {size.name}:{name}" + (f": {found}" if (found := accuracy(facts)) else ""))
        places = [facts[key] for key in ("address", "file") if key in facts]
        about = [prepared(facts), pixels(facts), origin(facts), *places]
        lines += [f"          {part}" for part in about if part]
        digits = facts["sha256"]
        lines.append(f"          SHA-256 {'' if len(digits) == 64 else 'begins with '}{digits}")
    if size.weights:
        last = list(size.weights)[-1]
        lines.append(f'use       {size.system}.{size.name}(weights="{last}")')
        lines.append(f"          fathom fit DATA --from {size.name}:{last}")
    else:
        lines.append("weights   none are published here by name")
    return lines


def accuracy(facts: Mapping[str, Any]) -> str:
    """The published shares of right guesses."""
    shares = ", ".join(f"{kind} {share:g} %" for kind, share in facts["accuracy"].items())
    return f"{shares} as published" if shares else ""


def accuracies(size: Size) -> str:
    """The published shares of each of its weights, in one line; a dash where there are none."""
    shares = {
        name: " / ".join(f"{share:g}" for share in facts["accuracy"].values())
        for name, facts in size.weights.items()
    }
    return ", ".join(f"`{name}` {share}" for name, share in shares.items() if share) or "-"


def prepared(facts: Mapping[str, Any]) -> str:
    """How inputs are prepared for these weights, but for mean and deviation."""
    plain = {k: v for k, v in facts["preprocessing"].items() if k not in ("mean", "deviation")}
    return ", ".join(f"{key} {how}" if key != "interpolation" else how for key, how in plain.items())


def pixels(facts: Mapping[str, Any]) -> str:
    """What is taken from each channel of pixels in [0, 1], and by what they are divided then."""
    given = {part: facts["preprocessing"].get(part, ()) for part in ("mean", "deviation")}
    return ", ".join(f"{part} {' '.join(map(str, found))}" for part, found in given.items() if found)


def origin(facts: Mapping[str, Any]) -> str:
    """Whose they are, how large, where they lie and under which licence."""
    large = f"{facts['mebibytes']:.1f} MiB" if "mebibytes" in facts else "comes with Fathom"
    package = f"in the package {facts['package'][0]}" if "package" in facts else ""
    return ", ".join(part for part in (facts["upstream"], large, package, facts["licence"]) if part)
