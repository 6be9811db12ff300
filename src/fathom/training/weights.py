"""Weights from elsewhere into a model: what was taken over, what is new, what was left. Nothing silently."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fathom.errors import InputError


@dataclass(frozen=True)
class LoadReport:
    """Names of tensors, by what became of them."""

    copied: tuple[str, ...]
    new: tuple[str, ...]  # of the head, whose size differs: freshly initialised
    left: tuple[str, ...]  # in the file and not in the model

    def __str__(self) -> str:
        parts = [f"{len(self.copied)} tensors copied"]
        parts += [f"new: {', '.join(self.new)}"] if self.new else []
        parts += [f"left: {', '.join(self.left)}"] if self.left else []
        return "; ".join(parts)


def load_weights(model: nn.Module, weights: Any, *, head: Sequence[str]) -> LoadReport:
    """Copy ``weights`` - a state dict, a .safetensors file, a run or artifact folder - into ``model``.

    Tensors whose name begins with one of ``head`` may differ in shape: they stay as initialised. Any
    other difference raises ``InputError`` that names the first tensor. The report is kept as
    ``model.load_report`` and printed.
    """
    state = read_state(weights)
    own = model.state_dict()
    copied: dict[str, Tensor] = {}
    new: list[str] = []
    for name, tensor in own.items():
        given = state.get(name)
        is_head = any(name == h or name.startswith(f"{h}.") for h in head)
        if given is not None and given.shape == tensor.shape:
            copied[name] = given
        elif is_head:
            new.append(name)
        else:
            found = (
                "is missing"
                if given is None
                else f"has shape {tuple(given.shape)}, not {tuple(tensor.shape)}"
            )
            raise InputError(f"these weights do not fit the model: {name} {found}")
    left = tuple(sorted(set(state) - set(own)))
    if left:
        raise InputError(f"these weights hold tensors that the model does not have: {', '.join(left[:5])}")
    model.load_state_dict(copied, strict=False)
    report = LoadReport(tuple(copied), tuple(new), left)
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
