"""Temperature: how sure a trained model is, corrected afterwards, in a small file beside the model.

    model/calibration.json    the temperature, the weights it belongs to, and what it was fitted on

Dividing logits by T turns probabilities p into softmax(log(p) / T), since softmax does not see what is added
to all logits alike. So the correction works on what the model's port gives: for torch, for model.onnx and
for the mean of an ensemble alike. Weights, model.onnx and artifact.json stay as they are, and so do their
checksums. The file names the digest of its weights; beside other weights it is refused.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fathom.deployment import artifact
from fathom.errors import InputError
from fathom.fundamentals.mathematics.calibration import apply_temperature
from fathom.task import Arrays, Network

FORMAT = 1
FILE = "calibration.json"
SMALLEST = float(np.finfo(np.float32).smallest_subnormal)  # what float32 shows of a smaller probability is 0


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """One temperature and the output port that it belongs to."""

    value: float
    digest: str  # of the weights it was fitted to
    port: str = "probabilities"

    def __post_init__(self) -> None:
        if not 0 < self.value < math.inf:
            raise InputError(f"the temperature is {self.value}; it must be positive and finite")

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities (..., classes) as sure as they should be; their order stays, and their dtype."""
        mended = apply_temperature(torch.from_numpy(logits(probabilities)), self.value)
        return mended.numpy().astype(probabilities.dtype)

    def over(self, network: Network) -> Network:
        """``network`` with this correction behind its port: what predicts and serves calibrated answers."""

        def corrected(arrays: Arrays) -> Arrays:
            outputs = network(arrays)
            return outputs | {self.port: self.apply(outputs[self.port])}

        return corrected


def logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits of which ``probabilities`` (..., classes) are the softmax, in float64; none is infinite."""
    return np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))


def write(folder: Path, temperature: Temperature, facts: dict[str, Any]) -> Path:
    """Write the file into the artifact folder, whole or not at all; ``facts`` say how it was found."""
    told = {"format": FORMAT, **asdict(temperature), **facts}
    artifact._replace(folder / FILE, json.dumps(told, indent=1, allow_nan=False).encode())
    return folder / FILE


def read(folder: Path, digest: str) -> Temperature | None:
    """The temperature in an artifact folder; None where there is none.

    Raises ``InputError`` for a file that is damaged, of another format, or fitted to other weights than those
    of ``digest``.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        told = json.loads(file.read_bytes())
        found = Temperature(value=float(told["value"]), digest=told["digest"], port=told["port"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is damaged: {error!r}; make it again with: fathom explain calibration RUN"
        ) from error
    if told.get("format") != FORMAT:
        raise InputError(f"{file} has format {told.get('format')}; this version of Fathom reads {FORMAT}")
    if found.digest != digest:
        raise InputError(
            f"{file} was fitted to other weights than those beside it; "
            "make it again: fathom explain calibration RUN"
        )
    return found
