"""Fathom: deep learning that runs. ``import fathom`` imports no torch; each verb loads what it needs.

>>> run = fathom.train("lenet")                       # a recipe of the catalogue
>>> run = fathom.fit(model, "photos/", time="5m")     # a live module, your data
>>> run.metrics, run.predict("a.jpg"), run.export(), run.serve()
"""

import importlib
from typing import TYPE_CHECKING, Any

from fathom.card import Card
from fathom.errors import InputError, RunError

if TYPE_CHECKING:
    from fathom.deployment.artifact import Artifact
    from fathom.training.run import Run
    from fathom.verbs.compare import compare
    from fathom.verbs.evaluate import evaluate
    from fathom.verbs.export import export
    from fathom.verbs.fit import fit
    from fathom.verbs.predict import predict
    from fathom.verbs.serve import serve
    from fathom.verbs.train import resume, train
    from fathom.verbs.verify import verify

__all__ = [
    "Artifact",
    "Card",
    "InputError",
    "Run",
    "RunError",
    "compare",
    "evaluate",
    "export",
    "fit",
    "predict",
    "resume",
    "serve",
    "train",
    "verify",
]

_HOMES = {
    "Artifact": "fathom.deployment.artifact",
    "Run": "fathom.training.run",
    "compare": "fathom.verbs.compare",
    "evaluate": "fathom.verbs.evaluate",
    "export": "fathom.verbs.export",
    "fit": "fathom.verbs.fit",
    "predict": "fathom.verbs.predict",
    "resume": "fathom.verbs.train",
    "serve": "fathom.verbs.serve",
    "train": "fathom.verbs.train",
    "verify": "fathom.verbs.verify",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fathom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
