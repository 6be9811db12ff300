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
    """Answer requests for the model of ``run`` until stopped; options: ``deployment.serve.server.build``.

    ``run`` is a run folder or artifact folder, or the folder of a model that talks, with tokenizer.json.
    """
    from fathom.deployment.artifact import open_artifact
    from fathom.deployment.serve.server import run as run_server
    from fathom.verbs.chat import is_chat_folder, open_talker

    if not is_chat_folder(run):
        return run_server(open_artifact(Path(run), backend), started=started, **options)
    from fathom.deployment.serve.chat_app import ChatApp

    talker = open_talker(run)
    return run_server(lambda gate, limits: ChatApp(talker, gate, limits), started=started, **options)
