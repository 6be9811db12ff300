"""An artifact: preprocessing, network and postprocessing of one trained model, in one folder.

    model/
        artifact.json        task with its label space, preprocessing, ports, system, sizes
        weights.safetensors  the weights of the system's model
        adapter.safetensors  what an adaptation learned, alone, where there was one
        model.onnx           the same network, for any ONNX runtime (with the ``export`` extra)
        equality.json        the measured differences between the two
        calibration.json     a temperature found afterwards (``deployment.temperature``), where there is one

Nothing in it is run: the task and the system are looked up by name in the catalogue, never imported by
a name from the file. ``predict``, ``serve``, ``evaluate`` and the trainer use this one class.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom import catalog
from fathom.deployment import preprocessing
from fathom.errors import InputError, missing_extra
from fathom.settings import to_json
from fathom.task import Arrays, Boundary, Network, Task, task_name

if TYPE_CHECKING:
    from fathom.deployment.temperature import Temperature

FORMAT = 1
LARGEST = 64 * 2**20  # bytes of artifact.json that are read: vocabularies are long, but not that long


class Artifact:
    """A trained model ready to answer. ``backend`` is "torch", or "onnx" where only that can run it.

    With a ``temperature``, ``network`` gives the probabilities that it makes of those of the model.
    """

    def __init__(
        self,
        task: Task,
        network: Network,
        description: dict[str, Any],
        backend: str,
        temperature: "Temperature | None" = None,
    ) -> None:
        self.task, self.description, self.backend, self.temperature = task, description, backend, temperature
        self.network = network if temperature is None else temperature.over(network)

    def __repr__(self) -> str:
        words = f"{self.name!r}, task={task_name(self.task)!r}, backend={self.backend!r}"
        return f"Artifact({words}{f', {self.temperature}' if self.temperature else ''})"

    @property
    def name(self) -> str:
        return self.description["name"]

    @property
    def version(self) -> str:
        """The first figures of the hash of the weights, and the temperature: what decides the answers."""
        warmth = f"-t{self.temperature.value:.6g}" if self.temperature else ""
        return self.description["digest"][:12] + warmth

    def decode(self, item: Any) -> Arrays:
        """One item of a request or file as input arrays, without a batch axis."""
        return preprocessing.apply(self.description["preprocessing"], item)

    def predict(self, items: Sequence[Any]) -> list[dict[str, Any]]:
        """One JSON answer for each item (bytes, a path, text or a mapping: what the task takes)."""
        return self.respond([self.decode(item) for item in items]) if items else []

    def respond(self, decoded: Sequence[Arrays]) -> list[dict[str, Any]]:
        """Answers for items that are decoded already."""
        return self.task.respond(self.network, decoded)


def write(
    folder: Path, *, task: Task, model: Any, system: str | None, digest: str, name: str, facts: dict[str, Any]
) -> None:
    """Write ``artifact.json`` and ``weights.safetensors``. ``model`` is the trained ``nn.Module``.

    ``system`` names the system of the catalogue that builds it; None for a module that is not of the
    catalogue: its artifact answers through ``model.onnx`` alone. A temperature of earlier weights goes.
    """
    from safetensors.torch import save

    from fathom.deployment import temperature

    folder.mkdir(parents=True, exist_ok=True)
    (folder / temperature.FILE).unlink(missing_ok=True)
    weights = {n: t.detach().cpu().contiguous().clone() for n, t in model.state_dict().items()}
    _replace(folder / "weights.safetensors", save(weights))
    if hasattr(model, "adaptation"):
        from fathom.training.adapter_file import FILE, save_adapter

        save_adapter(model, folder / FILE)
    description = {
        "format": FORMAT,
        "name": name,
        "task": {"name": task_name(task), "settings": to_json(task)},
        "preprocessing": task.preprocessing(),
        "inputs": [dataclasses.asdict(p) for p in task.inputs()],
        "outputs": [dataclasses.asdict(p) for p in task.outputs()],
        "system": system,
        "model": to_json(model.cfg) if system else None,
        "adaptation": to_json(getattr(model, "adaptation", None)),
        "digest": digest,
        **facts,
    }
    _replace(folder / "artifact.json", json.dumps(description, indent=1, allow_nan=False).encode())


def open_artifact(place: Path, backend: str = "auto", *, calibrated: bool = True) -> Artifact:
    """The artifact of a run folder, or in an artifact folder. ``backend``: "auto", "torch" or "onnx".

    Where a temperature lies beside the model it answers with that, unless ``calibrated`` is False: then
    ``network`` is the trained model as it is, which can be looked into or calibrated anew.
    """
    from fathom.deployment import temperature

    folder = find(place)
    description = describe(folder)
    task = restore(catalog.task(description["task"]["name"]), description["task"]["settings"])
    if backend == "auto":
        backend = "torch" if description["system"] else "onnx"
    warmth = temperature.read(folder, description) if calibrated else None
    if backend == "onnx":
        return Artifact(task, onnx_network(folder, task), description, backend, warmth)
    if not description["system"]:
        raise InputError(f"{folder}: this model is not of the catalogue; it answers through model.onnx only")
    return Artifact(task, Boundary(task, load_model(folder, description)), description, backend, warmth)


def describe(folder: Path) -> dict[str, Any]:
    """``artifact.json``, checked."""
    file = folder / "artifact.json"
    if file.stat().st_size > LARGEST:
        raise InputError(f"{file} is larger than {LARGEST:,} bytes: this is no artifact")
    try:
        description = json.loads(file.read_bytes())
    except ValueError as error:
        raise InputError(f"{file} is damaged: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        found = description.get("format") if isinstance(description, dict) else None
        raise InputError(f"{file} has format {found}; this version of Fathom reads {FORMAT}")
    return description


def find(place: Path) -> Path:
    """The artifact folder that ``place`` is or holds; refuses files that can run code."""
    if place.suffix in (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"):
        raise InputError(
            f"{place} can hold code, so it is not opened here; bring its tensors in with:"
            f" fathom import {place}"
        )
    for folder in (place, place / "model"):
        if (folder / "artifact.json").is_file():
            return folder
    if not place.exists():
        raise InputError(
            f"{place} does not exist; give a run folder (fathom list --runs) or an artifact folder"
        )
    if (place / "run.json").is_file():
        raise InputError(f"{place} has no model yet; finish the run first: fathom train --resume {place}")
    raise InputError(
        f"{place} is neither a run folder nor an artifact folder: there is no artifact.json in it"
    )


def load_model(folder: Path, description: dict[str, Any]) -> Any:
    """The system's model with its trained weights."""
    from safetensors.torch import load

    module = catalog.system(description["system"]).load()
    model = restore(module.Config, description["model"]).build()
    if description.get("adaptation"):
        from fathom.training.adapter_file import restored

        restored(description["adaptation"]).apply(model)
    data = (folder / "weights.safetensors").read_bytes()
    try:
        model.load_state_dict(load(data), strict=True)
    except Exception as error:
        raise InputError(f"{folder / 'weights.safetensors'} does not fit the model: {error}") from error
    return model.eval()


