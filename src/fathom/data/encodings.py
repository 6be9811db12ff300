"""Which of two encodings a file of text was read in."""

from pathlib import Path


def older(file: Path) -> list[str]:
    """A sentence where ``file`` is no UTF-8, so that its letters were read as Windows-1252 has them."""
    data = b"" if file.suffix.lower() == ".parquet" else file.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return []
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return [f"{file}: read as Windows-1252, since byte {error.start:,} is no UTF-8"]
    return []
