"""Settings as values: change one by its dotted name, list them flat, compare two, write them as JSON."""

import ast
import importlib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from fathom.errors import InputError, unknown

# Where a value can be exchanged for another by its name: the declared type, what it is called, and the module
# whose ``choices()`` says which names there are.
EXCHANGED = {
    "Adaptation": ("adaptation", "fathom.training.adaptation"),
    "OptimizerConfig": ("optimizer", "fathom.training.optim"),
    "Schedule": ("schedule", "fathom.training.schedules"),
}


def override(tree: Any, path: str, text: str) -> Any:
    """A copy of ``tree`` with the setting at ``path`` changed to ``text``, parsed.

    ``path`` is dotted (``model.width``); the last part alone is enough where only one setting has
    that name. The name of an optimizer or a schedule (``learning.optimizer=Lion``) puts that one there with
    its own defaults, so settings of it come after. An unknown name, a wrong type or a refused value raises
    ``InputError``.
    """
    return _override(tree, complete(tree, path), text, path)


def _override(tree: Any, path: str, text: str, whole: str) -> Any:
    name, _, rest = path.partition(".")
    if isinstance(tree, tuple):  # augment.0.pad
        place = int(name)
        if not rest:
            raise InputError(f"--set {whole}={text}: {type(tree[place]).__name__} has no value of its own")
        changed = _override(tree[place], rest, text, whole)
        return (*tree[:place], changed, *tree[place + 1 :])
    old = getattr(tree, name)
    new = _override(old, rest, text, whole) if rest else _parse(text, hint(tree, name), old, whole)
    try:
        return replace(tree, **{name: new})
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"--set {whole}={text}: {error}") from error


def hint(tree: Any, name: str) -> Any:
    """The declared type of the field ``name``."""
    return get_type_hints(type(tree)).get(name, Any)


def complete(tree: Any, path: str) -> str:
    """The whole dotted name of the setting or group that ``path``, its last part say, means in ``tree``.

    Raises ``InputError`` where there is none or more than one.
    """
    known = flatten(tree)
    branches = {".".join(k.split(".")[:i]) for k in known for i in range(1, k.count(".") + 1)}
    if path in known or path in branches:
        return path
    ends = [k for k in known if k.rsplit(".", 1)[-1] == path]
    ends = ends or sorted(b for b in branches if b.rsplit(".", 1)[-1] == path)
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise InputError(f"setting {path!r} is not unique; choose one of {', '.join(ends)}")
    raise unknown("setting", path, {*known, *(k.rsplit(".", 1)[-1] for k in known)})  # each name once


def _parse(text: str, declared: Any, old: Any, path: str) -> Any:
    kinds = get_args(declared) if get_origin(declared) in (Union, UnionType) else (declared,)
    if getattr(declared, "__name__", "") in EXCHANGED:
        return _exchange(text, old, *EXCHANGED[declared.__name__])
    if is_dataclass(old):
        raise InputError(
            f"--set {path}={text}: {path} is a group; set one of its fields: {', '.join(flatten(old))}"
        )
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if text in words or (str in kinds and text not in ("None", "none")):
        return text
    try:
        value = ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(text, text))
    except (ValueError, SyntaxError):
        value = text
    for kind in kinds:
        plain = get_origin(kind) or kind
        if plain is Any or (plain is type(None) and value is None):
            return value
        if plain is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if plain is tuple and isinstance(value, list | tuple):
            return tuple(value)
        if isinstance(plain, type) and type(value) is plain:
            return value
    if value in words:
        return value
    named = [getattr(k, "__name__", str(k)) for k in kinds if get_origin(k) is not Literal]
    wanted = " or ".join([*(repr(word) for word in words), *named])
    raise InputError(f"--set {path}={text}: {path} takes {wanted} (now {old!r}), not {text!r}")


def override_all(tree: Any, settings: Sequence[Sequence[str]]) -> Any:
    """``tree`` with each (path, text) changed, in order.

    Raises ``InputError`` for what ``override`` refuses, and where a setting would be lost because a later one
    exchanges the value it belongs to.
    """
    made: dict[str, str] = {}
    for path, text in settings:
        before, tree = whole(tree), override(tree, path, text)
        after = whole(tree)
        for name, earlier in made.items():
            if name not in after or (after[name] != before[name] and name != complete(tree, path)):
                raise InputError(
                    f"--set {path}={text} exchanges what --set {earlier} has changed; give it before that"
                )
        made[complete(tree, path)] = f"{path}={text}"
    return tree


def _exchange(name: str, old: Any, kind: str, module: str) -> Any:
    """The value of that name from a closed set, with its defaults; ``old`` where it is of that kind."""
    known = importlib.import_module(module).choices()
    if name not in known:
        raise unknown(kind, name, [k for k in known if k.lower() == name.lower()] or known)
    return old if type(old) is known[name] else known[name]()


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """``Config(model=Model(depth=4))`` becomes ``{"model.depth": 4}``."""
    flat: dict[str, Any] = {}
    for name, value in _items(tree):
        if is_dataclass(value) and not isinstance(value, type) and fields(value):
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, tuple) and value and all(is_dataclass(v) for v in value):
            for i, part in enumerate(value):
                flat |= flatten(part, f"{prefix}{name}.{i}.") or {f"{prefix}{name}.{i}": type(part).__name__}
        else:
            flat[f"{prefix}{name}"] = type(value).__name__ if is_dataclass(value) else value
    return flat


def diff(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    """Settings that differ, by dotted name: the caption of any two learning curves.

    Where another kind of value stands, the names of both are listed.
    """
    a, b = whole(before), whole(after)
    return {k: (a.get(k), b.get(k)) for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)}


def whole(tree: Any) -> dict[str, Any]:
    """Every setting, and the class of each group of settings, by dotted name."""
    found = _kinds(tree) | flatten(tree)
    return {name: found[name] for name in sorted(found)}


def _kinds(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The class of each value that has settings of its own, by dotted name."""
    found: dict[str, Any] = {}
    for name, value in _items(tree):
        if is_dataclass(value) and not isinstance(value, type):
            found |= {f"{prefix}{name}": type(value).__name__} | _kinds(value, f"{prefix}{name}.")
    return found


def to_json(value: Any) -> Any:
    """``value`` as plain JSON. A dataclass carries its class name under ``"class"``; it is for reading."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__name__} | {name: to_json(v) for name, v in _items(value)}
    if isinstance(value, dict):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__name__", None) or str(value)


def _items(tree: Any) -> list[tuple[str, Any]]:
    return [(f.name, getattr(tree, f.name)) for f in fields(tree) if f.repr]
