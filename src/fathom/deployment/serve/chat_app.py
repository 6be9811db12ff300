"""A model that talks, behind the protocol that OpenAI's clients speak: ``/v1/chat/completions``.

Answers come whole, or as server-sent events while they are written. One answer is written at a time, since
each uses all cores; others wait their turn. A client that goes away stops its answer. What is not carried out
here (tools, several answers, penalties, probabilities) is refused, not ignored.
"""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from fathom.deployment.chat.talker import Manner, Piece, Talker
from fathom.deployment.serve.admission import Admission, disconnected
from fathom.deployment.serve.asgi import Answer, Receive, Scope, as_json
from fathom.deployment.serve.gate import Gate
from fathom.deployment.serve.limits import Limits, Refused, parse_json
from fathom.deployment.serve.metrics import Metrics
from fathom.deployment.serve.routing import Routed, Streamed, shortened
from fathom.errors import InputError, RunError
from fathom.fundamentals.decoding.token_sampling import Sampling

USUAL = 1024  # tokens of an answer, where a request does not say how many it may have
CHAT = Limits(seconds=600.0, waiting=32, body=4 * 2**20)
KNOWN = (
    "model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k",
    "min_p", "repetition_penalty", "seed", "stop", "stream", "stream_options", "user", "metadata", "store",
)  # fmt: skip
NEUTRAL = {  # fields whose usual value changes nothing; another is refused
    "n": (1,), "frequency_penalty": (0,), "presence_penalty": (0,), "logprobs": (False,), "tools": ([],),
    "tool_choice": ("none", "auto"), "response_format": ({"type": "text"},), "logit_bias": ({},),
    "best_of": (1,), "echo": (False,), "suffix": ("",), "parallel_tool_calls": (True, False),
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a request asks for, read and checked."""

    begun: list[int]
    manner: Manner
    stream: bool
    usage: bool  # a last event that counts tokens
    chat: bool  # a conversation; else a text that is gone on with


class ChatApp(Routed):
    """One talker behind HTTP."""

    def __init__(self, talker: Talker, gate: Gate, limits: Limits | None = None) -> None:
        named = {"name": talker.name, "version": "1", "backend": "torch"}
        super().__init__(gate, limits or CHAT, Metrics(named))
        self.talker = talker
        self.admission = Admission(self.limits, self.metrics)
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self.hint = "POST /v1/chat/completions answers, GET /v1/models names the model"
        self.created = int(time.time())
        self.routes |= {
            ("GET", "/v1/models"): self.models,
            ("GET", f"/v1/models/{talker.name}"): self.model,
            ("POST", "/v1/chat/completions"): self.chat,
            ("POST", "/v1/completions"): self.complete,
        }

    def warm(self) -> None:
        begun = self.talker.begun("a")
        for _ in self.talker.answer(begun, Manner(length=1, sampling=Sampling(temperature=0))):
            pass

    async def end(self) -> None:
        self.writer.shutdown(wait=False, cancel_futures=True)

    def problem(self, status: int, reason: str, request: str) -> Answer:
        """An error in the form that these clients read."""
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return as_json(
            {"error": {"message": shortened(reason), "type": kind, "param": None, "code": None}}, status
        )

    # -- models -------------------------------------------------------------------------------------
    def described(self) -> dict[str, Any]:
        return {"id": self.talker.name, "object": "model", "created": self.created, "owned_by": "fathom"}

    async def models(self, scope: Scope, receive: Receive) -> Answer:
        return as_json({"object": "list", "data": [self.described()]})

    async def model(self, scope: Scope, receive: Receive) -> Answer:
        return as_json(self.described())

    # -- answers ------------------------------------------------------------------------------------
    async def chat(self, scope: Scope, receive: Receive) -> Answer | Streamed:
        return await self.write(scope, receive, chat=True)

    async def complete(self, scope: Scope, receive: Receive) -> Answer | Streamed:
        return await self.write(scope, receive, chat=False)

    async def write(self, scope: Scope, receive: Receive, *, chat: bool) -> Answer | Streamed:
        """Read what is asked; then the whole answer, or the beginning of a stream that goes on."""
        inside = ExitStack()
        try:
            inside.enter_context(self.admission.place())
            grow = inside.enter_context(self.admission.holding())
            seconds = self.admission.patience(scope)
            data = await self.admission.body(scope, receive, seconds, grow)
            loop = asyncio.get_running_loop()
            asked = await loop.run_in_executor(None, self.read, data, chat)
            pieces = self.pieces(asked, receive, time.monotonic() + seconds)
            if not asked.stream:
                return self.whole(asked, [piece async for piece in pieces])
            first = await anext(pieces)  # what fails at once fails with a status
            return Streamed("text/event-stream", self.events(asked, first, pieces, inside.pop_all()))
        finally:
            inside.close()

    def read(self, data: bytes, chat: bool) -> Asked:
        """The request of a body. Raises ``InputError`` and ``Refused``."""
        given = parse_json(data, self.limits)
        if not isinstance(given, dict):
            raise InputError("the body is a JSON object")
        refuse_unknown(given, self.talker.name)
        streams = given.get("stream") or False
        options = given.get("stream_options") or {}
        if not isinstance(streams, bool) or not isinstance(options, Mapping):
            raise InputError("stream is true or false, stream_options an object")
        if chat:
            messages = given.get("messages")
            if not isinstance(messages, list):
                raise InputError("messages is missing; it is a list of objects with a role and a content")
            begun = self.talker.encode(messages)
        else:
            if not isinstance(given.get("prompt"), str):
                raise InputError("prompt is missing; it is a text")
            begun = self.talker.begun(given["prompt"])
        return Asked(begun, manner(given, chat), streams, options.get("include_usage") is True, chat)

    async def pieces(self, asked: Asked, receive: Receive, until: float) -> AsyncIterator[Piece]:
        """The answer from the writer's thread; it is stopped when time is up or the client has gone."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[Piece | Exception | None]()
        over = threading.Event()

        def work() -> None:
            def tell(what: Piece | Exception | None) -> None:
                loop.call_soon_threadsafe(queue.put_nowait, what)

            try:
                for piece in until_over(self.talker.answer(asked.begun, asked.manner), over):
                    tell(piece)
                tell(None)
            except Exception as error:
                tell(error)

        task = loop.run_in_executor(self.writer, work)
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            while True:
                waiting = asyncio.ensure_future(queue.get())
                left = max(0.0, until - time.monotonic())
                await asyncio.wait({waiting, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    raise (
                        Refused(499, "the client went away")
                        if gone.done()
                        else Refused(504, f"no answer within {self.limits.seconds:g} s")
                    )
                what = waiting.result()
                if what is None:
                    return
                if isinstance(what, RunError):
                    raise Refused(500, str(what))
                if isinstance(what, Exception):
                    raise what
                yield what
        finally:
            over.set()
            task.cancel()
            gone.cancel()

    def whole(self, asked: Asked, pieces: list[Piece]) -> Answer:
        text, last = "".join(piece.text for piece in pieces), pieces[-1]
        said = {"message": {"role": "assistant", "content": text}} if asked.chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": last.reason}
        kind = "chat.completion" if asked.chat else "text_completion"
        return as_json({**self.head(kind), "choices": [choice], "usage": usage(asked, last)})

    def head(self, kind: str) -> dict[str, Any]:
        prefix = "chatcmpl" if kind.startswith("chat") else "cmpl"
        return {
            "id": f"{prefix}-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()),
            "model": self.talker.name,
        }  # fmt: skip

    async def events(
        self, asked: Asked, first: Piece, pieces: AsyncIterator[Piece], inside: ExitStack
    ) -> AsyncIterator[bytes]:
        """Server-sent events: a chunk for each piece, what was used where that is wished, and the end."""
        head = self.head("chat.completion.chunk" if asked.chat else "text_completion")
        with inside:
            if asked.chat:
                yield event(
                    {**head, "choices": [chunk({"delta": {"role": "assistant", "content": ""}}, None)]}
                )
            piece: Piece | None = first
            last = first
            while piece is not None:
                said = {"delta": {"content": piece.text} if piece.text else {}}
                choice = chunk(said if asked.chat else {"text": piece.text}, piece.reason)
                yield event({**head, "choices": [choice]})
                last = piece
                try:
                    piece = await anext(pieces, None)
                except Refused as refusal:  # the status has been sent: the reason goes as an event
                    if refusal.status != 499:
                        yield event({"error": {"message": refusal.reason, "type": "server_error"}})
                    return
            if asked.usage:
                yield event({**head, "choices": [], "usage": usage(asked, last)})
            yield b"data: [DONE]\n\n"


def until_over(pieces: Iterator[Piece], over: threading.Event) -> Iterator[Piece]:
    """``pieces``, until nobody waits for them any more."""
    if over.is_set():
        return
    for piece in pieces:
        yield piece
        if over.is_set():
            return


def refuse_unknown(given: Mapping[str, Any], name: str) -> None:
    """Raise ``InputError`` for what would be ignored: another model, and fields that are not carried out."""
    if given.get("model") not in (None, name):
        raise Refused(404, f"there is no model {given['model']!r} here; it is {name!r}")
    for field, value in given.items():
        if field in NEUTRAL:
            if value is not None and value not in NEUTRAL[field]:
                raise InputError(f"{field} is not carried out here; leave it out")
        elif field not in KNOWN:
            raise InputError(f"{field[:40]!r} is not known here; known: {', '.join(KNOWN)}")


def manner(given: Mapping[str, Any], chat: bool) -> Manner:
    """How the answer is to be written. Raises ``InputError`` with the field that is wrong."""

    def number(field: str, usual: Any, low: float | int, high: float | int, kind: type) -> Any:
        value = given.get(field)
        if value is None:
            return usual
        allowed = (int, float) if kind is float else (int,)
        if isinstance(value, bool) or not isinstance(value, allowed) or not low <= value <= high:
            raise InputError(f"{field} is {value!r:.40}; it must be a number from {low:g} to {high:g}")
        return kind(value)

    stop = given.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise InputError("stop is a text or a list of texts")
    length = number("max_tokens", None, 1, 1e6, int) or number("max_completion_tokens", None, 1, 1e6, int)
    sampling = Sampling(
        temperature=number("temperature", 1.0, 0, 2, float),
        top_k=number("top_k", 0, 0, 1e6, int) or None,
        nucleus=number("top_p", 1.0, 1e-6, 1, float),
        min_p=number("min_p", 0.0, 0, 1, float) or None,
        repetition_penalty=number("repetition_penalty", 1.0, 0.1, 10, float),
    )
    seed = number("seed", None, -(2**63), 2**63 - 1, int)
    return Manner(
        length=length or (USUAL if chat else 16),  # of a text sixteen tokens, as those clients expect
        sampling=sampling,
        seed=secrets.randbits(63) if seed is None else seed,
        stop=tuple(stops),
    )


def chunk(said: Mapping[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": 0, **said, "logprobs": None, "finish_reason": reason}


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, allow_nan=False).encode() + b"\n\n"


def usage(asked: Asked, last: Piece) -> dict[str, int]:
    read, written = len(asked.begun), last.tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
