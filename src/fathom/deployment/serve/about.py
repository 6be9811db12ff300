"""What a server says about itself: the page, its files, and the metadata of server and model."""

import base64
import importlib.metadata
import importlib.resources
import json
from html import escape
from typing import Any

from fathom.deployment.artifact import Artifact
from fathom.deployment.serve.asgi import Answer, Receive, Scope, as_json
from fathom.deployment.serve.tensors import metadata

STATIC = {
    "page.css": "text/css",
    **dict.fromkeys(("page.js", "asking.js", "inputs.js", "outputs.js"), "text/javascript"),
}
PLATFORMS = {"onnx": "onnxruntime_onnx", "torch": "pytorch"}


class About:
    """The routes that read nothing of a request but its path."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact

    async def page(self, scope: Scope, receive: Receive) -> Answer:
        text = read_page("page.html").replace("{{name}}", escape(self.artifact.name))
        return 200, "text/html; charset=utf-8", text.replace("{{widget}}", self.artifact.task.page()).encode()

    async def static(self, scope: Scope, receive: Receive) -> Answer:
        name = scope["path"].rpartition("/")[2]
        return 200, f"{STATIC[name]}; charset=utf-8", read_page(name).encode()

    async def model(self, scope: Scope, receive: Receive) -> Answer:
        """All that a client may want to know of the model, and one item that it answers."""
        shown = ("name", "task", "preprocessing", "inputs", "outputs", "system", "metrics", "digest")
        described = {n: self.artifact.description.get(n) for n in shown}
        example = json.loads(json.dumps(self.artifact.task.examples()[0], default=as_text))
        warmth = self.artifact.temperature
        return as_json({
            **described, "version": self.artifact.version, "example": example,
            "temperature": warmth.value if warmth else None,
        })  # fmt: skip

    async def server_metadata(self, scope: Scope, receive: Receive) -> Answer:
        version = importlib.metadata.version("fathom-dl")
        return as_json({"name": "fathom", "version": version, "extensions": []})

    async def model_metadata(self, scope: Scope, receive: Receive) -> Answer:
        artifact, task = self.artifact, self.artifact.task
        warmth = artifact.temperature
        further = {"parameters": {"temperature": warmth.value}} if warmth else {}
        return as_json({
            "name": artifact.name,
            "versions": [artifact.version],
            "platform": PLATFORMS[artifact.backend],
            "inputs": metadata(task.inputs()),
            "outputs": metadata(task.outputs()),
            **further,
        })  # fmt: skip


def as_text(item: Any) -> str:
    """Bytes inside an example, as a request in JSON carries them."""
    if isinstance(item, bytes):
        return base64.b64encode(item).decode()
    raise TypeError(f"{type(item).__name__} has no form in JSON")


def read_page(name: str) -> str:
    folder = importlib.resources.files("fathom.deployment.serve")
    return folder.joinpath("page", name).read_text(encoding="utf-8")
