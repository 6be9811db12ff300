"""What a person sees while a run goes on: a bar in a terminal, plain lines in a pipe."""

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loop imports torch, and run.json is written before that
    from fathom.training.loop import Event


class Progress:
    """An observer. A bar with loss, metric, speed and time left; in a pipe a line every few seconds."""

    def __init__(self, *, quiet: bool = False, every: float = 5.0) -> None:
        self.quiet, self.every = quiet, every
        self.started: float | None = None
        self.first = 0
        self.shown_at = 0.0
        self.bar: Any = None
        self.measured: dict[str, float] = {}

    def __call__(self, event: "Event") -> None:
        now = time.perf_counter()
        if self.started is None:
            self.started, self.first, self.shown_at = now, event.steps, now
        for name, value in event.metrics.items():
            if name.startswith("valid/"):
                self.measured[name] = float(value)
        last = event.stop is not None or event.steps == event.total
        terminal = sys.stderr.isatty()
        if self.quiet or (now - self.shown_at < (0.1 if terminal else self.every) and not last):
            return
        self.shown_at = now
        speed = (event.steps - self.first) / max(now - self.started, 1e-9)
        words = [f"loss {float(event.metrics['loss']):.4f}"]
        words += [f"{n} {v:.4f}" for n, v in list(self.measured.items())[:1]]
        words.append(f"{speed:.1f} steps/s")
        if terminal:
            self._draw(event, " ".join(words))
        else:
            left = f"{((event.total or event.steps) - event.steps) / max(speed, 1e-9):.0f} s left"
            print(f"step {event.steps}/{event.total} {' '.join(words)} {left}", file=sys.stderr, flush=True)
        if last:
            self.close()

    def _draw(self, event: "Event", words: str) -> None:
        if self.bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self.bar = Bar(*columns, console=Console(stderr=True))
            self.bar.start()
            self.bar.add_task("", total=event.total)
        self.bar.update(self.bar.task_ids[0], completed=event.steps, description=words)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
