"""ONNX export that is checked: the file and the trained model must give the same answers.

The graph holds everything between the ports: normalisation, the network, softmax. Its batch axis is
free. ``equality.json`` keeps the largest difference over batches of 1, 2 and 7 and over the task's edge
cases; a difference above ``LIMIT`` is refused, and the file is not left behind.
"""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fathom.deployment import artifact, preprocessing
from fathom.errors import RunError, missing_extra
from fathom.task import Arrays, Boundary, Task, collate

LIMIT = 1e-4
BATCHES = (1, 2, 7)


class Whole(nn.Module):
    """A model between its ports, as one module to export."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.task, self.model = task, model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return self.task.finish(self.model(*self.task.prepare(*inputs)))


def export(folder: Path, task: Task, model: nn.Module) -> dict[str, Any]:
    """Write ``model.onnx`` and ``equality.json`` into an artifact folder; return the latter.

    Raises ``MissingExtra`` without the ``export`` extra, ``RunError`` where the two differ too much.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_extra("export", error.name or "onnx") from None

    model = model.cpu().eval()
    samples = edge_cases(task)
    inputs = tuple(torch.from_numpy(collate(task, samples[:2])[p.name]) for p in task.inputs())
    names = [p.name for p in task.inputs()], [p.name for p in task.outputs()]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of every library that is not there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own future
        program = torch.onnx.export(
            Whole(task, model).eval(),
            inputs,
            input_names=names[0],
            output_names=names[1],
            dynamic_shapes=(free_axes(task),),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RunError("the exporter returned nothing")
    made = program.model_proto
    made.doc_string = ""  # the exporter's notes name files of this machine
    for node in made.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    draft = folder / "model.onnx"
    artifact._replace(draft, made.SerializeToString())
    equality = compare(Boundary(task, model), artifact.onnx_network(folder, task), task, samples)
    if not equality["equal"]:
        draft.unlink()
        raise RunError(
            f"the exported network differs from the trained one by {equality['largest']:.2e}"
            f" (allowed: {LIMIT:.0e}); model.onnx was not kept"
        )
    artifact._replace(folder / "equality.json", json.dumps(equality, indent=1).encode())
    return equality


def free_axes(task: Task) -> tuple[dict[int, Any], ...]:
    """Names of the free axes of each input, as ``torch.export`` takes them."""
    return tuple({i: a for i, a in enumerate(p.shape) if isinstance(a, str)} for p in task.inputs())


def edge_cases(task: Task) -> list[Arrays]:
    """The task's examples as arrays; at least two, since a batch of one would become a constant."""
    samples = [preprocessing.apply(task.preprocessing(), item) for item in task.examples()]
    shape = {n: v.shape for n, v in samples[0].items()}
    alike = [s for s in samples if {n: v.shape for n, v in s.items()} == shape]
    return alike if len(alike) > 1 else alike * 2


def compare(torch_network: Any, onnx_network: Any, task: Task, samples: Sequence[Arrays]) -> dict[str, Any]:
    """Largest differences between two networks over the batches, and whether all are small enough."""
    rows: list[dict[str, Any]] = []
    for size in BATCHES:
        batch = collate(task, [samples[i % len(samples)] for i in range(size)])
        ours, theirs = torch_network(batch), onnx_network(batch)
        for name in ours:
            wanted, made = ours[name].astype(np.float64), theirs[name].astype(np.float64)
            gap = np.abs(wanted - made) / np.maximum(1.0, np.abs(wanted))  # of large values: relative
            rows.append({"batch": size, "output": name, "difference": float(gap.max(initial=0.0))})
    largest = max(r["difference"] for r in rows)
    return {"limit": LIMIT, "largest": largest, "equal": bool(largest <= LIMIT), "cases": rows}
