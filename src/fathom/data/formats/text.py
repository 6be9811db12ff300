"""Plain texts: one file, or every text file of a folder."""

from pathlib import Path

from fathom.data.formats.table import decode
from fathom.errors import InputError

ENDINGS = (".txt", ".text", ".md")


def files(path: Path) -> list[Path]:
    """The text files at ``path``, in order of their names, without those that begin with a dot."""
    if path.is_file():
        return [path] if path.suffix.lower() in ENDINGS else []
    found = (f for f in path.rglob("*") if f.suffix.lower() in ENDINGS and f.is_file())
    return sorted(f for f in found if not f.name.startswith("."))


def read(path: Path) -> str:
    """All text at ``path``, files joined by an empty line, every line ended alike.

    ``InputError`` where there is none, or a file that is no text.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; give a text file or a folder of such")
    found = files(path)
    if not found:
        raise InputError(f"{path} holds no text: looked for files ending in {', '.join(ENDINGS)}")
    text = "\n\n".join(decode(f).replace("\r\n", "\n").replace("\r", "\n") for f in found)
    if not text.strip():
        raise InputError(f"{path} is empty: there is nothing to learn from")
    return text
