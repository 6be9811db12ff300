"""Fetching a file: resumed where it broke off, checked against its hash, put in place whole or not at all."""

import hashlib
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

from fathom.data.places import DataSet
from fathom.errors import InputError

CHUNK = 1 << 16
TRIES = 3

# The address of each file, for sets whose publisher serves the very bytes whose hash we know.
ADDRESSES = {
    "tiny_shakespeare": {
        "input.txt": "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
    },
}


def addresses_of(data: DataSet) -> dict[str, str]:
    """File -> address; empty where the set has to be fetched by hand."""
    return ADDRESSES.get(data.name, {})


def download(address: str, target: Path, *, sha256: str, size: int, timeout: float = 30.0) -> Path:
    """Fetch ``address`` into ``target``; proxies are taken from the environment.

    A part that is there already is continued with a Range request. Raises ``InputError`` when the
    server cannot be reached, sends more than ``size`` bytes, or bytes with another hash.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    reason = "it was not reached"
    for attempt in range(TRIES):
        try:
            _continue(address, part, size, timeout)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error))
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                break
            time.sleep(0.2 * attempt)
            continue
        if part.stat().st_size < size:
            reason = f"it ended after {part.stat().st_size:,} of {size:,} bytes"
            continue
        if hashlib.sha256(part.read_bytes()).hexdigest() == sha256:
            os.replace(part, target)
            return target
        part.unlink()
        raise InputError(f"{address} sent other bytes than expected: the SHA-256 differs; nothing was kept")
    raise InputError(f"{address} could not be fetched: {reason}; put the file at {target} yourself")


def _continue(address: str, part: Path, size: int, timeout: float) -> None:
    have = part.stat().st_size if part.is_file() else 0
    if have >= size:
        return
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        if reply.status != 206:
            have = 0  # the server starts from the beginning
        with part.open("ab" if have else "wb") as handle:
            while data := reply.read(CHUNK):
                have += len(data)
                if have > size:
                    handle.close()
                    part.unlink()
                    raise InputError(
                        f"{address} sends more than the expected {size:,} bytes; nothing was kept"
                    )
                handle.write(data)
