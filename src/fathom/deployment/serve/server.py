"""Running the application: which addresses, which token, and how it ends.

SIGTERM: at once not ready, so that a balancer looks elsewhere; still listening for ``drain`` seconds, for
those who have not noticed; then the listener closes, what is inside is answered, and the process ends.
Ctrl-C leaves out the listening on, a second one the answering too.
"""

import asyncio
import math
import secrets
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from fathom.deployment.artifact import Artifact
from fathom.deployment.serve.app import App
from fathom.deployment.serve.gate import Gate
from fathom.deployment.serve.limits import Limits
from fathom.deployment.serve.routing import Routed
from fathom.errors import InputError, missing_extra

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WILDCARDS = ("0.0.0.0", "::")  # listen at every address of the machine
Served = Artifact | Callable[[Gate, Limits | None], Routed]
HEAD_BYTES = 64 * 1024  # of the request line and headers


def hosts_of(host: str, port: int, names: tuple[str, ...] = ()) -> set[str]:
    """The Host headers under which a server at ``host:port`` may be called; ``names`` also without port."""
    near = {"127.0.0.1", "localhost", "[::1]"}
    own = near if host in (*LOOPBACK, *WILDCARDS) else {f"[{host}]" if ":" in host else host}
    further = {name.lower() for name in names}
    every = {name.lower() for name in own} | further
    return {f"{name}:{port}" for name in every} | further | (every if port == 80 else set())


def check_exposure(host: str, token: str | None, insecure: bool) -> str | None:
    """Off the loopback a token is needed; ``auto`` makes one."""
    if token == "auto":
        return secrets.token_urlsafe(32)
    if token is not None and (
        len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token
    ):
        raise InputError("--token is 16 plain characters or more, without spaces; or: --token auto")
    if host not in LOOPBACK and token is None and not insecure:
        raise InputError(
            f"--host {host} is reachable by others: give --token TOKEN (or auto), or --insecure if you must"
        )
    return token


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    if not 0 <= port < 65536:
        raise InputError(f"--port {port}: it lies between 0 and 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off Nagle's algorithm only where the protocol is named: 40 ms an answer otherwise
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, UnicodeError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or "this is no address"
        raise InputError(f"{host}:{port} cannot be used: {why}; choose another --port, or 0") from error
    listener.listen(2048)
    return listener


def build(
    served: Served, *, host: str = "127.0.0.1", port: int = 8000, token: str | None = None,
    insecure: bool = False, names: tuple[str, ...] = (), drain: float = 5.0, grace: float = 25.0,
    limits: Limits | None = None,
) -> "tuple[Any, socket.socket, str, str | None]":  # fmt: skip
    """A warm server, its socket, its address and its token; ``server.serve(sockets=[socket])`` runs it.

    ``served`` is an artifact, or what makes another application of a gate and limits.
    """
    try:
        import python_multipart  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise missing_extra("serve", error.name or "uvicorn") from None
    if not (math.isfinite(drain) and drain >= 0):
        raise InputError(f"--drain {drain}: it is 0 seconds or more")
    token = check_exposure(host, token, insecure)
    listener = open_socket(host, port)
    port = listener.getsockname()[1]
    gate = Gate(hosts_of(host, port, names), token, by_address=host in WILDCARDS)
    app = App(served, gate, limits) if isinstance(served, Artifact) else served(gate, limits)
    try:
        app.warm()
    except BaseException:
        listener.close()
        raise
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="on", server_header=False, proxy_headers=False,
        timeout_keep_alive=math.ceil(app.limits.idle_seconds), timeout_graceful_shutdown=math.ceil(grace),
        h11_max_incomplete_event_size=HEAD_BYTES, ws="none", http=bounded_connection(app.limits),
    )  # fmt: skip
    shown = f"[{host}]" if ":" in host else host
    return draining(uvicorn.Server)(config, app, drain), listener, f"http://{shown}:{port}", token


def run(
    served: Served,
    *,
    started: Callable[[str, str | None], None] = lambda address, token: None,
    **options: Any,
) -> None:
    """Serve until SIGTERM or Ctrl-C; ``options`` are those of ``build``."""
    server, listener, address, token = build(served, **options)
    started(address, token)
    asyncio.run(server.serve(sockets=[listener]))


def draining(kind: Any) -> Any:
    """``uvicorn.Server`` that keeps listening for a while after it was told to stop."""

    class Draining(kind):
        def __init__(self, config: Any, app: Routed, drain: float) -> None:
            super().__init__(config)
            self.app, self.drain, self.stop_at = app, drain, math.inf

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Runs inside a signal handler: it sets values, and ``on_tick`` reads them."""
            if self.should_exit:
                self.force_exit = True
            elif self.app.draining or sig == signal.SIGINT:  # a person at the keyboard does not wait
                self.app.draining = self.should_exit = True
            else:
                self.app.draining, self.stop_at = True, time.monotonic() + self.drain

        async def on_tick(self, counter: int) -> bool:
            if time.monotonic() >= self.stop_at:
                self.should_exit = True
            return await super().on_tick(counter)

    return Draining


def bounded_connection(limits: Limits) -> Any:
    """An HTTP/1.1 connection of uvicorn's, closed when it stands for too long without being inside a request.

    That is: before the first request, between two, while a request's head trickles in, and while a client
    goes on sending a body that was refused.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Bounded(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.watch: asyncio.TimerHandle | None = None
            if len(self.connections) > limits.connections:
                transport.abort()
            self.wait()

        def wait(self) -> None:
            if self.watch:
                self.watch.cancel()
            self.watch = self.loop.call_later(limits.idle_seconds, self.close_if_idle)

        def close_if_idle(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self.wait()

        def connection_lost(self, exc: Exception | None) -> None:
            if self.watch:
                self.watch.cancel()
            super().connection_lost(exc)

    return Bounded
