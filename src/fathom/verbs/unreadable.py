"""What a file of weights is that cannot be read as one: said before a reader stumbles over it.

The first bytes tell a page of HTML, a pointer of Git LFS and a zip archive that was cut short. What torch
saved is a pickle, and a pickle names the classes that it would build: those are read off its instructions, of
which none is carried out.
"""

import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fathom.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

FRONT = 512  # bytes in which a page or a pointer shows what it is
LARGEST = 64 * 2**20  # bytes of a pickle that are looked through; tensors lie outside of it
PLAIN = (
    "collections",
    "torch",
    "numpy",
    "_codecs",
    "builtins",
    "__builtin__",
    "copyreg",
)  # or inside of them


def refuse_unreadable(file: Path) -> None:
    """Raise ``InputError`` where it is plain that ``file`` holds no weights, with what it holds instead."""
    with file.open("rb") as opened:
        front = opened.read(FRONT)
    if not front:
        raise InputError(f"{file} is empty; fetch or save it again")
    if front.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(f"{file} is a page of HTML, not weights: what was fetched was a page about them")
    if front.startswith(b"version https://git-lfs"):
        raise InputError(f"{file} is a pointer of Git LFS, not the weights: fetch them with git lfs pull")
    if not front.startswith(b"PK\x03\x04"):
        return
    if not zipfile.is_zipfile(file):
        raise InputError(f"{file} is cut short: its end is missing; fetch or save it again")
    found = sorted(own_classes(file))
    if found:
        named = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise InputError(
            f"{file} was not read: it holds objects of {named}, as a whole module does. Whoever has that code"
            " saves the weights alone, with torch.save(model.state_dict(), file)"
        )


def own_classes(archive: Path) -> set[str]:
    """Modules of Python that the pickle in ``archive`` names, beyond those of plain tensors."""
    with zipfile.ZipFile(archive) as parts:
        names = [part for part in parts.infolist() if part.filename.endswith("data.pkl")]
        if len(names) != 1 or names[0].file_size > LARGEST:
            return set()
        named = set(modules(parts.read(names[0])))
    return {m for m in named if m.split(".")[0] not in PLAIN or m.startswith("torch.nn.modules")}


def modules(pickle: bytes) -> Iterator[str]:
    """The module of every global that a pickle names."""
    strings: list[str] = []
    try:
        for instruction, argument, _ in pickletools.genops(pickle):
            if instruction.name == "GLOBAL":
                yield str(argument).split(" ")[0]
            elif instruction.name == "STACK_GLOBAL" and len(strings) > 1:
                yield strings[-2]
            elif isinstance(argument, str):
                strings.append(argument)
    except ValueError:  # a damaged pickle: its reader says so
        return


def refuse_numbers(what: str, state: "Mapping[str, Tensor]") -> None:
    """Raise ``InputError`` where tensors of ``state`` hold NaN, which no training mends."""
    broken = {n: int(t.isnan().sum()) for n, t in state.items() if t.is_floating_point() and t.isnan().any()}
    if broken:
        name, count = next(iter(broken.items()))
        raise InputError(
            f"{what}: {len(broken)} of {len(state)} tensors hold NaN, {name} in {count:,} of"
            f" {state[name].numel():,} numbers; the training that made them went wrong: give earlier weights"
        )
