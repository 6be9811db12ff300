"""The small part of ASGI that the application speaks."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fathom.deployment.serve.limits import Refused

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = tuple[int, str, bytes]  # status, content type, body

POLICY = "; ".join((
    "default-src 'self'", "img-src 'self' data: blob:", "object-src 'none'", "base-uri 'none'",
    "form-action 'none'", "frame-ancestors 'none'",
))  # fmt: skip
SAFE = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def headers(scope: Scope, name: bytes) -> list[str]:
    """All values of the header ``name``."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def header(scope: Scope, name: bytes) -> str:
    """The header ``name``, or nothing; one that is sent twice is refused."""
    given = headers(scope, name)
    if len(given) > 1:
        raise Refused(400, f"the header {name.decode()} was sent more than once")
    return given[0] if given else ""


def as_json(value: Any, status: int = 200) -> Answer:
    """``value`` as the body of an answer; numbers that JSON cannot carry are refused."""
    try:
        body = json.dumps(value, allow_nan=False)
    except ValueError:
        reason = "the model answers this with NaN or infinity; the input may lie far from all it has learned"
        raise Refused(422, reason) from None
    return status, "application/json", body.encode()


async def respond(send: Send, answer: Answer, further: dict[str, str], *, head: bool = False) -> None:
    """Send ``answer``; ``head`` leaves the body out."""
    status, kind, body = answer
    listed = {"content-type": kind, "content-length": str(len(body)), **SAFE, **further}
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in listed.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if head else body})
