"""Figures where no script runs: one picture, drawn by the worker once for each setting."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fathom.errors import RunError
from fathom.learn.engine.draw_svg import svg
from fathom.learn.engine.figure import FigureHead
from fathom.learn.engine.marks import frame_of
from fathom.learn.engine.worker import Worker

FRAMES = 400  # of a run, at most; its last one is shown
KEPT = 64  # pictures


class Stills:
    """Pictures that were drawn, one at a time."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.drawn: dict[str, str] = {}
        self.lock = asyncio.Lock()

    async def draw(self, folder: Path, head: FigureHead, settings: Mapping[str, Any]) -> str:
        """SVG. ``RunError`` where the figure fails."""
        key = json.dumps([str(folder), head.name, settings])
        async with self.lock:
            if key not in self.drawn:
                if len(self.drawn) >= KEPT:
                    self.drawn.pop(next(iter(self.drawn)))
                self.drawn[key] = await asyncio.to_thread(self.run, folder, head.name, dict(settings))
            return self.drawn[key]

    def run(self, folder: Path, name: str, settings: dict[str, Any]) -> str:
        running = self.worker.start("run_figure", folder=str(folder), name=name, settings=settings)
        last, count = None, 0
        try:
            for message in running.messages():
                if message["kind"] != "frame":
                    break
                last, count = message, count + 1
                if count >= FRAMES:
                    break
                running.send({"next": True})
        finally:
            running.stop()
        if last is None:
            raise RunError(f"the figure {name} could not be drawn")
        return svg(frame_of(last))
