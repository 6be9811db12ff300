"""The template of a chat model: a small program, written in Jinja, that lays messages out as one text.

It comes with the weights, so it is somebody else's program. It runs in Jinja's sandbox, which gives it no
attribute that begins with an underscore and nothing to change, and here within bounds of its own: so many
steps, so long a text, and no filter or method that makes a text as long as it likes. Names and filters are
those that transformers gives a template.
"""

import datetime
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from fathom.errors import InputError

LONGEST = 200_000  # characters of a template
STEPS = 1_000_000  # lines of Python that rendering may run: a long conversation takes some ten thousand
RENDERED = 10_000_000  # characters of the text
LARGEST = 1_000_000  # characters of a text, or items of a list, that an operation may make
WIDENING = ("format", "format_map", "ljust", "rjust", "center", "zfill", "expandtabs")  # methods of a text
FILTERS = (
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "groupby",
    "int",
    "items",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "sort",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
)  # of Jinja's own, those that make nothing longer than it was

Message = Mapping[str, Any]


class Exhausted(Exception):
    """A template ran for too long, or made too much."""


class Bounded(ImmutableSandboxedEnvironment):
    """The sandbox, with everything that makes a text longer looked at before it is computed."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (abs(left) <= LARGEST and abs(right) <= 64):
            raise Exhausted(f"it computes {left!r:.40} ** {right!r:.40}")
        if operator == "*":
            for thing, times in ((left, right), (right, left)):
                if isinstance(thing, str | list | tuple) and len(thing) * abs(times) > LARGEST:
                    raise Exhausted(f"it repeats something {times} times")
        if operator == "%" and isinstance(left, str):
            raise Exhausted("it formats a text with %, which can make it as long as it likes")
        if operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, type(left)):
            bounded(len(left) + len(right))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, *given: Any, **named: Any) -> Any:
        """A call that a template makes; methods of texts that may widen them are looked at."""
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if isinstance(owner, str) and name in WIDENING:
            raise Exhausted(f"it uses {name}, which can make a text as long as it likes")
        if isinstance(owner, str) and name == "replace" and len(given) > 1:
            return replaced(owner, *given)
        if isinstance(owner, str) and name == "join" and given:
            return joined(owner, given[0])
        return super().call(context, function, *given, **named)

    def wrap_str_format(self, value: Any) -> Any:
        """``format`` of a text as it is: ``call`` refuses it, whatever calls it."""
        return None

    def _generate(self, source: nodes.Template, *given: Any, **named: Any) -> str:
        return super()._generate(Joins().visit(source), *given, **named)

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """What blocks and macros are made of."""
        return joined("", parts)


class Joins(NodeTransformer):
    """Puts ``joined`` in the place of each ``a ~ b``."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        parts = [self.visit(part) for part in node.nodes]
        return nodes.Call(nodes.Name("joined_parts", "load"), parts, [], None, None, lineno=node.lineno)


def bounded(size: int) -> None:
    if size > LARGEST:
        raise Exhausted(f"it makes a text of more than {LARGEST:,} characters")


def joined(between: str, parts: Iterable[Any]) -> str:
    """``between.join(parts)``, counted while it grows."""
    size, found = 0, list[str]()
    for part in parts:
        found.append(part if isinstance(part, str) else str(part))
        size += len(found[-1]) + len(between)
        bounded(size)
    return between.join(found)


def replaced(text: str, old: str, new: str, count: int | None = -1) -> str:
    """``text.replace``, unless what comes of it may be too long."""
    bounded((len(text) + 1) * max(1, len(new)) if len(new) > max(1, len(old)) else len(text))
    return text.replace(old, new, -1 if count is None else count)


class Generation(Extension):
    """``{% generation %}``: marks, for training, what the model is to say. Rendering leaves it as it is."""

    tags = {"generation"}  # noqa: RUF012 - the attribute that Jinja reads

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class Template:
    """A chat template. Raises ``InputError`` for one that is too long or is no Jinja."""

    def __init__(self, source: str, specials: Mapping[str, str] | None = None) -> None:
        if len(source) > LONGEST:
            raise InputError(
                f"the chat template has {len(source):,} characters; at most {LONGEST:,} are read"
            )
        environment = Bounded(
            trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
        )
        environment.filters = {name: environment.filters[name] for name in FILTERS} | {
            "tojson": as_json, "replace": replaced, "join": lambda parts, between="": joined(between, parts)
        }  # fmt: skip
        environment.globals = {name: environment.globals[name] for name in ("range", "dict", "namespace")} | {
            "raise_exception": refuse, "strftime_now": today,
            "joined_parts": lambda *parts: joined("", parts),
        }  # fmt: skip
        self.specials = dict(specials or {})
        try:
            self.template = environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise InputError(
                f"the chat template is no Jinja: {error.message}, line {error.lineno}"
            ) from error

    def render(self, messages: Sequence[Message], *, begin_answer: bool = True, **given: Any) -> str:
        """The text of ``messages``, each with a ``role`` and ``content``.

        ``begin_answer`` adds what stands before the model's own words; ``given`` are further names that some
        templates read, such as ``tools``. Raises ``InputError`` where the template refuses the messages, uses
        what it may not, or goes beyond its bounds.
        """
        names = {**self.specials, "messages": list(messages), "add_generation_prompt": begin_answer, **given}
        try:
            return "".join(self.parts(names))
        except Exhausted as error:
            raise InputError(f"the chat template was stopped: {error}") from error
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise InputError(f"the chat template does not take these messages: {error}") from error
        except RecursionError as error:
            raise InputError("the chat template was stopped: it calls itself without end") from error

    def parts(self, names: Mapping[str, Any]) -> list[str]:
        """What the template writes, piece by piece, with every step counted."""
        steps, size, found = 0, 0, list[str]()

        def count(frame: Any, event: str, argument: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps > STEPS:
                raise Exhausted(f"it is not done after {STEPS:,} steps")
            return count

        before: Callable[..., Any] | None = sys.gettrace()
        sys.settrace(count)
        try:
            for part in self.template.generate(**names):
                size += len(part)
                if size > RENDERED:
                    raise Exhausted(f"its text is longer than {RENDERED:,} characters")
                found.append(part)
        finally:
            sys.settrace(before)
        return found


def as_json(value: Any, indent: int | None = None, **options: Any) -> str:
    """The filter ``tojson`` as chat templates mean it: letters as they are, nothing escaped for HTML."""
    if indent is not None and not 0 <= indent <= 16:
        raise Exhausted(f"it indents JSON by {indent}")
    settings: dict[str, Any] = {"ensure_ascii": False, "indent": indent}
    for name in ("ensure_ascii", "separators", "sort_keys"):
        if name in options:
            settings[name] = options[name]
    return json.dumps(value, **settings)


def refuse(reason: str) -> str:
    """``raise_exception`` of templates."""
    raise jinja2.TemplateError(reason)


def today(form: str) -> str:
    """``strftime_now`` of templates."""
    return datetime.datetime.now().strftime(form)
