"""Figures that run: each on a page has a stage here, and the worker behind it waits until more is asked.

A stage is played by a stream of frames. Whoever ends the stream pauses the figure, whoever begins a new one
goes on where it stood, or anew with other settings. The worker makes a frame when it is asked, never before,
so nothing is queued and nothing thrown away. One that nobody looks at any more gives its process back; should
it be played again after all, its frames are computed again up to where it stood: the same settings give the
same frames.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.learn.engine.confine import Limits
from fathom.learn.engine.marks import frame_of
from fathom.learn.engine.worker import Running, Worker
from fathom.learn.web.picture import picture

LIMITS = Limits(seconds=900.0)  # of one process; figures are ours, and this only ends what was forgotten
PATIENCE = 60.0  # seconds until a stage that nobody plays gives its process back
MOST = 12  # stages with a process at once
FASTEST, SLOWEST = 20.0, 0.5  # frames a second
GLANCE = 0.05
Message = dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """What a page asks of a stage."""

    settings: Mapping[str, Any]
    frames: int = 0  # how many; 0: until the end
    anew: bool = False
    pace: float = FASTEST  # frames a second


class Stage:
    """One figure on one page."""

    def __init__(self, worker: Worker, folder: Path, name: str) -> None:
        self.worker, self.folder, self.name = worker, folder, name
        self.running: Running | None = None
        self.inbox: deque[Message] = deque()
        self.settings: Mapping[str, Any] | None = None
        self.waiting = False  # the worker waits to be told how to go on
        self.shown = 0  # frames of this run
        self.turn = 0  # of the stream that may play
        self.lock = asyncio.Lock()
        self.reading = threading.Lock()  # a stream that was ended may still read for a moment
        self.used = time.monotonic()

    async def play(self, wish: Wish) -> AsyncGenerator[Message, None]:
        """Frames, and "end" when no more will come; an older stream of this stage ends."""
        self.turn += 1
        turn = self.turn
        async with self.lock:
            await self.prepare(wish)
            count = 0
            while turn == self.turn and (not wish.frames or count < wish.frames):
                due = time.monotonic() + 1 / min(max(wish.pace, SLOWEST), FASTEST)
                message = await self.following()
                self.used = time.monotonic()
                yield message
                if message["kind"] == "end":
                    return
                count += 1
                if count != wish.frames:
                    await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def prepare(self, wish: Wish) -> None:
        """Have a worker that is about to make the next frame of the run that is wanted."""
        if wish.anew or wish.settings != self.settings:
            await self.begin(wish.settings)
        elif self.running is None:
            shown = self.shown
            await self.begin(wish.settings)
            while self.shown < shown and (await self.following())["kind"] == "frame":
                pass

    async def begin(self, settings: Mapping[str, Any]) -> None:
        self.settings, self.shown = settings, 0
        if self.running is not None and not self.waiting:  # what an ended stream had asked for
            await self.receive()
        if self.running is None:
            given = {"folder": str(self.folder), "name": self.name, "settings": dict(settings)}
            self.running = await asyncio.to_thread(self.worker.start, "run_figure", LIMITS, **given)
        else:
            self.running.send({"settings": dict(settings)})
        self.waiting = False

    async def following(self) -> Message:
        """The next frame with its picture, or "end"."""
        if self.running is not None and self.waiting:
            self.running.send({"next": True})
            self.waiting = False
        message = await self.receive()
        if message["kind"] != "frame":
            return {"kind": "end", "reason": message.get("reason") or message.get("message", "")}
        self.shown += 1
        html = await asyncio.to_thread(lambda: picture(frame_of(message), self.settings or {}))
        return {"kind": "frame", "html": html, "say": message["say"], "number": self.shown}

    async def receive(self) -> Message:
        """The next message of the worker; one that a stream did not wait for any more is kept."""
        while not self.inbox:
            await asyncio.to_thread(self.pull)
        message = self.inbox.popleft()
        if message["kind"] in ("frame", "finished"):
            self.waiting = True
        else:
            await asyncio.to_thread(self.stop)
        return message

    def pull(self) -> None:
        with self.reading:
            message = self.running.receive(GLANCE) if self.running else {"kind": "end", "reason": ""}
            if message is not None and message["kind"] != "ready":
                self.inbox.append(message)

    def stop(self) -> None:
        """Give the process back; the stage remembers where it stood."""
        with self.reading:
            running, self.running = self.running, None
            self.inbox.clear()
            if running is not None:
                running.stop()


class Stages:
    """All stages of a server, by the name that a page gave them."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.stages: dict[str, Stage] = {}

    def stage(self, key: str, folder: Path, name: str) -> Stage:
        found = self.stages.get(key)
        if found is None or (found.folder, found.name) != (folder, name):
            found = self.stages[key] = Stage(self.worker, folder, name)
        return found

    async def tidy(self, every: float = 5.0) -> None:
        """Stop what nobody plays, until cancelled."""
        while True:
            await asyncio.sleep(every)
            await self.free(time.monotonic())

    async def free(self, now: float) -> None:
        """Stop the stages that are idle for long, and of the others the oldest where they are too many."""
        idle = sorted((s for s in self.stages.values() if not s.lock.locked()), key=lambda s: s.used)
        alive = [stage for stage in idle if stage.running is not None]
        for place, stage in enumerate(alive):
            if now - stage.used > PATIENCE or place < len(alive) - MOST:
                await asyncio.to_thread(stage.stop)
        old = [key for key, stage in self.stages.items() if now - stage.used > 60 * PATIENCE]
        for key in old:
            await asyncio.to_thread(self.stages.pop(key).stop)

    def close(self) -> None:
        """End all streams and processes."""
        for stage in self.stages.values():
            stage.turn += 1
            stage.stop()
