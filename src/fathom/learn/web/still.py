"""Figures where no script runs: one picture, drawn by the worker once for each setting."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fathom.errors import RunError
from fathom.learn.engine.draw_svg import svg
from fathom.learn.engine.figure import FigureHead
from fathom.learn.engine.still import last_frame
from fathom.learn.engine.worker import Worker

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
                frame = await asyncio.to_thread(last_frame, self.worker, folder, head.name, settings)
                if frame is None:
                    raise RunError(f"the figure {head.name} could not be drawn")
                if len(self.drawn) >= KEPT:
                    self.drawn.pop(next(iter(self.drawn)))
                self.drawn[key] = svg(frame)
            return self.drawn[key]
