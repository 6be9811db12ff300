"""The files of the pages: our own sheet and scripts, and in ``vendor`` what is taken from others.

A name is looked up among those that the package has, so no path leads out of it. Text travels packed where
the browser takes that: the bundles are several hundred kilobytes, and the server may be at the other end of
a tunnel.
"""

import gzip
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from starlette.responses import Response

from fathom.learn.web import look
from fathom.learn.web.gate import Turned

KINDS = {
    ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml",
    ".txt": "text/plain", ".woff2": "font/woff2",
}  # fmt: skip
PACKED = ".woff2"  # is compressed already


def served(name: str, encodings: str = "") -> Response:
    """A file as an answer; ``Turned`` where there is none of that name."""
    found = statics().get(name)
    if found is None:
        raise Turned(404, "There is no such file.")
    if name.endswith(PACKED):
        return Response(found[0], media_type=found[1])
    headers = {"vary": "accept-encoding"}
    if "gzip" in encodings:
        return Response(packed(name), media_type=found[1], headers=headers | {"content-encoding": "gzip"})
    return Response(found[0], media_type=found[1], headers=headers)


@cache
def statics() -> dict[str, tuple[bytes, str]]:
    """The files of the pages by the end of their address, with their kinds."""
    web = resources.files("fathom.learn.web")
    found = dict(of_folder(web.joinpath("static"), ""))
    text, kind = found["page.css"]
    found["page.css"] = (f"{look.sheet()}\n".encode() + text, kind)
    return found | dict(of_folder(web.joinpath("vendor"), "vendor/"))


def of_folder(folder: Traversable, prefix: str) -> Iterator[tuple[str, tuple[bytes, str]]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from of_folder(entry, f"{prefix}{entry.name}/")
        elif kind := KINDS.get(Path(entry.name).suffix):
            yield prefix + entry.name, (entry.read_bytes(), kind)


@cache
def packed(name: str) -> bytes:
    return gzip.compress(statics()[name][0], mtime=0)
