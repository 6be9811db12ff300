"""The file of an adapter: what an adaptation learned, alone, with a card that says what it belongs to.

    adapter.safetensors    the tensors that learned, under their names in the adapted model, and in its head
        adaptation         the settings
        model              the kind of model
        base               SHA-256 of all that stood still
        learned, of        numbers in the file, and in the whole model

An adapter means nothing without the weights beside which it was learned, so it is laid only on the same ones.
"""

import json
from pathlib import Path
from typing import Any

from torch import nn

from fathom.errors import InputError, unknown
from fathom.settings import to_json
from fathom.training.adaptation import base_state, choices
from fathom.training.checkpoint import digest

FILE, FORMAT = "adapter.safetensors", 1


def card(model: nn.Module) -> dict[str, Any]:
    """What the file says of an adapted ``model``. Raises ``InputError`` for one that is not."""
    how = getattr(model, "adaptation", None)
    if how is None:
        raise InputError(
            f"the {type(model).__name__} is not adapted; LoRA().apply(model), for one, does that"
        )
    sizes = {n: p.numel() for n, p in model.named_parameters()}
    return {
        "format": FORMAT, "adaptation": to_json(how), "model": type(model).__name__,
        "base": digest(base_state(model)), "of": sum(sizes.values()),
        "learned": sum(sizes[n] for n, p in model.named_parameters() if p.requires_grad),
    }  # fmt: skip


def save_adapter(model: nn.Module, file: str | Path) -> dict[str, Any]:
    """Write what ``model`` learned into ``file``, whole or not at all; return its card."""
    import os

    from safetensors.torch import save

    told, file = card(model), Path(file)
    learned = {n: p.detach().cpu().contiguous() for n, p in model.named_parameters() if p.requires_grad}
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_bytes(save(learned, {name: json.dumps(value) for name, value in told.items()}))
    os.replace(draft, file)
    return told


def read_card(file: str | Path) -> dict[str, Any]:
    """The card of an adapter's file. Raises ``InputError`` for a file that is none."""
    from safetensors import safe_open

    try:
        with safe_open(file, "np") as opened:
            told = {name: json.loads(value) for name, value in (opened.metadata() or {}).items()}
    except Exception as error:  # safetensors has an exception of its own, with no common base
        raise InputError(f"{file} is no adapter, or damaged: {error}") from error
    if told.get("format") != FORMAT or not {"adaptation", "base", "model"} <= told.keys():
        raise InputError(f"{file} has no card of format {FORMAT}; save_adapter writes one")
    return told


def restored(settings: Any) -> Any:
    """The adaptation that ``settings.to_json`` described; one of a closed set. Raises ``InputError``."""
    from fathom.deployment.artifact import restore

    kind = settings.get("class") if isinstance(settings, dict) else None
    if kind not in choices():
        raise unknown("adaptation", str(kind), choices())
    try:
        return restore(choices()[kind], settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"the adaptation {kind} cannot be made of {settings}: {error}") from error


def load_adapter(model: nn.Module, file: str | Path) -> dict[str, Any]:
    """Adapt ``model``, which has the weights that the adapter was learned beside; return the card.

    Raises ``InputError`` for a file that is damaged, and for another model or other weights than those of the
    card; these are then as they were, though the model is adapted.
    """
    from safetensors.torch import load_file

    told = read_card(file)
    if told["model"] != type(model).__name__:
        raise InputError(f"{file} was learned by a {told['model']}; this is a {type(model).__name__}")
    restored(told["adaptation"]).apply(model)
    found = digest(base_state(model))
    if found != told["base"]:
        raise InputError(
            f"{file} was learned beside other weights: their SHA-256 is {told['base'][:12]}..., that of these"
            f" {found[:12]}...; load those weights first"
        )
    given, own = load_file(file), {n: p for n, p in model.named_parameters() if p.requires_grad}
    wrong = sorted(
        n
        for n in given.keys() | own.keys()
        if n not in given or n not in own or given[n].shape != own[n].shape
    )
    if wrong:
        raise InputError(
            f"{file} does not hold what its card says: {len(wrong)} tensors differ, such as {wrong[0]}"
        )
    model.load_state_dict(given, strict=False)
    return told
