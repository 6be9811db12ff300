"""Downloads from a server on this machine that misbehaves in every way we could think of."""

import hashlib
import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fathom.data import download as module
from fathom.data import places
from fathom.data.download import download
from fathom.data.places import DataSet
from fathom.errors import InputError

BODY = bytes(range(256)) * 1000  # 256,000 bytes
DIGEST = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers by the first part of the path; notes what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Any

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        span = self.headers.get("Range")
        self.server.asked.append((self.path, span))
        getattr(self, "on_" + self.path.split("/")[1])(int(span[6:-1]) if span else 0)

    def head(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def part(self, first: int, stop: int = len(BODY)) -> None:
        """The body from ``first``, as ranges are answered; the connection ends at ``stop``."""
        if first:
            span = f"bytes {first}-{len(BODY) - 1}/{len(BODY)}"
            self.head(206, Content_Length=len(BODY) - first, Content_Range=span)
        else:
            self.head(200, Content_Length=len(BODY))
        self.wfile.write(BODY[first:stop])

    def on_good(self, first: int) -> None:
        self.part(first)

    def on_broken(self, first: int) -> None:
        self.part(first, first + 100_000)

    def on_norange(self, first: int) -> None:
        self.head(200, Content_Length=len(BODY))
        self.wfile.write(BODY[:100_000] if len(self.server.asked) == 1 else BODY)

    def on_otherrange(self, first: int) -> None:
        self.head(206, Content_Length=10, Content_Range=f"bytes {first + 5}-{first + 14}/{len(BODY)}")
        self.wfile.write(BODY[:10])

    def on_wrong(self, first: int) -> None:
        self.head(200, Content_Length=len(BODY))
        self.wfile.write(BODY[::-1])

    def on_missing(self, first: int) -> None:
        self.head(404, Content_Length=0)

    def on_busy(self, first: int) -> None:
        if len(self.server.asked) < 3:
            self.head(503, Content_Length=0)
        else:
            self.part(first)

    def on_moved(self, first: int) -> None:
        self.head(302, Location=f"{self.server.address}/good", Content_Length=0)

    def on_astray(self, first: int) -> None:
        self.head(302, Location="ftp://127.0.0.1/good", Content_Length=0)

    def on_circle(self, first: int) -> None:
        self.head(302, Location=f"{self.server.address}/circle", Content_Length=0)

    def on_large(self, first: int) -> None:
        self.head(200, Content_Length=10 * len(BODY))

    def on_endless(self, first: int) -> None:
        self.head(200)  # says nothing about its length
        try:
            while not self.server.over.is_set():
                self.wfile.write(BODY)
        except OSError:
            pass  # the other side has had enough

    def on_silent(self, first: int) -> None:
        self.server.over.wait(20)

    def on_refused(self, first: int) -> None:
        if first:
            self.head(416, Content_Length=0)
        else:
            self.part(0)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.over.set()
        made.shutdown()
        thread.join()


def get(server: Server, path: str, target: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {"sha256": DIGEST, "size": len(BODY), "pause": 0.0, "timeout": 10.0}
    return download(f"{server.address}/{path}", target, **(settings | changes))


def parts(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_good_file_arrives_whole_and_leaves_no_part(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file"
    assert get(server, "good", target) == target
    assert target.read_bytes() == BODY and parts(target.parent) == ["file"]
    assert server.asked == [("/good", None)]


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    get(server, "broken", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    assert [span for _, span in server.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_what_an_earlier_try_left_is_used(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="100,000 of 256,000 bytes are kept"):
        get(server, "broken", tmp_path / "file", attempts=1)
    assert parts(tmp_path) == ["file.part"]
    get(server, "good", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.asked[-1] == ("/good", "bytes=100000-")


def test_a_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    get(server, "norange", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    assert [span for _, span in server.asked] == [None, "bytes=100000-"]


def test_another_range_than_asked_for_is_not_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(BODY[:1000])
    with pytest.raises(InputError, match="not the one from byte 1000"):
        get(server, "otherrange", tmp_path / "file")
    assert (tmp_path / "file.part").read_bytes() == BODY[:1000]


def test_a_part_the_server_cannot_go_on_with_is_given_up(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"something else")
    get(server, "refused", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_part_that_is_longer_than_the_file_is_given_up(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(BODY + b"more")
    get(server, "good", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_wrong_hash_is_thrown_away(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/wrong: what arrived has SHA-256 [0-9a-f]{64}, not " + DIGEST):
        get(server, "wrong", tmp_path / "file")
    assert parts(tmp_path) == []


def test_a_damaged_part_does_not_pass(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"\xff" * 1000)
    with pytest.raises(InputError, match="thrown away"):
        get(server, "good", tmp_path / "file")
    get(server, "good", tmp_path / "file")  # and the next try is clean
    assert (tmp_path / "file").read_bytes() == BODY


def test_not_found_is_said_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="/missing: the server answers 404"):
        get(server, "missing", tmp_path / "file")
    assert len(server.asked) == 1 and parts(tmp_path) == []


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    get(server, "busy", tmp_path / "file")
    assert len(server.asked) == 3


def test_a_server_that_stays_busy_is_left(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"answers 503.*2 attempts"):
        get(server, "busy", tmp_path / "file", attempts=2)


def test_redirects_are_followed_on_the_web_only(server: Server, tmp_path: Path) -> None:
    get(server, "moved", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    with pytest.raises(InputError, match="only http and https"):
        get(server, "astray", tmp_path / "other")
    with pytest.raises(InputError, match="circle: the server answers 302"):
        get(server, "circle", tmp_path / "third")


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/x", "file:///etc/hostname", "/etc/hostname", "data:,x"])
def test_other_addresses_are_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only http and https"):
        download(address, tmp_path / "file", sha256=DIGEST, size=10)


@pytest.mark.parametrize("path", ["large", "endless"])
def test_more_than_the_file_has_is_refused(server: Server, tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="this is another file"):
        get(server, path, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    part = tmp_path / "file.part"
    assert not part.exists() or part.stat().st_size == 0


def test_the_first_digits_of_a_hash_and_a_rounded_size_are_enough(server: Server, tmp_path: Path) -> None:
    for name, size in (("more", len(BODY) + 300), ("less", len(BODY) - 300)):
        get(server, "broken", tmp_path / name, sha256=DIGEST[:8], size=size, within=300)
        assert (tmp_path / name).read_bytes() == BODY
    with pytest.raises(InputError, match=f"not {'0' * 8}\\.\\.\\.; it was thrown away"):
        get(server, "good", tmp_path / "other", sha256="0" * 8)
    with pytest.raises(InputError, match="this is another file"):
        get(server, "good", tmp_path / "other", sha256=DIGEST[:8], size=len(BODY) - 301, within=300)


@pytest.mark.parametrize("sha256", ["", "abc", "0" * 65, "G" * 64])
def test_what_is_no_hash_is_refused(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(InputError, match="allowed: 8 to 64 digits"):
        download("http://127.0.0.1/x", tmp_path / "file", sha256=sha256, size=1)


@pytest.mark.parametrize("size", [-1, module.LARGEST + 1])
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(InputError, match="allowed: 0 to"):
        download("http://127.0.0.1/x", tmp_path / "file", sha256=DIGEST, size=size)


def test_a_silent_server_is_left_after_the_timeout(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"timed out.*2 attempts"):
        get(server, "silent", tmp_path / "file", timeout=0.1, attempts=2)


def test_a_trickle_is_left(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = itertools.count(0, 3600)  # an hour goes by between any two looks at the clock
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(hours), sleep=lambda _: None))
    with pytest.raises(InputError, match="bytes a second arrive"):
        get(server, "good", tmp_path / "file", attempts=1)
    assert (tmp_path / "file.part").stat().st_size > 0


def test_nobody_there_is_said(tmp_path: Path) -> None:
    with Server() as gone:
        address = gone.address
    with pytest.raises(InputError, match=r"the connection failed.*0 of 256,000 bytes"):
        download(f"{address}/good", tmp_path / "file", sha256=DIGEST, size=len(BODY), attempts=2, pause=0.0)


def test_a_place_that_cannot_be_written_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        get(server, "good", tmp_path / "file" / "below")


def test_the_proxy_of_the_environment_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(Handler, "do_GET", lambda self: (self.server.asked.append(self.path), self.part(0)))
    download("http://data.invalid/x", tmp_path / "file", sha256=DIGEST, size=len(BODY), pause=0.0)
    assert server.asked == ["http://data.invalid/x"]


def test_a_set_is_fetched_once_and_found_afterwards(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "elsewhere"))
    data = DataSet(
        name="served", title="Served", tasks=(), licence="none", redistributable=True, citation="nobody",
        home=server.address,
        address=(f"{server.address}/missing/{{file}}", f"{server.address}/good/{{file}}"),
        files={"one": (DIGEST, len(BODY)), "deep/two": (DIGEST, len(BODY))},
    )  # fmt: skip
    assert places.find(data) == tmp_path / "cache" / "served"
    assert [path for path, _ in server.asked] == ["/missing/one", "/good/one", "/good/deep/two"]
    assert places.find(data) == tmp_path / "cache" / "served" and len(server.asked) == 3
    (tmp_path / "cache" / "served" / "one").unlink()
    places.find(data)
    assert [path for path, _ in server.asked[3:]] == ["/missing/one", "/good/one"]  # the other stays


def test_a_set_that_cannot_be_fetched_names_folders_and_addresses(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv(places.VARIABLE, raising=False)
    data = DataSet(
        name="served", title="Served", tasks=(), licence="none", redistributable=True, citation="nobody",
        home=server.address, address=(f"{server.address}/missing/{{file}}",), files={"one": (DIGEST, 3)},
    )  # fmt: skip
    with pytest.raises(InputError) as error:
        places.find(data)
    assert "404" in str(error.value) and str(tmp_path / "cache") in str(error.value)
