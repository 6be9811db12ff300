"""A trained LeNet to serve, a client that speaks ASGI without a network, and a reader of metrics."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fathom import catalog
from fathom.deployment import artifact
from fathom.deployment.artifact import Artifact
from fathom.deployment.export import export
from fathom.deployment.serve.app import App
from fathom.deployment.serve.gate import Gate
from fathom.deployment.serve.limits import Limits
from fathom.task import Boundary, Task, task_name

HOST = "127.0.0.1:8000"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained artifact."""
    from fathom.training import train

    experiment = catalog.system("lenet").load().tiny()
    learner = experiment.learner()
    train(learner, experiment.source(experiment.data.load()), steps=experiment.steps, seed=experiment.seed)
    place = tmp_path_factory.mktemp("artifact")
    artifact.write(
        place, task=experiment.task, model=learner.model, system="lenet", digest="0123456789abcdef" * 4,
        name="lenet", facts={"metrics": {}},
    )  # fmt: skip
    return place


@pytest.fixture(scope="session")
def lenet(folder: Path) -> Artifact:
    return artifact.open_artifact(folder)


@pytest.fixture(scope="session")
def twin(folder: Path, lenet: Artifact) -> Artifact:
    """The same, run by ONNX Runtime."""
    model = artifact.load_model(folder, artifact.describe(folder))
    assert export(folder, lenet.task, model)["equal"]
    return artifact.open_artifact(folder, "onnx")


def untrained(name: str) -> Artifact:
    """A system of the catalogue as it was born, behind its task."""
    experiment = catalog.system(name).load().tiny()
    return stand_in(experiment.task, Boundary(experiment.task, experiment.learner().model), name)


def stand_in(task: Task, network: Any, name: str = "stand-in") -> Artifact:
    """An artifact that was never on disk, around any network."""
    described = {"name": name, "task": {"name": task_name(task)}, "preprocessing": task.preprocessing(),
                 "system": None, "digest": "f" * 64, "inputs": [], "outputs": []}  # fmt: skip
    return Artifact(task, network, described, "torch")


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Calls an application as a server would. It starts the application, and stops it at the end."""

    def __init__(self, app: App) -> None:
        self.app, self.loop = app, asyncio.new_event_loop()
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.life = self.loop.create_task(
            app({"type": "lifespan"}, self.inbox.get, self.outbox.put)  # type: ignore[arg-type]
        )
        self.lifespan("startup")

    def lifespan(self, phase: str) -> None:
        async def turn() -> None:
            await self.inbox.put({"type": f"lifespan.{phase}"})
            assert await self.outbox.get() == {"type": f"lifespan.{phase}.complete"}

        self.run(turn())

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.lifespan("shutdown")
        self.run(self.life)
        self.loop.close()

    def __call__(self, method: str, path: str, **named: Any) -> Reply:
        return self.run(self.ask(method, path, **named))

    def post(self, value: Any, path: str = "/predict", **named: Any) -> Reply:
        """Post ``value`` as JSON, bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self("POST", path, **{"body": body, "kind": "application/json", **named})

    async def ask(
        self, method: str, path: str, *, body: bytes | Iterable[bytes | float] = b"", kind: str = "",
        headers: Iterable[tuple[str, str]] = (), host: str | None = HOST, leave: asyncio.Event | None = None,
    ) -> Reply:  # fmt: skip
        """One request. A body may come in chunks, with pauses (numbers); ``leave``: when to disconnect."""
        listed = [*([("host", host)] if host else []), *([("content-type", kind)] if kind else []), *headers]
        scope = {
            "type": "http", "method": method, "path": path, "server": ("127.0.0.1", 8000),
            "headers": [(n.lower().encode(), v.encode("latin-1")) for n, v in listed],
        }  # fmt: skip
        chunks = iter([body] if isinstance(body, bytes) else body)
        sent: list[dict[str, Any]] = []
        answered = asyncio.Event()

        async def receive() -> dict[str, Any]:
            for chunk in chunks:
                if isinstance(chunk, bytes):
                    more = not isinstance(body, bytes)
                    return {"type": "http.request", "body": chunk, "more_body": more}
                await asyncio.sleep(chunk)
            if not isinstance(body, bytes) and not getattr(receive, "ended", False):
                receive.ended = True  # type: ignore[attr-defined]
                return {"type": "http.request", "body": b"", "more_body": False}
            await (leave or answered).wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            if message["type"] == "http.response.body":
                answered.set()

        await self.app(scope, receive, send)
        if not sent:
            return Reply(0, {}, b"")
        start, *bodies = sent
        found = {n.decode(): v.decode("latin-1") for n, v in start["headers"]}
        return Reply(start["status"], found, b"".join(m["body"] for m in bodies))


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    """Makes a client of an artifact's application; limits and token as named arguments."""
    clients: list[Client] = []

    def make(served: Artifact, token: str | None = None, **limits: Any) -> Client:
        gate = Gate({HOST, "localhost:8000"}, token)
        clients.append(Client(App(served, gate, Limits(**limits))))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(serve: Callable[..., Client], lenet: Artifact) -> Client:
    return serve(lenet)


def samples(text: str) -> dict[str, float]:
    """The samples of a page in the Prometheus text format, each line of which must be well formed."""
    import re

    label = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*"'
    pattern = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{{{label}(?:,{label})*\}})?) (\S+)")
    found: dict[str, float] = {}
    typed: set[str] = set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert word in ("HELP", "TYPE") and rest
            if word == "TYPE":
                assert rest in ("counter", "gauge", "histogram") and name not in typed
                typed.add(name)
            continue
        match = pattern.fullmatch(line)
        assert match, line
        assert match[1] not in found
        family = re.sub(r"\{.*", "", match[1])
        assert family in typed or re.sub("_(bucket|sum|count)$", "", family) in typed
        found[match[1]] = float(match[2])
    return found


@pytest.fixture(scope="session")
def scraped() -> Callable[[Client], dict[str, float]]:
    """Reads /metrics."""
    return lambda client: samples(client("GET", "/metrics").body.decode())


@pytest.fixture(scope="session")
def around() -> Callable[..., Artifact]:
    """``stand_in``, for test files."""
    return stand_in


@pytest.fixture(scope="session")
def newborn() -> Callable[[str], Artifact]:
    """``untrained``, for test files."""
    return untrained
