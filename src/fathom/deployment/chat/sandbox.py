"""Jinja's sandbox with the bounds of a chat template around every operation, filter, test and call.

Jinja computes slices, lists, comparisons and ``~`` without asking its environment, and what is constant
while it compiles. Here the first go through ``bounds`` too, and nothing is computed early. What a template
may use is listed: what is not in a list, it may not.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jinja2
import markupsafe
from jinja2 import nodes, pass_context, pass_environment
from jinja2.ext import Extension
from jinja2.filters import do_round, do_unique, make_attrgetter
from jinja2.parser import Parser
from jinja2.runtime import BlockReference, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from fathom.deployment.chat import bounds
from fathom.deployment.chat.bounds import (
    BUDGET,
    KEYS,
    LARGEST,
    METHODS,
    SOUGHT,
    Exhausted,
    joined,
    kept,
    text_of,
)

FILTERS = (
    "abs", "count", "d", "default", "dictsort", "first", "float", "groupby", "int", "items", "last", "length",
    "list", "map", "max", "min", "reject", "rejectattr", "reverse", "select", "selectattr", "sort",
)  # fmt: skip
OF_TEXTS = ("capitalize", "lower", "title", "upper")  # these make a text of what they are given
TESTS = (
    "!=", "<", "<=", "==", ">", ">=", "boolean", "callable", "defined", "divisibleby", "eq", "equalto",
    "even", "false", "filter", "float", "ge", "greaterthan", "gt", "in", "integer", "iterable", "le",
    "lessthan", "lt", "mapping", "ne", "none", "number", "odd", "sameas", "sequence", "string", "test",
    "true", "undefined",
)  # fmt: skip
OF_LOOPS = (
    "index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "previtem",
    "nextitem", "cycle", "changed",
)  # fmt: skip
SCOPE = ("_loop_vars", "_block_vars")  # what Jinja hands along with a call
OF_MACROS = ("name", "arguments", "catch_kwargs", "catch_varargs", "caller")


class Bounded(ImmutableSandboxedEnvironment):
    """The sandbox of a chat template. ``extra`` are functions that it may call by name."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, **extra: Callable[..., Any]) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, optimized=False, finalize=written,
            extensions=[Generation, "jinja2.ext.loopcontrols"],
        )  # fmt: skip
        theirs = {name: self.filters[name] for name in FILTERS}
        theirs |= {name: of_text(self.filters[name]) for name in OF_TEXTS}
        self.filters = {name: guarded(function) for name, function in (theirs | OWN).items()}
        tests = {name: self.tests[name] for name in TESTS}
        tests |= {name: of_text(self.tests[name]) for name in ("lower", "upper")}
        self.tests = {name: guarded(function) for name, function in tests.items()}
        self.globals = {
            "range": self.globals["range"], "dict": bounds.dictionary, "namespace": bounds.namespace, **extra
        }  # fmt: skip
        self.functions = tuple(self.globals.values())

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
            bounds.bounded(len(left) + len(right))
        return kept(super().call_binop(context, operator, left, right))

    def call(self, context: Any, function: Any, /, *given: Any, **named: Any) -> Any:
        """A call that a template makes: of a method or function in the lists, or of its own macro."""
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if owner is self:  # what Watch put there
            return function(*given)
        if isinstance(owner, tuple(METHODS)):
            plain = {key: value for key, value in named.items() if key not in SCOPE}
            return bounds.called(owner, name, given, plain)
        own = isinstance(function, Macro | LoopContext | BlockReference | Undefined)
        own = own or (isinstance(owner, LoopContext) and name in OF_LOOPS)
        if not own and not any(function is known for known in self.functions):
            raise Exhausted(f"it calls {name or type(function).__name__}, which a template may not")
        return kept(super().call(context, function, *given, **named))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may have an attribute, as opposed to an item, of something."""
        if isinstance(obj, Namespace):
            return not attr.startswith("_")
        kinds = {**METHODS, LoopContext: OF_LOOPS, Macro: OF_MACROS}
        return any(isinstance(obj, kind) and attr in names for kind, names in kinds.items())

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        return self.undefined(
            f"it uses {attribute} of a {type(obj).__name__}, which a template may not",
            name=attribute, obj=obj, exc=jinja2.TemplateRuntimeError,
        )  # fmt: skip

    def wrap_str_format(self, value: Any) -> Any:
        """``format`` of a text as it is: it is in no list."""
        return None

    def _generate(self, source: nodes.Template, *given: Any, **named: Any) -> str:
        return super()._generate(Watch().visit(source), *given, **named)

    concat = staticmethod(lambda parts: joined("", parts))  # what blocks and macros are made of

    # -- what Watch puts into a template --------------------------------------------------------------
    def together(self, *parts: Any) -> str:
        return joined("", parts)

    def made(self, value: Any) -> Any:
        return kept(value)

    def sliced(self, value: Any, *place: Any) -> Any:
        return kept(value[slice(*place)])

    def looked(self, value: Any) -> Any:
        """``value``, after a look at the clock."""
        BUDGET.get().look()
        return value


class Watch(NodeTransformer):
    """Puts calls of the environment where Jinja would compute without it. A template cannot rename these."""

    def ask(self, method: str, parts: list[Any], line: int) -> nodes.Node:
        return nodes.Call(nodes.EnvironmentAttribute(method), parts, [], None, None, lineno=line)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        return self.ask("together", [self.visit(part) for part in node.nodes], node.lineno)

    def visit_List(self, node: nodes.List) -> nodes.Node:
        return self.ask("made", [self.generic_visit(node)], node.lineno)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        inner = self.generic_visit(node)
        return self.ask("made", [inner], node.lineno) if node.ctx == "load" else inner

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        return self.ask("made", [self.generic_visit(node)], node.lineno)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        place = [part or nodes.Const(None) for part in (node.arg.start, node.arg.stop, node.arg.step)]
        return self.ask("sliced", [node.node, *place], node.lineno)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        for operand in node.ops:
            operand.expr = self.ask("looked", [operand.expr], node.lineno)  # pyright: ignore
        return node

    def visit_ScopedEvalContextModifier(self, node: nodes.ScopedEvalContextModifier) -> nodes.Node:
        raise jinja2.TemplateAssertionError("it uses autoescape, which a template may not", node.lineno)


class Generation(Extension):
    """``{% generation %}``: marks, for training, what the model is to say. Rendering leaves it as it is."""

    tags = {"generation"}  # noqa: RUF012 - the attribute that Jinja reads

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


@pass_context
def written(context: Any, value: Any) -> str:
    """What ``{{ value }}`` writes. As it takes the context, Jinja computes nothing before there is one."""
    return text_of(value)


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test within the bounds."""
    wanted = getattr(getattr(function, "jinja_pass_arg", None), "name", None)

    @pass_context
    def run(context: Any, *given: Any, **named: Any) -> Any:
        BUDGET.get().look()
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        return kept(function(*([first[wanted]] if wanted else []), *given, **named))

    return run


