"""What every application here does with a request: who asks, is there such a route, and how errors are said.

Order: host, origin and token before anything else, then the route, which admits the body. Errors carry a
reason and never a traceback; that goes to the log under the number that the client is given.
"""

import asyncio
import sys
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fathom.deployment.serve.asgi import SAFE, Answer, Receive, Scope, Send, as_json, respond
from fathom.deployment.serve.gate import Gate
from fathom.deployment.serve.limits import Limits, Refused
from fathom.deployment.serve.metrics import Metrics
from fathom.errors import InputError

HEALTH = ("/v2/health/live", "/v2/health/ready")
LONGEST_REASON = 1000  # characters of an error that are sent back


@dataclass(frozen=True)
class Streamed:
    """An answer that is sent part by part as it is made; its status is 200."""

    kind: str
    parts: AsyncIterator[bytes]


Route = Callable[[Scope, Receive], Awaitable["Answer | Streamed"]]


class Routed:
    """Routes behind a gate. A subclass fills ``routes`` and ``open``, the paths that need no token."""

    def __init__(self, gate: Gate, limits: Limits, metrics: Metrics) -> None:
        self.gate, self.limits, self.metrics = gate, limits, metrics
        self.ready = self.draining = False
        self.routes: dict[tuple[str, str], Route] = {
            ("GET", "/metrics"): self.scrape,
            ("GET", HEALTH[0]): self.live,
            ("GET", HEALTH[1]): self.server_ready,
        }
        self.open: set[str] = set(HEALTH)
        self.hint = "GET / is the page, POST /predict answers"

    def warm(self) -> None:
        """Answer something small, so that the first request is not the slow one."""

    def begin(self) -> None:
        """What has to run before the first request."""

    async def end(self) -> None:
        """What has to stop after the last."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
        elif scope["type"] == "http":
            await self.http(scope, receive, send)
        else:  # websockets have no route here
            await send({"type": "websocket.close", "code": 1008})

    async def lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.get_running_loop().run_in_executor(None, self.warm)
                self.begin()
                self.ready = True
                await send({"type": "lifespan.startup.complete"})
            else:
                self.ready = False
                await self.end()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        request = uuid.uuid4().hex
        method, path = scope["method"], scope["path"]
        further = {"x-request-id": request}
        answer: Answer | Streamed
        try:
            answer = await self.handle(scope, receive)
        except Refused as refusal:
            answer = self.problem(refusal.status, refusal.reason, request)
            further |= refusal.headers
        except InputError as error:
            answer = self.problem(400, str(error), request)
        except Exception:  # the reason goes to the log under the request's number, not to the client
            print(f"request {request} failed", file=sys.stderr)
            traceback.print_exc()
            answer = self.problem(500, "the server failed on this request", request)
        status = 200 if isinstance(answer, Streamed) else answer[0]
        if self.draining and status < 400:  # its client finds another server next time
            further["connection"] = "close"
        known = (method.replace("HEAD", "GET"), path) in self.routes
        self.metrics.count(path if known else "other", status)
        if isinstance(answer, Streamed):
            await stream(send, answer, further)
        elif status != 499:  # nobody is there any more
            await respond(send, answer, further, head=method == "HEAD")
        if method == "POST":
            self.metrics.total_seconds.observe(time.monotonic() - began)

    async def handle(self, scope: Scope, receive: Receive) -> Answer | Streamed:
        path, method = scope["path"], scope["method"].replace("HEAD", "GET")
        self.gate.check_host(scope)
        if path not in self.open:
            self.gate.check_token(scope)
        route = self.routes.get((method, path))
        if route is None:
            allowed = ", ".join(sorted(m for m, p in self.routes if p == path))
            if allowed:
                raise Refused(405, f"{path} takes {allowed}", {"allow": allowed})
            raise Refused(404, f"there is nothing here; {self.hint}")
        if method == "POST":
            self.gate.check_origin(scope)
        return await route(scope, receive)

    def problem(self, status: int, reason: str, request: str) -> Answer:
        """An error in the form of the Open Inference Protocol, with the number under which the log has it."""
        return as_json({"error": shortened(reason), "request": request}, status)

    # -- how it is ---------------------------------------------------------------------------------
    async def scrape(self, scope: Scope, receive: Receive) -> Answer:
        return 200, "text/plain; version=0.0.4; charset=utf-8", self.metrics.text().encode()

    async def live(self, scope: Scope, receive: Receive) -> Answer:
        return as_json({"live": True})

    async def server_ready(self, scope: Scope, receive: Receive) -> Answer:
        if not self.ready or self.draining:
            raise Refused(503, "the server is stopping" if self.draining else "the server is starting")
        return as_json({"ready": True})


def shortened(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ..."


async def stream(send: Send, answer: Streamed, further: dict[str, str]) -> None:
    """Send the parts of ``answer`` as they come."""
    listed = {"content-type": answer.kind, **SAFE, **further}
    encoded: list[Any] = [(name.encode(), value.encode("latin-1")) for name, value in listed.items()]
    await send({"type": "http.response.start", "status": 200, "headers": encoded})
    async for part in answer.parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
