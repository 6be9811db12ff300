"""Asks the application of the pages, without a network; the tests of several files do."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fathom.learn.engine.worker import Worker
from fathom.learn.web.gate import Gate
from fathom.learn.web.server import Guarded

PORT = 8642
HOST = f"127.0.0.1:{PORT}"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


class Browser:
    """A browser that was let in, in front of a server of its own."""

    def __init__(self, home: Path, worker: Worker | None = None) -> None:
        self.gate = Gate(PORT)
        self.app = Guarded(self.gate, home, worker or Worker())
        self.headers = {
            "host": HOST,
            "origin": f"http://{HOST}",
            "cookie": f"{self.gate.cookie}={self.gate.session}",
        }

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.ask("GET", path, headers)

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str | None) -> Answer:
        return self.ask("POST", path, headers, urlencode(fields or {}).encode())

    def ask(
        self, method: str, path: str, headers: Mapping[str, str | None] | None = None, body: bytes = b""
    ) -> Answer:
        """One request; a header that is None is left out."""
        return asyncio.run(self.asked(method, path, headers or {}, body))

    async def asked(self, method: str, path: str, headers: Mapping[str, str | None], body: bytes) -> Answer:
        given = {**self.headers} | {name.replace("_", "-"): value for name, value in headers.items()}
        place, _, query = path.partition("#")[0].partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "path": place, "raw_path": place.encode(), "query_string": query.encode(), "root_path": "",
            "scheme": "http",
            "headers": [(n.encode(), v.encode("latin-1")) for n, v in given.items() if v is not None],
            "server": ("127.0.0.1", PORT), "client": ("127.0.0.1", 50000), "app": None,
        }  # fmt: skip
        sent: list[dict[str, Any]] = []
        told = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if told:
                return told.pop()
            await asyncio.Event().wait()  # the client stays
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, *parts = sent
        found = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], found, b"".join(part.get("body", b"") for part in parts).decode())
