"""Temperature: how sure a trained model is, corrected afterwards, in a small file beside the model.

    model/calibration.json    the temperature, the weights it belongs to, and what it was fitted on

Dividing logits by T turns probabilities p into softmax(log(p) / T), since softmax does not see what is added
to all logits alike. So the correction works on what the model's port gives: for torch, for model.onnx and
for the mean of an ensemble alike. ``open_artifact`` puts it behind the network; all that predicts, serves and
evaluates then answers with it.

Weights, model.onnx and artifact.json stay as they are, and so do their checksums: whoever runs model.onnx
without Fathom gets the model's own probabilities p, and p^(1/T) divided by its sum is what Fathom answers.
The file names the digest of its weights; beside other weights it is refused.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fathom.deployment import artifact
from fathom.deployment.json_values import brief, kind
from fathom.errors import InputError
from fathom.fundamentals.mathematics.calibration import apply_temperature
from fathom.task import Arrays, Network

FORMAT = 1
FILE = "calibration.json"
LARGEST = 64 * 2**10  # bytes of the file that are read
COLDEST, WARMEST = 1e-3, 1e3  # beyond them every answer is certain, or all classes are equally likely
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)  # what float32 shows of a smaller probability is 0
AGAIN = "make it again with fathom explain calibration RUN, or delete it"


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """One temperature and the output port that it belongs to. It reads "calibrated with temperature 1.32"."""

    value: float
    digest: str  # of the weights it was fitted to
    port: str = "probabilities"

    def __post_init__(self) -> None:
        possible(self.value)

    def __str__(self) -> str:
        return f"calibrated with temperature {self.value:.3g}"

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (..., classes) as sure as they should be, of the same dtype.

        The likeliest class stays the likeliest, also where rounding would make two equal.
        """
        mended = apply_temperature(torch.from_numpy(logits(probabilities)), self.value)
        made = mended.numpy().astype(probabilities.dtype)
        if made.size:
            first = probabilities.argmax(axis=-1)[..., None]
            lost = made.argmax(axis=-1)[..., None] != first
            highest = np.nextafter(made.max(axis=-1, keepdims=True), made.dtype.type(np.inf))
            own = np.take_along_axis(made, first, axis=-1)
            np.put_along_axis(made, first, np.where(lost, highest, own), axis=-1)
        return made

    def over(self, network: Network) -> Network:
        """``network`` with this correction behind its port: what predicts and serves calibrated answers."""

        def corrected(arrays: Arrays) -> Arrays:
            outputs = network(arrays)
            return outputs | {self.port: self.apply(outputs[self.port])}

        return corrected


def possible(value: Any) -> float:
    """``value``, if a temperature can be that; else raises ``InputError``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"the temperature is {kind(value)}; it must be a number")
    if not COLDEST <= value <= WARMEST:
        ends = f"{COLDEST:g} and {WARMEST:g}"
        raise InputError(f"the temperature is {brief(value)}; it must lie between {ends}")
    return float(value)


def logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits of which ``probabilities`` (..., classes) are the softmax, in float64; none is infinite."""
    return np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))


def write(folder: Path, temperature: Temperature, facts: Mapping[str, Any]) -> Path:
    """Write the file into the artifact folder, whole or not at all; ``facts`` say how it was found."""
    told = {"format": FORMAT, **asdict(temperature), **facts}
    artifact._replace(folder / FILE, json.dumps(told, indent=1, allow_nan=False).encode())
    return folder / FILE


def read(folder: Path, description: Mapping[str, Any]) -> Temperature | None:
    """The temperature beside the artifact of ``description``, its artifact.json; None where there is none.

    Raises ``InputError`` for a file that is damaged, of another format, holds no possible temperature, or
    belongs to other weights or to an output that the model does not have.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    if file.stat().st_size > LARGEST:
        raise InputError(f"{file} is larger than {LARGEST:,} bytes: this is no temperature; {AGAIN}")
    try:
        told = json.loads(file.read_bytes())
        value, digest, port = told["value"], str(told["digest"]), str(told["port"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{file} is damaged ({error!r}); {AGAIN}") from error
    if told.get("format") != FORMAT:
        raise InputError(f"{file} has format {told.get('format')}; this version of Fathom reads {FORMAT}")
    try:
        found = Temperature(value=possible(value), digest=digest, port=port)
    except InputError as error:
        raise InputError(f"{file}: {error}; {AGAIN}") from error
    if found.digest != description["digest"]:
        raise InputError(f"{file} was fitted to other weights than those beside it; {AGAIN}")
    ports = [port["name"] for port in description["outputs"] if port["dtype"].startswith("float")]
    if found.port not in ports:
        raise InputError(f"{file} is for the output {brief(found.port)}; the model has"
                         f" {', '.join(ports) or 'none that has one'}; {AGAIN}")  # fmt: skip
    return found
