"""Running the application: which addresses, which token, and how it ends.

SIGTERM: at once not ready, so that a balancer looks elsewhere; still listening for ``drain`` seconds, for
those who have not noticed; then the listener closes, what is inside is answered, and the process ends.
"""

import asyncio
import secrets
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

from fathom.deployment.artifact import Artifact
from fathom.deployment.serve.app import App
from fathom.deployment.serve.limits import Limits
from fathom.errors import InputError, missing_extra

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def hosts_of(host: str, port: int) -> set[str]:
    """The Host headers under which a server at ``host:port`` may be called."""
    names = {"127.0.0.1", "localhost", "[::1]"} if host in LOOPBACK else {host}
    return {f"{name}:{port}" for name in names} | (names if port == 80 else set())


def check_exposure(host: str, token: str | None, insecure: bool) -> str | None:
    """Off the loopback a token is needed; ``auto`` makes one."""
    if token == "auto":
        return secrets.token_urlsafe(32)
    if token is not None and len(token) < 16:
        raise InputError(
            "--token is too short to protect anything; give 16 characters or more, or: --token auto"
        )
    if host not in LOOPBACK and token is None and not insecure:
        raise InputError(
            f"--host {host} is reachable by others: give --token TOKEN (or auto), or --insecure if you must"
        )
    return token


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"{host}:{port} cannot be used: {error.strerror}; choose another --port, or 0"
        ) from error
    listener.listen(2048)
    return listener


def run(
    artifact: Artifact,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    insecure: bool = False,
    names: tuple[str, ...] = (),
    drain: float = 5.0,
    grace: float = 25.0,
    limits: Limits | None = None,
    started: Callable[[str, str | None], None] = lambda address, token: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C. ``names`` are further Host headers (behind a proxy)."""
    try:
        import uvicorn
    except ImportError:
        raise missing_extra("serve", "uvicorn") from None
    token = check_exposure(host, token, insecure)
    listener = open_socket(host, port)
    port = listener.getsockname()[1]
    app = App(artifact, hosts=hosts_of(host, port) | {n.lower() for n in names}, token=token, limits=limits)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="on", server_header=False, proxy_headers=False,
        timeout_keep_alive=10, timeout_graceful_shutdown=int(grace), h11_max_incomplete_event_size=64 * 1024,
        ws="none", http="h11",
    )  # fmt: skip
    server = draining(uvicorn.Server)(config, app, drain)
    shown = f"[{host}]" if ":" in host else host
    started(f"http://{shown}:{port}", token)
    asyncio.run(server.serve(sockets=[listener]))


def draining(kind: Any) -> Any:
    """``uvicorn.Server`` that keeps listening for a while after it was told to stop."""

    class Draining(kind):
        def __init__(self, config: Any, app: App, drain: float) -> None:
            super().__init__(config)
            self.app, self.drain = app, drain

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if self.app.draining or sig == signal.SIGINT:  # a person at the keyboard does not wait
                self.should_exit = True
                return
            self.app.draining = True
            asyncio.get_event_loop().call_later(self.drain, self._stop)

        def _stop(self) -> None:
            self.should_exit = True

    return Draining
