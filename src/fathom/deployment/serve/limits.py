"""What a server refuses before it works on it: size, shape, type and depth of requests."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.task import Arrays, Port

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Refused(Exception):
    """A request that gets a 4xx or 5xx answer with a reason."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers or {}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one request, and all together, may ask for."""

    body: int = 16 * 2**20  # bytes of a request
    body_seconds: float = 10.0  # time a client may take to send it
    waiting: int = 256  # requests inside at once; the next gets 503
    batch: int = 64  # items run together
    items: int = 256  # items of one request
    elements: int = 20_000_000  # numbers of one tensor
    depth: int = 16  # nesting of JSON
    seconds: float = 30.0  # time one request may take, all in all


async def read_body(receive: Receive, limits: Limits, declared: str | None) -> bytes:
    """The body, counted while it streams in; a declared size is not believed, but refused early when large."""
    if declared is not None:
        if not declared.isdigit():
            raise Refused(400, "Content-Length is not a number")
        if int(declared) > limits.body:
            raise Refused(413, f"the body has {int(declared):,} bytes; at most {limits.body:,} are taken")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(499, "the client went away")
        size += len(message.get("body", b""))
        if size > limits.body:
            raise Refused(413, f"the body is larger than {limits.body:,} bytes")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def parse_json(body: bytes, limits: Limits) -> Any:
    """JSON without NaN, of bounded depth. The depth is checked on the text, before the parser recurses."""
    import json

    depth = deepest = 0
    quoted = escaped = False
    for sign in body:  # bytes: no decoding is needed to see brackets and quotes
        if quoted:
            escaped, quoted = (not escaped and sign == 0x5C), (escaped or sign != 0x22)
        elif sign == 0x22:
            quoted = True
        elif sign in (0x5B, 0x7B):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > limits.depth:
                raise Refused(400, f"the JSON is nested deeper than {limits.depth} levels")
        elif sign in (0x5D, 0x7D):
            depth -= 1
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed; numbers are finite")


def check_tensor(port: Port, datatype: Any, shape: Any, data: Any, limits: Limits) -> np.ndarray:
    """One tensor of an Open Inference Protocol request as the array its port takes."""
    if datatype != DATATYPES[port.dtype]:
        raise Refused(400, f"input {port.name!r} has datatype {datatype!r}; it takes {DATATYPES[port.dtype]}")
    whole = isinstance(shape, list) and all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape
    )
    if not whole or len(shape) != len(port.shape):
        raise Refused(400, f"input {port.name!r} has shape {shape!r}; it takes {list(port.shape)}")
    if any(isinstance(want, int) and want != have for want, have in zip(port.shape, shape, strict=True)):
        raise Refused(400, f"input {port.name!r} has shape {shape}; it takes {list(port.shape)}")
    count = math.prod(shape)
    if count > limits.elements:
        raise Refused(
            413, f"input {port.name!r} has {count:,} numbers; at most {limits.elements:,} are taken"
        )
    try:
        array = np.asarray(data)
    except ValueError:
        raise Refused(400, f"input {port.name!r}: rows of data are not equally long") from None
    if array.dtype.kind not in "uif" or array.size != count:
        raise Refused(400, f"input {port.name!r}: data holds {array.size} values, the shape {count} numbers")
    if not np.isfinite(array).all():
        raise Refused(400, f"input {port.name!r} holds NaN or infinity")
    kind = np.dtype(port.dtype)
    if kind.kind in "ui":
        bounds = np.iinfo(kind)
        if count and (np.mod(array, 1).any() or array.min() < bounds.min or array.max() > bounds.max):
            raise Refused(400, f"input {port.name!r} takes whole numbers from {bounds.min} to {bounds.max}")
    return array.astype(kind).reshape(shape)


DATATYPES = {
    "uint8": "UINT8", "int32": "INT32", "int64": "INT64", "float32": "FP32", "float64": "FP64", "bool": "BOOL",
}  # fmt: skip


def rows(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))
