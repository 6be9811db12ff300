"""Import: a weights file of another library becomes safetensors, under the names of the system that it is.

The file is read by the confined process of `fathom.training.importing`, or is safetensors already; what it
is, `fathom.verbs.recognising` tells. A file that is a published size is written under Fathom's names, with
what was learned in its metadata; one that nearly is, is refused with all that differs; one that is something
else is converted as it stands.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from fathom.data.places import hash_of
from fathom.errors import InputError, unknown
from fathom.training.importing import read_tensors
from fathom.training.weights import Weights, as_torch, read_safetensors
from fathom.verbs.unreadable import refuse_numbers, refuse_unreadable

if TYPE_CHECKING:
    from fathom.verbs.recognising import Match


def import_file(
    file: str | Path,
    out: str | Path | None = None,
    *,
    name: str | None = None,
    classes: int | None = None,
    check: bool = False,
) -> dict[str, Any]:
    """Write the tensors of ``file``, which torch, Keras or safetensors saved, to ``out`` (else beside it).

    ``name`` is the published size that it must be ("resnet50"); without it the size is recognised.
    ``classes`` is how many it must have. With ``check`` the library's own model gets the file too and every
    layer is compared. Returns ``out``, counts of ``tensors`` and ``numbers``, the names ``left`` and
    ``beside`` as in `read_tensors`, and where a size is known ``size``, ``system``, ``upstream``,
    ``classes``, ``channels``, ``rules`` (with the tensors that each named), ``weights`` (their published
    name, or None), ``preprocessing`` and ``settings`` (of the model, beside its sizes), where they
    are known, and ``check``. Raises ``InputError`` with what does not fit, and writes nothing then.
    """
    source = Path(file)
    target = Path(out) if out else source.with_suffix(".safetensors")
    if target.exists():
        raise InputError(f"{target} exists already; choose another --out")
    if not target.parent.is_dir():
        raise InputError(f"{target.parent} is no folder; make it, or choose another --out")
    given, told = read(source)
    state = given.state
    match = chosen(source, state, name)
    if match is None:
        if classes is not None or check:
            raise InputError(f"{source} is no published size that is known; say which it is with --as")
        write(target, state, {"source": source.name, "sha256": hash_of(source)})
        return {"out": str(target), **told, "size": None}
    if classes not in (None, match.classes):
        raise InputError(f"{source} has {match.classes} classes, not {classes}")
    facts = described(source, given, match)
    if check:
        from fathom.verbs.upstream_models import check_against_upstream

        facts["check"] = check_against_upstream(state, match)
    made = rewritten_state(state, match)
    metadata = {k: v if isinstance(v, str) else json.dumps(v) for k, v in facts.items() if v is not None}
    write(target, {here: made[there] for there, here in match.names.items()}, metadata)
    return {"out": str(target), **told, **facts}


def read(source: Path) -> tuple[Weights, dict[str, Any]]:
    """The state dict of a file with what is written in it, and what the confined reader told of it."""
    if not source.is_file():
        raise InputError(f"{source} is no file; give one that torch.save, Keras or safetensors wrote")
    refuse_unreadable(source)
    if source.suffix.lower() == ".safetensors":
        found = read_safetensors(source)
        numbers = sum(t.numel() for t in found.state.values())
        told = {"tensors": len(found.state), "left": [], "beside": [], "numbers": numbers}
        made = replace(found, state=as_torch(found.state))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            draft = Path(scratch) / "state.safetensors"
            told = read_tensors(source, draft)
            made = Weights(as_torch(read_safetensors(draft).state))
    refuse_numbers(str(source), made.state)
    return made, told


def chosen(source: Path, state: Mapping[str, Tensor], name: str | None) -> "Match | None":
    """The published size of ``state``; ``InputError`` where it is nearly one, or not the one asked for."""
    from fathom.verbs.recognising import lay, recognise, sizes

    if name is None:
        match = recognise(state)
        if match is None or match.fits:
            return match
        raise InputError(
            f"{source} is nearly a {match.size} by {named(match)}, but not quite: {match}."
            " Nothing was written"
        )
    if name not in sizes():
        raise unknown("published size", name, sizes())
    match = lay(state, name)
    if match.fits:
        return match
    other = recognise(state)
    looks = f" It looks like a {other.size} by {named(other)}." if other and other.size != name else ""
    raise InputError(f"{source} is no {name}: {match} (by {named(match)}).{looks} Nothing was written")


def named(match: "Match") -> str:
    return f"the names of {match.upstream}"


def rewritten_state(state: Mapping[str, Tensor], match: "Match") -> Mapping[str, Tensor]:
    from fathom.verbs.recognising import rewritten

    return rewritten(state, match.size)


def described(source: Path, given: Weights, match: "Match") -> dict[str, Any]:
    """What is known of a file that fits: also which published file it is, by its hash."""
    digest = hash_of(source)
    tables = getattr(match.entry.load(), "WEIGHTS", {}).get(match.size, {})
    known = next((n for n, facts in tables.items() if digest.startswith(facts["sha256"])), None)
    return {
        "size": match.size,
        "system": match.entry.name,
        "upstream": match.upstream,
        "classes": match.classes,
        "channels": match.channels,
        "rules": match.rules,
        "weights": known,
        "preprocessing": tables[known]["preprocessing"] if known else given.preprocessing,
        "settings": tables[known].get("settings") if known else given.settings or match.settings or None,
        "source": source.name,
        "sha256": digest,
    }


def write(target: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file that is there whole or not at all."""
    from safetensors.torch import save

    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as handle:
            laid = {name: tensor.contiguous() for name, tensor in state.items()}  # as the format asks
            handle.write(save(laid, {"format": "pt", **metadata}))
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
