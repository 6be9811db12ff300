"""The errors a person meets. Each says what was given, what is allowed and what to do next."""

import difflib
from collections.abc import Iterable
from pathlib import Path

CODE = (
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".bin",
    ".joblib",
)  # files that run code when they are read


class InputError(ValueError):
    """A command, setting, path, file or request that cannot be used as given. The CLI exits with 2."""


class RunError(RuntimeError):
    """A run, check or export that started and could not be completed. The CLI exits with 1."""


class MissingExtra(InputError):
    """An optional dependency is not installed."""


def missing_extra(extra: str, package: str) -> MissingExtra:
    """The error to raise when ``package``, which belongs to the optional group ``extra``, is absent."""
    return MissingExtra(f"{package} is not installed; it comes with: pip install 'fathom-dl[{extra}]'")


def unknown(kind: str, given: str, known: Iterable[str]) -> InputError:
    """The error for a name that does not exist, with the nearest names that do."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"known: {', '.join(names)}"
    return InputError(f"there is no {kind} {given!r}; {hint}")


def refuse_code(place: str | Path | None) -> None:
    """Raise ``InputError`` for a pickle or a file of torch.save, with the way its tensors come in."""
    if place is not None and Path(place).suffix.lower() in CODE:
        raise InputError(
            f"{place} can hold code, so it is not opened here; bring its tensors in with:"
            f" fathom import {place}"
        )
