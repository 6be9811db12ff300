"""The server as an ASGI application.

Order of a request: who asks (host, origin, token) - is there room (before a byte of the body is read) -
how large - what does it say - run - answer. Errors carry a reason and never a traceback. The protocol
of KServe and Triton (Open Inference Protocol, ``/v2``) stands beside a plain ``/predict``.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fathom.deployment.artifact import Artifact
from fathom.deployment.serve import tensors
from fathom.deployment.serve.about import STATIC, About
from fathom.deployment.serve.admission import Admission
from fathom.deployment.serve.asgi import Answer, Receive, Scope, as_json, header
from fathom.deployment.serve.batcher import Batcher
from fathom.deployment.serve.gate import Gate
from fathom.deployment.serve.limits import Limits, Refused, parse_json
from fathom.deployment.serve.metrics import Metrics
from fathom.deployment.serve.routing import Routed
from fathom.deployment.serve.upload import Body
from fathom.errors import InputError
from fathom.task import Arrays, Port

DECODERS = 2  # pictures unpacked at once: each may take a few hundred megabytes
LEAN = 16_384  # bytes of a body that are read on the spot; longer ones go to a thread, as pictures do


class App(Routed):
    """One artifact behind HTTP. ``gate`` decides who may ask."""

    def __init__(self, artifact: Artifact, gate: Gate, limits: Limits | None = None) -> None:
        named = {"name": artifact.name, "version": artifact.version, "backend": artifact.backend}
        super().__init__(gate, limits or Limits(), Metrics(named))
        self.artifact = artifact
        self.admission = Admission(self.limits, self.metrics)
        self.batcher = Batcher(artifact, self.limits, self.metrics)
        self.reader = tensors.Reader(artifact.task, self.limits, joinable=self.batcher.joinable)
        self.bodies = Body(artifact.description["preprocessing"], self.limits)
        self.pictures = any(o["operation"] == "image" for o in artifact.description["preprocessing"])
        self.decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self.warmed = False
        model = f"/v2/models/{artifact.name}"
        both = (model, f"{model}/versions/{artifact.version}")
        about = About(artifact)
        self.routes |= {
            ("GET", "/"): about.page,
            ("GET", "/about"): about.model,
            ("POST", "/predict"): self.predict,
            ("GET", "/v2"): about.server_metadata,
            **{("GET", m): about.model_metadata for m in both},
            **{("GET", f"{m}/ready"): self.model_ready for m in both},
            **{("POST", f"{m}/infer"): self.infer for m in both},
            **{("GET", f"/static/{name}"): about.static for name in STATIC},
        }
        # a probe has no token, nor has the browser that opens the page: its script sends it
        self.open |= {"/", *(f"/static/{name}" for name in STATIC)}

    def warm(self) -> None:
        """Answer one of the task's own examples, so that the first request is not the slow one."""
        if not self.warmed:
            self.artifact.predict(self.artifact.task.examples()[:1])
            self.warmed = True

    def begin(self) -> None:
        self.batcher.start()

    async def end(self) -> None:
        await self.batcher.stop(self.limits.seconds)
        self.decoders.shutdown(wait=False, cancel_futures=True)

    # -- answers ------------------------------------------------------------------------------------
    async def read(self, reader: Callable[..., Any], data: bytes, *given: Any, lean: bool) -> Any:
        """``reader(data, *given, stopped)``: on the spot where that is quick, beside the loop otherwise."""
        stopped = threading.Event()
        if lean and len(data) <= LEAN:
            return reader(data, *given, stopped)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.decoders, reader, data, *given, stopped)
        finally:  # nobody waits any more
            stopped.set()

    async def predict(self, scope: Scope, receive: Receive) -> Answer:
        """One item, or ``{"items": [...]}``; a picture as the body itself or as a form's file."""
        kind = header(scope, b"content-type")

        async def work(data: bytes) -> Answer:
            decoded, many = await self.read(self.decoded, data, kind, lean=not self.pictures)
            answers = await self.batcher.answer(decoded)
            model = f"{self.artifact.name}/{self.artifact.version}"
            signed = [{**answer, "model": model} for answer in answers]
            return as_json({"items": signed} if many else signed[0])

        return await self.admission.serve(scope, receive, work)

    def decoded(self, data: bytes, kind: str, stopped: threading.Event) -> tuple[list[Arrays], bool]:
        """The items of a body as arrays, and whether a list of answers is wanted.

        Between two items it looks whether it was ``stopped``: a small body may hold many large pictures.
        """
        items, many = self.bodies.items(data, kind)
        if not 1 <= len(items) <= self.limits.items:
            raise Refused(400, f"a request has 1 to {self.limits.items} items, not {len(items)}")
        arrays: list[Arrays] = []
        for number, item in enumerate(items):
            if stopped.is_set():
                raise Refused(504, "nobody waits for the answer")
            try:
                arrays.append(self.artifact.decode(item))
            except InputError as error:
                raise InputError(f"item {number}: {error}" if many else str(error)) from error
        return arrays, many

    async def infer(self, scope: Scope, receive: Receive) -> Answer:
        """Open Inference Protocol, JSON form."""
        if header(scope, b"inference-header-content-length"):
            raise Refused(400, "binary tensors are not taken here; send them as JSON data")

        async def work(data: bytes) -> Answer:
            arrays, ports, given = await self.read(self.tensors, data, lean=True)
            outputs = tensors.written(await self.batcher.run(arrays), ports)
            model = {"model_name": self.artifact.name, "model_version": self.artifact.version}
            return as_json({**model, **given, "outputs": outputs})

        return await self.admission.serve(scope, receive, work)

    def tensors(
        self, data: bytes, stopped: threading.Event
    ) -> tuple[Arrays, tuple[Port, ...], dict[str, str]]:
        """Input arrays, the outputs that are wanted, and the client's own name for the request."""
        value = parse_json(data, self.limits)
        arrays = self.reader.read(value)
        ports = tensors.chosen_outputs(value, self.artifact.task.outputs())
        return arrays, ports, {"id": value["id"]} if isinstance(value.get("id"), str) else {}

    async def model_ready(self, scope: Scope, receive: Receive) -> Answer:
        await self.server_ready(scope, receive)
        return as_json({"name": self.artifact.name, "ready": True})
