"""Room for requests: how many are inside, how many bytes they hold, and how long each may take."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from fathom.deployment.serve.asgi import Answer, Receive, Scope, header
from fathom.deployment.serve.limits import Limits, Refused, read_body
from fathom.deployment.serve.metrics import Metrics


class Admission:
    """Lets requests in while there is room, reads their bodies, and ends them when their time is up."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits, self.metrics = limits, metrics
        self.held = 0  # bytes of all bodies inside

    async def serve(
        self, scope: Scope, receive: Receive, work: Callable[[bytes], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        """Read the body and do ``work`` on it, while the client is there and within its time."""
        with self.place(), self.holding() as grow:
            seconds = self.patience(scope)
            until = time.monotonic() + seconds
            data = await self.body(scope, receive, seconds, grow)
            task = asyncio.ensure_future(work(data))
            gone = asyncio.ensure_future(disconnected(receive))
            try:
                left = max(0.0, until - time.monotonic())
                await asyncio.wait({task, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    return task.result()
                if gone.done():
                    raise Refused(499, "the client went away")
                raise Refused(504, f"no answer within {seconds:g} s")
            finally:  # cancelled work leaves the queue
                task.cancel()
                gone.cancel()

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places inside. It is asked for before the body is read: refusing must cost nothing."""
        if self.metrics.inside >= self.limits.waiting:
            raise self.full()
        self.metrics.inside += 1
        try:
            yield
        finally:
            self.metrics.inside -= 1

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Counts the bytes of one body as they come; refuses what is too much for all bodies together."""
        own = 0

        def grow(size: int) -> None:
            nonlocal own
            if self.held + size > self.limits.bodies:
                raise self.full()
            own, self.held = own + size, self.held + size

        try:
            yield grow
        finally:
            self.held -= own

    def full(self) -> Refused:
        self.metrics.rejected += 1
        return Refused(503, "the server is full; try again shortly", {"retry-after": "1"})

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

    async def body(
        self, scope: Scope, receive: Receive, seconds: float, grow: Callable[[int], None]
    ) -> bytes:
        allowed = min(self.limits.body_seconds, seconds)
        reading = read_body(receive, self.limits, header(scope, b"content-length"), grow)
        try:
            return await asyncio.wait_for(reading, allowed)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {allowed:g} s") from None


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone; the body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)
