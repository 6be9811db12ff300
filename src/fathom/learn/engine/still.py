"""The last frame of a figure: what is shown where nothing can move, in a terminal or without a script."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.learn.engine.marks import Frame, frame_of

if TYPE_CHECKING:
    from fathom.learn.engine.worker import Worker

FRAMES = 400  # of a run, at most


def last_frame(worker: "Worker", folder: Path, name: str, settings: Mapping[str, Any]) -> Frame | None:
    """Run a figure to its end in the worker; None if it drew nothing."""
    running = worker.start("run_figure", folder=str(folder), name=name, settings=dict(settings))
    last, count = None, 0
    try:
        for message in running.messages():
            if message["kind"] == "frame":
                last, count = message, count + 1
            elif message["kind"] != "ready":
                break
            if count >= FRAMES:
                break
            if last:
                running.send({"next": True})
    finally:
        running.stop()
    return frame_of(last) if last else None
