"""``fathom learn``: a server on the loopback, for one person, until Ctrl-C."""

import asyncio
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from fathom.errors import InputError, missing_extra
from fathom.learn.engine.worker import Worker
from fathom.learn.web.gate import START, Gate, Scope, Turned

HOST = "127.0.0.1"  # never anything else: what runs here is the learner's own code
PORT = 8642  # the first choice
HEADERS = {
    "content-security-policy": "; ".join((
        "default-src 'self'", "img-src 'self' data:", "object-src 'none'", "base-uri 'none'",
        "form-action 'self'", "frame-ancestors 'none'",
    )),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # a form names its origin then, and other sites learn nothing
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}  # fmt: skip


def run(home: Path, port: int | None, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. ``started`` is told the address, which lets one browser in.

    ``port`` None takes 8642, or a free one where that is taken. ``InputError`` for one that cannot be used,
    ``MissingExtra`` where Starlette or uvicorn are not installed.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise missing_extra("serve", error.name or "uvicorn") from None
    listener = listen(port)
    gate = Gate(listener.getsockname()[1])
    guarded = Guarded(gate, home, Worker())
    config = uvicorn.Config(
        guarded, log_level="warning", access_log=False, lifespan="on", server_header=False, ws="none",
        proxy_headers=False, timeout_graceful_shutdown=3,
    )  # fmt: skip
    started(f"http://{HOST}:{listener.getsockname()[1]}{START}?token={gate.token}")
    asyncio.run(ending(uvicorn.Server)(config, guarded).serve(sockets=[listener]))


def listen(port: int | None) -> socket.socket:
    """A listening socket on the loopback."""
    for wanted in (PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # on Windows it would share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, wanted))
        except (OSError, OverflowError) as error:
            listener.close()
            if port is not None:
                why = getattr(error, "strerror", None) or error
                raise InputError(f"port {port} cannot be used: {why}; choose another --port, or 0") from None
        else:
            listener.listen(128)
            return listener
    raise InputError("no port is free on this machine")


class Guarded:
    """The application behind its gate; every answer carries the headers of safety."""

    def __init__(self, gate: Gate, home: Path, worker: Worker) -> None:
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException

        from fathom.learn.web import app

        self.gate, self.school = gate, app.School(gate, home, worker)
        handlers: Any = dict.fromkeys((Turned, InputError, HTTPException), app.refused)
        self.app = Starlette(
            routes=self.school.routes(), exception_handlers=handlers, lifespan=self.school.lifespan
        )
        self.app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        async def safely(message: Any) -> None:
            if message["type"] == "http.response.start":
                further = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = message | {"headers": [*message.get("headers", ()), *further]}
            await send(message)

        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self.app(scope, receive, send)
        else:
            try:
                self.gate.check(scope)
            except Turned as turned:
                await (await turn_away(scope, turned))(scope, receive, safely)
            else:
                await self.app(scope, receive, safely)


async def turn_away(scope: Scope, turned: Turned) -> Any:
    from starlette.requests import Request

    from fathom.learn.web.app import refused

    return await refused(Request(scope), turned)


def ending(kind: Any) -> Any:
    """``uvicorn.Server`` that ends the streams when it is told to stop: else it would wait for them."""

    class Ending(kind):
        def __init__(self, config: Any, guarded: Guarded) -> None:
            super().__init__(config)
            self.guarded = guarded

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            for stage in list(self.guarded.school.stages.stages.values()):
                stage.turn += 1
            self.guarded.school.worker.close()  # a milestone may train for minutes
            super().handle_exit(sig, frame)

    return Ending


def show(address: str) -> bool:
    """Open the page in the learner's browser; False where there is no screen to show it on."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    return True
