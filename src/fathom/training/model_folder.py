"""Folders in which transformers keeps a model: config.json beside safetensors, in one file or in shards.

    config.json                       what kind of model it is, and its sizes
    model.safetensors                 all tensors, or else
    model.safetensors.index.json      {"weight_map": {name of a tensor: name of the file that holds it}}
    model-00001-of-00002.safetensors  the shards

What config.json says and what the tensors say are compared before a model is built, so that a folder put
together from two models is told apart from one that is whole.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fathom.errors import InputError

WHOLE, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
SHOWN = 3  # names in a message
SCALING = {
    "factor": "factor", "low": "low_freq_factor", "high": "high_freq_factor",
    "original": "original_max_position_embeddings",
}  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A size that config.json tells, and the tensor whose shape shows it."""

    what: str  # "vocab_size", or "num_attention_heads x head_dim"
    said: int
    tensor: str
    axis: int


@dataclass(frozen=True)
class ModelFolder:
    """What a folder holds."""

    path: Path
    config: Mapping[str, Any]
    state: Mapping[str, Tensor]

    def wrong(self, what: str) -> InputError:
        """The error for something in config.json."""
        return InputError(f"{self.path / CONFIG}: {what}")

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number above 0 of config.json. Raises ``InputError`` for anything else."""
        value = self.config.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(
                f"{self.path / CONFIG}: {key} is {value!r}; it must be a whole number, 1 or more"
            )
        return value

    def real(self, key: str, default: float) -> float:
        """A number of config.json. Raises ``InputError`` for anything else."""
        value = self.config.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(f"{key} is {value!r}; it must be a number")
        return float(value)

    def require(self, key: str, *allowed: Any, default: Any = None) -> Any:
        """The value of ``key``, which must be one of ``allowed``. Raises ``InputError``."""
        value = self.config.get(key, default)
        if value not in allowed:
            known = " or ".join(map(repr, allowed))
            raise self.wrong(f"{key} is {value!r}; this model has {known} only")
        return value

    def rotary(self) -> tuple[float, dict[str, Any] | None]:
        """The base of rotary positions, and LLaMA 3.1's scaling of them by the names of ``Llama3Scaling``.

        They stand in one entry, rope_parameters, or in the two that older files have. Raises ``InputError``
        for a scaling of another kind, and for one that is not whole.
        """
        told = self.config.get("rope_parameters") or self.config.get("rope_scaling") or {}
        base = told.get("rope_theta") or self.real("rope_theta", 10_000.0)
        kind = told.get("rope_type") or told.get("type") or "default"
        if kind not in ("default", "llama3"):
            raise self.wrong(f"rope_type is {kind!r}; this model has 'default' or 'llama3' only")
        missing = [key for key in SCALING.values() if key not in told]
        if kind == "llama3" and missing:
            raise self.wrong(f"the scaling of positions lacks {', '.join(missing)}")
        return float(base), {name: told[key] for name, key in SCALING.items()} if kind == "llama3" else None

    def agree(self, claims: Sequence[Claim], state: Mapping[str, Tensor]) -> None:
        """Raise ``InputError`` for the first claim that the tensors of ``state`` contradict."""
        for claim in claims:
            if claim.tensor not in state:
                raise InputError(
                    f"{self.path} has no tensor {claim.tensor}; it is of another model, or not whole"
                )
            shape = tuple(state[claim.tensor].shape)
            shown = shape[claim.axis] if claim.axis < len(shape) else None
            if shown != claim.said:
                raise InputError(
                    f"{self.path / CONFIG} says that {claim.what} is {claim.said}; {claim.tensor} has shape"
                    f" {shape}, so it is {shown}; take both from one model"
                )

    def agree_on_layers(self, key: str, pattern: str, state: Mapping[str, Tensor]) -> None:
        """The same for the number of layers, which are numbered where ``pattern`` says {i}."""
        compiled = re.compile(re.escape(pattern).replace(r"\{i\}", r"(\d+)"))
        seen = {int(found[1]) for name in state if (found := compiled.fullmatch(name))}
        said = self.number(key)
        if seen != set(range(said)):
            which = f"{len(seen)}, up to {pattern.format(i=max(seen))}" if seen else "none"
            raise InputError(
                f"{self.path / CONFIG} says that {key} is {said}; of such layers there are {which};"
                " take both from one model"
            )


def read_folder(path: str | Path, kinds: Sequence[str]) -> ModelFolder:
    """A folder of one of ``kinds``, as config.json calls them ("gpt2"). Raises ``InputError``."""
    folder = Path(path)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give one with {CONFIG} and {WHOLE}")
    config = read_json(folder / CONFIG)
    kind = config.get("model_type")
    if kind not in kinds:
        known = " or ".join(map(repr, kinds))
        raise InputError(f"{folder / CONFIG}: model_type is {kind!r}; here it must be {known}")
    return ModelFolder(folder, config, folder_state(folder))


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ``InputError`` where there is none."""
    if not file.is_file():
        raise InputError(f"{file.parent} holds no {file.name}; give a whole folder as transformers saves it")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{file} holds a {type(found).__name__}; it must be an object")
    return found


def holds_model(folder: Path) -> bool:
    """Whether ``folder`` looks like one of transformers."""
    return any((folder / name).is_file() for name in (WHOLE, INDEX))


def folder_state(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, from one file or from its shards. Raises ``InputError``."""
    if (folder / INDEX).is_file():
        return sharded(folder)
    if (folder / WHOLE).is_file():
        return tensors(folder / WHOLE)
    lost = sorted(f.name for f in folder.glob("*-of-*.safetensors"))
    if lost:
        raise InputError(f"{folder} holds {lost[0]} and no {INDEX}, which says what is where; fetch that too")
    code = sorted(f.name for f in folder.iterdir() if f.suffix in (".bin", ".pt", ".pth"))
    if code:
        raise InputError(
            f"{folder} holds no {WHOLE}; {code[0]} can hold code, so it is not opened here: bring its tensors"
            f" in with: fathom import {folder / code[0]}"
        )
    raise InputError(f"{folder} holds no {WHOLE} and no {INDEX}; give a folder as transformers saves it")


def sharded(folder: Path) -> dict[str, Tensor]:
    """The tensors of all shards that the index names. Raises ``InputError`` for a shard or tensor missing."""
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(f, str) for f in places.values()):
        raise InputError(f"{folder / INDEX}: weight_map must say for each tensor which file holds it")
    found: dict[str, Tensor] = {}
    for file in sorted(set(places.values())):
        wanted = sorted(name for name, place in places.items() if place == file)
        if Path(file).name != file or not file.endswith(".safetensors"):
            raise InputError(
                f"{folder / INDEX} names {file!r}; shards are .safetensors files in the same folder"
            )
        if not (folder / file).is_file():
            raise InputError(
                f"{folder} lacks the shard {file}, which holds {listed(wanted)}; fetch it from where the"
                " others came from"
            )
        held = tensors(folder / file)
        missing = [name for name in wanted if name not in held]
        if missing:
            raise InputError(
                f"{folder / file} does not hold {listed(missing)}, as {INDEX} says; fetch it again"
            )
        twice = sorted(set(held) & set(found))
        if twice:
            raise InputError(f"{folder}: {listed(twice)} is in two shards; they are not of one model")
        found |= held
    return found


def tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file, mapped into memory rather than read. Raises ``InputError`` for a damaged one."""
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except Exception as error:  # safetensors has an exception of its own, with no common base
        raise InputError(f"{file} is damaged: {error}; fetch it again") from error


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more tensors" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
