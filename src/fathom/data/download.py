"""Downloading one file whose size and SHA-256 are known before: resumed, checked, then put in place at once.

Some publishers give only the first digits of the SHA-256 and a rounded size. Then those digits are compared,
and the size may be off by what was rounded away; whoever calls keeps the whole hash of what came.

What arrives is kept in ``<target>.part``. A connection that breaks is taken up again at the byte where it
broke (RFC 9110, section 14: Range); a server that starts anew is followed. Only when size and SHA-256 are
right does the file get its name, so a file with that name is always whole. Proxies are those of the
environment (http_proxy, https_proxy, no_proxy); addresses other than http and https are refused, also
behind a redirect.
"""

import contextlib
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from fathom.errors import InputError

CHUNK = 2**16
SLOWEST = 20_000  # bytes a second that a download must make on the whole, lest it hang for days
LARGEST = 20 * 2**30


class Broken(Exception):
    """A connection that failed in a way that may pass."""


def download(
    address: str,
    target: Path,
    *,
    sha256: str,
    size: int,
    within: int = 0,
    timeout: float = 30.0,
    attempts: int = 4,
    pause: float = 1.0,
) -> Path:
    """Bring ``address`` to ``target`` and return it.

    ``sha256`` is the whole hash, 64 digits, or its first 8 or more. ``size`` in bytes is exact, or right
    ``within`` so many: a server that offers or sends more is refused. ``timeout`` in seconds is for
    connecting and for each wait for data; the whole may take ``timeout`` + size / 20 kB/s. A connection
    that breaks is tried ``attempts`` times, after a pause that begins with ``pause`` seconds and doubles.
    Raises ``InputError`` that names the address and the reason; what arrived so far stays for the next try.
    """
    if not 0 <= size <= LARGEST:
        raise InputError(f"{address}: the size is given as {size:,} bytes; allowed: 0 to {LARGEST:,}")
    if not re.fullmatch("[0-9a-f]{8,64}", sha256):
        raise InputError(
            f"{address}: the SHA-256 is given as {sha256!r}; allowed: 8 to 64 digits 0-9 and a-f"
        )
    only_web(address)
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(attempts):
            if attempt:
                time.sleep(pause * 2 ** (attempt - 1))
            try:
                if not (part.is_file() and part.stat().st_size >= size - within and starts(part, sha256)):
                    receive(address, part, size, within, timeout)
                break
            except Broken as error:
                if attempt == attempts - 1:
                    kept = part.stat().st_size if part.exists() else 0
                    raise InputError(
                        f"{address}: {error} ({attempts} attempts; {kept:,} of {size:,} bytes are kept"
                        " and the next try goes on from there)"
                    ) from error
        settle(address, part, target, sha256)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def only_web(address: str) -> None:
    """Refuse addresses that are not http or https."""
    scheme = urllib.parse.urlsplit(address).scheme
    if scheme not in ("http", "https"):
        raise InputError(
            f"{address}: only http and https addresses are downloaded, not {scheme or 'paths'!r}"
        )


class WebRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https; the standard one also goes to ftp."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        only_web(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def receive(address: str, part: Path, size: int, within: int, timeout: float) -> None:
    """Go on with ``part`` until the file is whole. ``Broken`` when the connection fails."""
    begun = part.stat().st_size if part.exists() else 0
    if begun > size + within:
        part.unlink()
        begun = 0
    if not within and begun == size and part.exists():
        return
    request = urllib.request.Request(address, headers={"User-Agent": "fathom", "Accept-Encoding": "identity"})
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    deadline = time.monotonic() + timeout + size / SLOWEST
    whole = size - within
    try:
        with urllib.request.build_opener(WebRedirects).open(request, timeout=timeout) as answer:
            start = first_byte(answer, begun)
            whole = refuse_other_size(address, answer, start, size, within)
            with part.open("r+b" if start else "wb") as file:
                file.truncate(start)
                file.seek(start)
                copy(address, answer, file, size + within - start, deadline)
    except urllib.error.HTTPError as error:
        failed(address, error, part)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise Broken(f"the connection failed: {getattr(error, 'reason', error) or error}") from error
    if part.stat().st_size < whole:
        raise Broken("the connection ended early")


def first_byte(answer: Any, begun: int) -> int:
    """Where in the file the answer starts: ``begun`` as asked for, or 0 from a server without ranges."""
    if answer.status != 206:
        return 0
    unit, _, span = (answer.headers.get("Content-Range") or "").partition(" ")
    first = span.partition("-")[0]
    if unit != "bytes" or not first.isdigit() or int(first) != begun:
        raise Broken(f"the server sent the range {unit} {span!r}, not the one from byte {begun}")
    return begun


def refuse_other_size(address: str, answer: Any, start: int, size: int, within: int) -> int:
    """The bytes that the whole file must have. A server that announces more than that does not have it."""
    announced = answer.headers.get("Content-Length", "")
    offered = start + int(announced) if announced.isdigit() else size - within
    if offered > size + within:
        raise InputError(
            f"{address}: the server offers {offered:,} bytes; the file has {size:,}: this is another file"
        )
    return max(offered, size - within)


def copy(address: str, answer: Any, file: Any, left: int, deadline: float) -> None:
    """Write at most ``left`` bytes; one more is another file."""
    with contextlib.closing(answer):
        while chunk := answer.read1(min(CHUNK, left + 1)):
            if len(chunk) > left:
                file.truncate(0)  # nothing of it is worth keeping
                raise InputError(
                    f"{address}: the server sends more bytes than the file has: this is another file"
                )
            file.write(chunk)
            left -= len(chunk)
            if left and time.monotonic() > deadline:
                raise Broken(f"less than {SLOWEST:,} bytes a second arrive")


def failed(address: str, error: urllib.error.HTTPError, part: Path) -> None:
    """Say what an HTTP error means; those that may pass are ``Broken``."""
    with error:
        if error.code == 416:  # the part that is kept does not fit the server's file
            part.unlink(missing_ok=True)
            raise Broken("the server cannot go on where the last try ended") from error
        if error.code in (408, 425, 429) or error.code >= 500:
            raise Broken(f"the server answers {error.code} {error.reason}") from error
        raise InputError(f"{address}: the server answers {error.code} {error.reason}") from error


def starts(part: Path, sha256: str) -> bool:
    """Is this the whole file already? An earlier process may have been stopped between the last two steps."""
    with part.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(sha256)


def settle(address: str, part: Path, target: Path, sha256: str) -> None:
    """Check what arrived and give it its name, so that it survives a crash."""
    with part.open("r+b") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found.startswith(sha256):
            os.fsync(file.fileno())
    if not found.startswith(sha256):
        part.unlink()
        more = "" if len(sha256) == 64 else "..."
        raise InputError(
            f"{address}: what arrived has SHA-256 {found}, not {sha256}{more}; it was thrown away"
        )
    os.replace(part, target)
    with contextlib.suppress(OSError):  # Windows cannot open folders
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
