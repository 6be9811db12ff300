"""The idx format of the MNIST files: a magic number, the sizes of the axes, then bytes."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from fathom.errors import InputError

UNSIGNED_BYTE = 8
LARGEST = 2**30  # bytes that are unpacked


def read(file: Path) -> np.ndarray:
    """The uint8 array in an idx file, plain or gzip-compressed; its axes are those the file states.

    Raises ``InputError`` naming a file that is damaged or holds something else.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    axes = data[3] if len(data) >= 4 else 0
    head = 4 + 4 * axes
    if len(data) < head or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTE or not axes:
        raise InputError(f"{file} is no idx file of bytes: it begins with {data[:4].hex(' ') or 'nothing'}")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", count=axes, offset=4))
    size = 1
    for length in shape:
        size *= length
    if len(data) != head + size:
        raise InputError(
            f"{file} states {shape}, {size:,} bytes, but holds {len(data) - head:,}: it is damaged"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape).copy()  # a copy can be written to
