"""Weights from elsewhere into a model: what was taken over, what is new, what was left. Nothing silently."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fathom.errors import InputError
from fathom.fundamentals.initialization.pretrained import LoadReport, load_pretrained


def load_weights(model: nn.Module, weights: Any, *, head: Sequence[str]) -> LoadReport:
    """Copy ``weights`` - a state dict, a .safetensors file, a run or artifact folder - into ``model``.

    Tensors whose name begins with one of ``head`` may differ in shape: they stay as initialised. Any
    other difference raises ``InputError`` that names the tensors. The report is kept as
    ``model.load_report`` and printed.
    """
    try:
        report = load_pretrained(model, read_state(weights), new=head, least=0.0)
    except ValueError as error:
        raise InputError(str(error)) from error
    object.__setattr__(model, "load_report", report)
    print(report, file=sys.stderr)  # standard output belongs to answers
    return report


def read_state(weights: Any) -> Mapping[str, Tensor]:
    """A state dict from where it is; files that can hold code are refused."""
    if isinstance(weights, Mapping):
        return weights
    path = Path(weights)
    if path.is_dir():
        found = [
            f for f in (path / "weights.safetensors", path / "model" / "weights.safetensors") if f.is_file()
        ]
        if not found:
            raise InputError(f"{path} holds no weights.safetensors; give a run folder or a .safetensors file")
        path = found[0]
    if not path.is_file():
        raise InputError(f"there are no weights {str(weights)!r}: give a .safetensors file or a run folder")
    if path.suffix != ".safetensors":
        raise InputError(f"{path} is not opened directly; bring its tensors in with: fathom import {path}")
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except Exception as error:
        raise InputError(f"{path} is damaged: {error}") from error
