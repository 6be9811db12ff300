"""What a server refuses before it works on it: size, slowness, depth and numbers of requests."""

import json
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


class Refused(Exception):
    """A request that gets a 4xx or 5xx answer with a reason."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers or {}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one request, and all together, may ask for."""

    body: int = 16 * 2**20  # bytes of a request
    bodies: int = 256 * 2**20  # bytes of all requests inside; what would be more gets 503
    body_seconds: float = 10.0  # time a client may take to send it
    idle_seconds: float = 10.0  # time a connection may stand without a whole request head
    connections: int = 900  # open at once, below the usual 1,024 open files; the next is closed
    waiting: int = 256  # requests inside at once; the next gets 503
    batch: int = 64  # items run together
    items: int = 256  # items of one request
    elements: int = 20_000_000  # numbers that go into the network together
    depth: int = 16  # nesting of JSON
    seconds: float = 30.0  # time one request may take, all in all


async def read_body(
    receive: Callable[[], Awaitable[dict[str, Any]]],
    limits: Limits,
    declared: str,
    grow: Callable[[int], None],
) -> bytes:
    """The body, counted while it streams in; a declared size is refused early when large, never believed.

    ``grow`` is told of each part and may refuse it.
    """
    if declared:
        if not re.fullmatch("[0-9]{1,18}", declared):
            raise Refused(400, "Content-Length is not a number")
        if int(declared) > limits.body:
            raise Refused(413, f"the body has {int(declared):,} bytes; at most {limits.body:,} are taken")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(499, "the client went away")
        part = message.get("body", b"")
        size += len(part)
        grow(len(part))
        if size > limits.body:
            raise Refused(413, f"the body is larger than {limits.body:,} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


QUOTED = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # possessive: never looks back
PLAIN = bytes.maketrans(b"123456789E", b"000000000e")
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
STEP = np.zeros(256, dtype=np.int8)  # how a sign changes the depth
STEP[list(b"[{")], STEP[list(b"]}")] = 1, -1


def depth_of(bare: bytes) -> int:
    """How deeply lists and objects are nested in JSON whose texts were taken out."""
    brackets = np.frombuffer(bare.translate(None, NO_BRACKETS), dtype=np.uint8)
    depth = deepest = 0
    for first in range(0, len(brackets), 2**20):
        part = np.cumsum(STEP[brackets[first : first + 2**20]], dtype=np.int32)
        depth, deepest = depth + int(part[-1]), max(deepest, depth + int(part.max()))
    return deepest


def parse_json(body: bytes, limits: Limits) -> Any:
    """JSON in UTF-8 without NaN and infinity, of bounded depth.

    The depth is counted on the text before the parser, which recurses, sees it; a number such as 1e400,
    which the parser would read as infinity, is looked for there as well.
    """
    bare = QUOTED.sub(b"", body) if b'"' in body else body
    if depth_of(bare) > limits.depth:
        raise Refused(400, f"the JSON is nested deeper than {limits.depth} levels")
    plain = bare.translate(PLAIN)
    extreme = any(mark in plain for mark in (b"e000", b"e+000", b"0" * 300))  # may be beyond all floats
    finite: dict[str, Any] = {}
    if extreme:
        finite = {"parse_float": _finite, "parse_int": _moderate}
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant, **finite)
    except UnicodeDecodeError:
        raise Refused(400, "the body is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed; numbers are finite")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is too large for a number")
    return number


def _moderate(text: str) -> int:
    _finite(text)
    return int(text)