def onnx_network(folder: Path, task: Task) -> Network:
    """``model.onnx`` as a network. One thread for each core that torch uses."""
    try:
        import onnxruntime
    except ImportError:
        raise missing_extra("export", "onnxruntime") from None
    import torch

    file = folder / "model.onnx"
    if not file.is_file():
        raise InputError(f"{folder} has no model.onnx; make it with: fathom export {folder}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    names = [p.name for p in task.outputs()]

    def network(arrays: Arrays) -> Arrays:
        given = {i.name: arrays[i.name] for i in session.get_inputs()}
        return dict(zip(names, (np.asarray(o) for o in session.run(names, given)), strict=True))

    return network


def restore(kind: type, settings: Any) -> Any:
    """A frozen dataclass back from ``settings.to_json``: lists become tuples, unknown fields are refused."""
    given = {name: value for name, value in settings.items() if name != "class"}
    known = {f.name: f for f in dataclasses.fields(kind)}
    strange = sorted(set(given) - set(known))
    if strange:
        raise InputError(f"{kind.__name__} has no setting {strange[0]!r}; known: {', '.join(known)}")
    return kind(**{name: _frozen(value) for name, value in given.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(v) for v in value)
    return value


def _replace(file: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_bytes(data)
    os.replace(draft, file)


def file_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
