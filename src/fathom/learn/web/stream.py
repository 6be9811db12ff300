"""Server-sent events (WHATWG HTML, section 9.2) as the answer to a POST.

A POST, because a browser names its origin then; and open only while a figure runs, because a browser opens
no more than six connections to one place. Whoever closes it ends what makes the events.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import Response

Message = dict[str, Any]


class Stream(Response):
    """An answer that sends messages as they come."""

    def __init__(self, messages: AsyncGenerator[Message, None]) -> None:
        super().__init__()
        self.messages = messages

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        sending, leaving = asyncio.ensure_future(self.send(send)), asyncio.ensure_future(left(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        if not sending.cancelled():
            sending.result()

    async def send(self, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with contextlib.aclosing(self.messages) as messages:
            async for message in messages:
                text = f"event: {message['kind']}\ndata: {json.dumps(message)}\n\n"
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def left(receive: Any) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