def of_text(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of a value's text."""
    return lambda value: function(text_of(value))


def trim(value: Any, letters: str | None = None) -> str:
    if letters is not None and len(letters) > SOUGHT:
        raise Exhausted(f"it trims more than {SOUGHT:,} characters")
    return text_of(value).strip(letters)


@pass_environment
def join(environment: Any, value: Iterable[Any], d: Any = "", attribute: str | int | None = None) -> str:
    parts = value if attribute is None else map(make_attrgetter(environment, attribute), value)
    return joined(text_of(d), parts)


@pass_context
def total(context: Any, value: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    """The filter ``sum``, with each addition looked at."""
    parts = value if attribute is None else map(make_attrgetter(context.environment, attribute), value)
    for part in parts:
        start = context.environment.call_binop(context, "+", start, part)
    return start


def rounded(value: Any, precision: int = 0, method: Any = "common") -> Any:
    """The filter ``round``: a number of many digits would be computed to as many."""
    if not -16 <= precision <= 16:
        raise Exhausted(f"it rounds to {precision} digits")
    return do_round(value, precision, method)


@pass_environment
def unique(environment: Any, value: Any, *given: Any, **named: Any) -> Any:
    if not hasattr(value, "__len__"):
        value = list(value)
    if len(value) > KEYS:
        raise Exhausted(f"it looks for what is unique among more than {KEYS:,}")
    return do_unique(environment, value, *given, **named)


def replace(value: Any, old: Any, new: Any, count: int | None = None) -> str:
    return bounds.replaced(text_of(value), text_of(old), text_of(new), count)


def escape(value: Any) -> str:
    return str(markupsafe.escape(text_of(value)))


OWN: dict[str, Callable[..., Any]] = {
    "e": escape, "escape": escape, "join": join, "replace": replace, "round": rounded, "safe": text_of,
    "string": text_of, "sum": total, "tojson": bounds.as_json, "trim": trim, "unique": unique,
}  # fmt: skip
