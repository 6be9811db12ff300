"""Plain texts: one file, or every .txt file of a folder."""

from pathlib import Path

from fathom.data.formats.table import decode
from fathom.errors import InputError

ENDINGS = (".txt", ".text", ".md")


def files(path: Path) -> list[Path]:
    """The text files at ``path``, in order of their names."""
    if path.is_file():
        return [path] if path.suffix.lower() in ENDINGS else []
    return sorted(f for f in path.rglob("*") if f.suffix.lower() in ENDINGS and f.is_file())


def read(path: Path) -> str:
    """All text at ``path``, files joined by an empty line. ``InputError`` where there is none."""
    found = files(path)
    if not found:
        raise InputError(f"{path} holds no text: looked for files ending in {', '.join(ENDINGS)}")
    text = "\n\n".join(decode(f) for f in found)
    if not text.strip():
        raise InputError(f"{path} is empty: there is nothing to learn from")
    return text
