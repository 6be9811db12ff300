"""Serve: a run's model over HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def serve(
    run: str | Path,
    *,
    backend: str = "auto",
    started: Callable[[str, str | None], None] = lambda address, token: print(address, flush=True),
    **options: Any,
) -> None:
    """Answer requests for the model of ``run`` until stopped; options: ``deployment.serve.server.build``."""
    from fathom.deployment.artifact import open_artifact
    from fathom.deployment.serve.server import run as run_server

    run_server(open_artifact(Path(run), backend), started=started, **options)
