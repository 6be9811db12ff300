"""The server as an ASGI application.

Order of a request: who asks (host, origin, token) - is there room (before a byte of the body is read) -
how large - what does it say - run - answer. Errors carry a reason and never a traceback. The protocol
of KServe and Triton (Open Inference Protocol, ``/v2``) stands beside a plain ``/predict``.
"""

import asyncio
import hmac
import importlib.resources
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from fathom.deployment.artifact import Artifact
from fathom.deployment.serve.batcher import Batcher
from fathom.deployment.serve.limits import (
    DATATYPES,
    Limits,
    Refused,
    check_tensor,
    parse_json,
    read_body,
    rows,
)
from fathom.deployment.serve.metrics import Metrics
from fathom.deployment.serve.upload import parts_of
from fathom.errors import InputError
from fathom.task import Arrays

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Answer = tuple[int, str, bytes]  # status, content type, body

STATIC = {"page.css": "text/css", "page.js": "text/javascript"}
POLICY = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"
SAFE = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class App:
    """One artifact behind HTTP. ``hosts`` are the allowed Host headers; ``token`` is asked for unless None."""

    def __init__(
        self, artifact: Artifact, *, hosts: set[str], token: str | None = None, limits: Limits | None = None
    ) -> None:
        self.artifact, self.hosts, self.token = artifact, hosts, token
        self.limits = limits or Limits()
        self.metrics = Metrics(
            {"name": artifact.name, "version": artifact.version, "backend": artifact.backend}
        )
        self.batcher = Batcher(artifact, self.limits, self.metrics)
        self.ready, self.draining = False, False
        model = f"/v2/models/{artifact.name}"
        versioned = f"{model}/versions/{artifact.version}"
        self.routes: dict[tuple[str, str], Callable[[Scope, Receive], Awaitable[Answer]]] = {
            ("GET", "/"): self.page,
            ("GET", "/about"): self.about,
            ("POST", "/predict"): self.predict,
            ("GET", "/metrics"): self.scrape,
            ("GET", "/v2"): self.server_metadata,
            ("GET", "/v2/health/live"): self.live,
            ("GET", "/v2/health/ready"): self.is_ready,
            **{("GET", m): self.model_metadata for m in (model, versioned)},
            **{("GET", f"{m}/ready"): self.is_ready for m in (model, versioned)},
            **{("POST", f"{m}/infer"): self.infer for m in (model, versioned)},
            **{("GET", f"/static/{name}"): self.static for name in STATIC},
        }

    # -- the way in -----------------------------------------------------------------------------
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
                self.batcher.start()
                self.ready = True
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.batcher.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def warm(self) -> None:
        """Answer the task's own examples once, so that the first request is not the slow one."""
        self.artifact.predict(self.artifact.task.examples()[:1])

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        request = uuid.uuid4().hex
        path, headers = scope["path"], {"x-request-id": request}
        try:
            status, kind, body = await self.handle(scope, receive)
        except Refused as refusal:
            status, kind = refusal.status, "application/json"
            body = json.dumps({"error": refusal.reason, "request": request}).encode()
            headers |= refusal.headers
        except InputError as error:
            status, kind = 400, "application/json"
            body = json.dumps({"error": str(error), "request": request}).encode()
        except Exception as error:  # the reason goes to the log under the request's number, not to the client
            import sys
            import traceback

            print(f"request {request}: {type(error).__name__}", file=sys.stderr)
            traceback.print_exc()
            status, kind = 500, "application/json"
            body = json.dumps({"error": "the server failed on this request", "request": request}).encode()
        known = (scope["method"], path) in self.routes
        self.metrics.count(path if known else "other", status)
        if scope["method"] == "POST":
            self.metrics.total_seconds.observe(time.monotonic() - began)
        await respond(send, status, kind, body, headers, head=scope["method"] == "HEAD")

    async def handle(self, scope: Scope, receive: Receive) -> Answer:
        self.check_host(scope)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route = self.routes.get((method, scope["path"]))
        if not scope["path"].startswith("/v2/health/"):  # probes carry no token
            self.check_token(scope, open_page=scope["path"] in ("/", *(f"/static/{n}" for n in STATIC)))
        if route is None:
            allowed = sorted(m for m, p in self.routes if p == scope["path"])
            if allowed:
                raise Refused(
                    405, f"{scope['path']} takes {', '.join(allowed)}", {"allow": ", ".join(allowed)}
                )
            raise Refused(404, "there is nothing here; GET / is the page, POST /predict answers")
        if method != "POST":
            return await route(scope, receive)
        self.check_origin(scope)
        if self.metrics.inside >= self.limits.waiting:  # before the body: refusing must cost nothing
            self.metrics.rejected += 1
            raise Refused(503, "the server is full; try again shortly", {"retry-after": "1"})
        self.metrics.inside += 1
        try:
            return await route(scope, receive)
        finally:
            self.metrics.inside -= 1

    def check_host(self, scope: Scope) -> None:
        """Only the names this server was started under: a page that rebinds DNS to us is turned away."""
        given = [v for n, v in scope["headers"] if n == b"host"]
        if len(given) != 1 or given[0].decode("latin-1").lower() not in self.hosts:
            raise Refused(403, "this Host is not served here")

    def check_origin(self, scope: Scope) -> None:
        """A browser page of another site may not post."""
        for origin in (v.decode("latin-1").lower() for n, v in scope["headers"] if n == b"origin"):
            if origin.partition("://")[2] not in self.hosts:
                raise Refused(403, "requests from pages of another origin are refused")

    def check_token(self, scope: Scope, *, open_page: bool) -> None:
        if self.token is None or open_page:
            return
        given = header(scope, b"authorization")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise Refused(401, "send the header Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})

    async def body(self, scope: Scope, receive: Receive) -> bytes:
        reading = read_body(receive, self.limits, header(scope, b"content-length") or None)
        try:
            return await asyncio.wait_for(reading, self.limits.body_seconds)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {self.limits.body_seconds:.0f} s") from None

    def patience(self, scope: Scope) -> float:
        """Seconds this client will wait: its header, at most the server's own limit."""
        text = header(scope, b"x-timeout-seconds")
        if not text:
            return self.limits.seconds
        try:
            wanted = float(text)
        except ValueError:
            wanted = 0.0
        if not 0 < wanted < float("inf"):
            raise Refused(400, "X-Timeout-Seconds is a positive number")
        return min(wanted, self.limits.seconds)

    # -- answers ------------------------------------------------------------------------------------
    async def predict(self, scope: Scope, receive: Receive) -> Answer:
        """One item, or ``{"items": [...]}``; a picture as the body itself or as a form's file."""
        seconds = self.patience(scope)
        data = await self.body(scope, receive)
        kind = header(scope, b"content-type").split(";")[0].strip().lower()
        many = False
        if kind == "multipart/form-data":
            items = parts_of(data, header(scope, b"content-type"), self.limits)
        elif kind in ("application/json", "text/json"):
            value = parse_json(data, self.limits)
            many = isinstance(value, dict) and set(value) == {"items"} and isinstance(value["items"], list)
            items = value["items"] if many else [value]
        elif kind.startswith("image/") or kind == "application/octet-stream":
            items = [data]
        elif kind.startswith("text/plain"):
            items = [data.decode("utf-8", errors="strict")] if is_text(data) else []
        else:
            raise Refused(415, "send application/json, multipart/form-data, text/plain or an image")
        if not 1 <= len(items) <= self.limits.items:
            raise Refused(400, f"a request has 1 to {self.limits.items} items, not {len(items)}")
        loop = asyncio.get_running_loop()
        decoded = [await loop.run_in_executor(None, self.artifact.decode, item) for item in items]
        answers = await self.batcher.answer(decoded, seconds)
        answers = [{**a, "model": f"{self.artifact.name}/{self.artifact.version}"} for a in answers]
        return as_json({"items": answers} if many else answers[0])

    async def infer(self, scope: Scope, receive: Receive) -> Answer:
        """Open Inference Protocol, JSON form."""
        seconds = self.patience(scope)
        if header(scope, b"inference-header-content-length"):
            raise Refused(400, "binary tensors are not taken here; send them as JSON data")
        value = parse_json(await self.body(scope, receive), self.limits)
        if not isinstance(value, dict) or not isinstance(value.get("inputs"), list):
            raise Refused(400, 'the body is {"inputs": [{"name", "shape", "datatype", "data"}]}')
        arrays = self.tensors(value["inputs"])
        outputs = await self.batcher.run(arrays, seconds)
        made = [
            {"name": p.name, "datatype": DATATYPES[p.dtype], "shape": list(outputs[p.name].shape),
             "data": outputs[p.name].reshape(-1).tolist()}
            for p in self.artifact.task.outputs()
        ]  # fmt: skip
        reply = {"model_name": self.artifact.name, "model_version": self.artifact.version, "outputs": made}
        return as_json(reply | ({"id": value["id"]} if isinstance(value.get("id"), str) else {}))

    def tensors(self, given: list[Any]) -> Arrays:
        ports = {p.name: p for p in self.artifact.task.inputs()}
        arrays: Arrays = {}
        for tensor in given:
            name = tensor.get("name") if isinstance(tensor, dict) else None
            if name not in ports:
                raise Refused(400, f"there is no input {name!r}; this model takes {', '.join(ports)}")
            arrays[name] = check_tensor(
                ports[name], tensor.get("datatype"), tensor.get("shape"), tensor.get("data"), self.limits
            )
        if set(arrays) != set(ports):
            raise Refused(400, f"inputs are missing: {', '.join(sorted(set(ports) - set(arrays)))}")
        joined = self.batcher.joinable
        if joined and (
            len({len(a) for a in arrays.values()}) != 1 or not 1 <= rows(arrays) <= self.limits.items
        ):
            raise Refused(400, f"all inputs have the same batch axis, of 1 to {self.limits.items} rows")
        return arrays

    # -- about --------------------------------------------------------------------------------------
    async def page(self, scope: Scope, receive: Receive) -> Answer:
        from html import escape

        text = read_page("page.html").replace("{{name}}", escape(self.artifact.name))
        return 200, "text/html; charset=utf-8", text.replace("{{widget}}", self.artifact.task.page()).encode()

    async def static(self, scope: Scope, receive: Receive) -> Answer:
        name = scope["path"].rpartition("/")[2]
        return 200, f"{STATIC[name]}; charset=utf-8", read_page(name).encode()

    async def about(self, scope: Scope, receive: Receive) -> Answer:
        shown = ("name", "task", "preprocessing", "inputs", "outputs", "system", "metrics", "digest")
        about = {n: self.artifact.description[n] for n in shown}
        examples = [e for e in self.artifact.task.examples() if not isinstance(e, bytes)]
        return as_json(
            about | {"version": self.artifact.version, "example": examples[0] if examples else None}
        )

    async def scrape(self, scope: Scope, receive: Receive) -> Answer:
        return 200, "text/plain; version=0.0.4; charset=utf-8", self.metrics.text().encode()

    async def server_metadata(self, scope: Scope, receive: Receive) -> Answer:
        from fathom.cli import version

        return as_json({"name": "fathom", "version": version(), "extensions": []})

    async def live(self, scope: Scope, receive: Receive) -> Answer:
        return as_json({"live": True})

    async def is_ready(self, scope: Scope, receive: Receive) -> Answer:
        if not self.ready or self.draining:
            raise Refused(503, "not ready")
        return as_json({"name": self.artifact.name, "ready": True})

    async def model_metadata(self, scope: Scope, receive: Receive) -> Answer:
        def tensors(ports: Any) -> list[dict[str, Any]]:
            return [
                {"name": p.name, "datatype": DATATYPES[p.dtype],
                 "shape": [n if isinstance(n, int) else -1 for n in p.shape]}
                for p in ports
            ]  # fmt: skip

        task = self.artifact.task
        platform = "onnxruntime_onnx" if self.artifact.backend == "onnx" else "pytorch"
        return as_json(
            {"name": self.artifact.name, "versions": [self.artifact.version], "platform": platform,
             "inputs": tensors(task.inputs()), "outputs": tensors(task.outputs())}
        )  # fmt: skip


def header(scope: Scope, name: bytes) -> str:
    """The header ``name``; one that is sent twice is refused."""
    given = [v for n, v in scope["headers"] if n == name]
    if len(given) > 1:
        raise Refused(400, f"the header {name.decode()} was sent more than once")
    return given[0].decode("latin-1") if given else ""


def is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "the text is not UTF-8") from None
    return True


def as_json(value: Any) -> Answer:
    return 200, "application/json", json.dumps(value, allow_nan=False).encode()


def read_page(name: str) -> str:
    return (
        importlib.resources.files("fathom.deployment.serve")
        .joinpath("page", name)
        .read_text(encoding="utf-8")
    )


async def respond(
    send: Send, status: int, kind: str, body: bytes, headers: dict[str, str], *, head: bool = False
) -> None:
    if status == 499:  # nobody is there any more
        return
    listed = {"content-type": kind, "content-length": str(len(body)), **SAFE, **headers}
    encoded = [(n.encode(), v.encode("latin-1")) for n, v in listed.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if head else body})
