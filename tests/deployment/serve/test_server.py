"""Real processes: exposure, limits of connections, draining under load, and Ctrl-C."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from fathom.deployment.artifact import Artifact
from fathom.deployment.serve.limits import Limits
from fathom.deployment.serve.server import build, open_socket
from fathom.errors import InputError

pytestmark = pytest.mark.slow

ITEM = json.dumps([[0] * 16] * 16).encode()
JSON = {"Content-Type": "application/json"}


class Process:
    """``fathom serve`` with the options given, on a free port."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "fathom", "serve", str(folder), "--port", "0", "--threads", "1"]
        self.process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self.process.stdout
        self.said = ""
        while "stop " not in self.said:
            line = self.process.stdout.readline()
            assert line, self.process.communicate()
            self.said += line
        found = re.search(r"page     http://(\S+):(\d+)/(?:#token=(\S+))?", self.said)
        assert found, self.said
        self.host, self.port, self.token = found[1], int(found[2]), found[3]

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def end(self, sign: int) -> tuple[int, str]:
        """Send ``sign``; the exit code and what was said on standard error."""
        self.process.send_signal(sign)
        _, errors = self.process.communicate(timeout=40)
        return self.process.returncode, errors


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Process]]:
    running: list[Process] = []

    def make(*options: str) -> Process:
        running.append(Process(folder, *options))
        return running[-1]

    yield make
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


# -- draining ---------------------------------------------------------------------------------------
def head(port: int, path: str = "/predict", *further: str, length: int = len(ITEM)) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json", *further]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


async def answer(reader: asyncio.StreamReader) -> str:
    """The status of a whole answer, or what went wrong."""
    try:
        top = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", top)
        assert length
        json.loads(await reader.readexactly(int(length[1])))
        return top[9:12].decode()
    except (OSError, asyncio.IncompleteReadError) as error:
        return type(error).__name__


async def hammer(port: int, results: list[str], stopped: asyncio.Event) -> None:
    """One client that asks again and again, each time on a connection of its own."""
    while not stopped.is_set():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(port) + ITEM)
        results.append(await answer(reader))
        writer.close()


async def closed(port: int) -> None:
    """Returns when nothing listens at ``port`` any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0.02)


async def stopped_under_load(server: Process) -> tuple[list[str], list[str]]:
    """SIGTERM among busy clients, and with requests inside whose bodies end only when nothing listens."""
    port, results, stopped = server.port, list[str](), asyncio.Event()
    clients = [asyncio.create_task(hammer(port, results, stopped)) for _ in range(8)]
    inside = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
    for _, writer in inside:
        writer.write(head(port) + ITEM[:100])
    while len(results) < 50:
        await asyncio.sleep(0.005)
    server.process.send_signal(signal.SIGTERM)
    ready = 200
    while ready == 200:
        ready, _ = await asyncio.to_thread(server.ask, "GET", "/v2/health/ready")
    assert ready == 503
    before = len(results)
    while len(results) < before + 20:  # not ready, but it goes on answering
        await asyncio.sleep(0.005)
    stopped.set()  # a balancer has noticed
    await asyncio.gather(*clients)
    await closed(port)
    for _, writer in inside:
        writer.write(ITEM[100:])
    held = [await answer(reader) for reader, _ in inside]
    for _, writer in inside:
        writer.close()
    return results, held


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(3))
def test_sigterm_under_load_loses_no_request(turn: int, start: Any) -> None:
    server = start("--drain", "1.5")
    results, held = asyncio.run(stopped_under_load(server))
    assert Counter(results) == {"200": len(results)}
    assert held == ["200"] * 10
    _, errors = server.process.communicate(timeout=40)
    assert server.process.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_the_drain(start: Any) -> None:
    """And a token is asked for, printed for the person, and written nowhere else."""
    server = start("--drain", "3600", "--token", "auto")
    assert len(server.token) >= 40
    bearer = {"Authorization": f"Bearer {server.token}"}
    assert server.ask("POST", "/predict", ITEM, **JSON)[0] == 401
    assert server.ask("POST", "/predict", ITEM, **JSON, **bearer)[0] == 200
    idle = socket.create_connection(("127.0.0.1", server.port))
    code, errors = server.end(signal.SIGINT)
    idle.close()
    assert code == 0
    assert server.token not in errors and "Traceback" not in errors


# -- connections -----------------------------------------------------------------------------------
@pytest.fixture
def serving(lenet: Artifact) -> Iterator[Callable[..., Any]]:
    """Serves in a thread of this process; returns the server and its port."""
    running: list[tuple[Any, threading.Thread]] = []

    def make(served: Artifact = lenet, **options: Any) -> Any:
        server, listener, address, _ = build(served, port=0, **options)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        running.append((server, thread))
        return server, int(address.rpartition(":")[2])

    yield make
    for server, thread in running:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def talk(port: int, *data: bytes, then: Iterable[bytes] = ()) -> bytes:
    """Send ``data`` and ``then``, and read until the server closes the connection."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            for part in chain(data, then):
                connection.sendall(part)
            while more := connection.recv(65536):
                got += more
        except ConnectionError:
            pass
    return got


def trickle(count: int) -> Iterator[bytes]:
    """A header every now and then."""
    for _ in range(count):
        yield b"x: 1\r\n"
        time.sleep(0.02)
    raise AssertionError("nobody stopped this")


def test_idle_and_trickling_connections_are_closed(serving: Any) -> None:
    _, port = serving(limits=Limits(idle_seconds=0.3))
    assert talk(port) == b""
    assert talk(port, b"GET / HTTP/1.1\r\n") == b""
    assert talk(port, b"GET / HTTP/1.1\r\n", then=trickle(1500)) == b""
    once = talk(port, head(port) + ITEM)
    assert once.startswith(b"HTTP/1.1 200") and once.count(b"HTTP/1.1") == 1


def test_a_slow_body_is_told_and_cut(serving: Any) -> None:
    _, port = serving(limits=Limits(body_seconds=0.3, idle_seconds=0.3))
    assert talk(port, head(port), ITEM[:10]).startswith(b"HTTP/1.1 408")


def test_a_body_beyond_the_limit_is_told_and_cut(serving: Any) -> None:
    server, port = serving(limits=Limits(body=10_000, idle_seconds=0.3))
    assert talk(port, head(port, length=10_001)).startswith(b"HTTP/1.1 413")
    lines = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    start = f"{lines}Transfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"fff\r\n" + b" " * 0xFFF + b"\r\n"
    assert talk(port, start, chunk, chunk, chunk).startswith(b"HTTP/1.1 413")
    both = f"{lines}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n".encode()
    assert b" 200 " not in talk(port, both, b"0\r\n\r\n")[:20]
    assert talk(port, head(port) + ITEM).startswith(b"HTTP/1.1 200")
    assert server.app.metrics.inside == 0


def test_heads_that_are_no_http_or_name_others(serving: Any) -> None:
    _, port = serving(limits=Limits(idle_seconds=0.3))
    good = f"Host: 127.0.0.1:{port}\r\n"
    for lines, statuses in (
        ("GET / HTTP/1.1\r\n", (400, 403)),
        (f"GET / HTTP/1.1\r\n{good}{good}", (400, 403)),
        ("GET / HTTP/1.0\r\n", (403,)),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n", (403,)),
        (f"GET http://evil.example/ HTTP/1.1\r\n{good}", (404,)),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n" + f"X-Forwarded-Host: 127.0.0.1:{port}\r\n", (403,)),
        (f"GET /static/..%2f..%2fapp.py HTTP/1.1\r\n{good}", (404,)),
        (f"GET / HTTP/1.1\r\n{good}" + "a: b\r\n" * 200_000, (400,)),
        ("\x16\x03\x01", (400,)),
    ):
        reply = talk(port, f"{lines}\r\n".encode())
        assert int(reply[9:12]) in statuses, lines[:80]
        assert b"Traceback" not in reply


def test_answers_leave_at_once(serving: Any) -> None:
    """With Nagle's algorithm the body would wait until the client has acknowledged the head."""
    server, port = serving()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head(port) + ITEM)
        assert connection.recv(12) == b"HTTP/1.1 200"
        (one,) = server.server_state.connections
        accepted = one.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_no_more_connections_than_allowed(serving: Any) -> None:
    _, port = serving(limits=Limits(connections=3, idle_seconds=20.0))
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
    for connection in held:
        connection.sendall(f"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert talk(port, head(port) + ITEM) == b""
    held.pop().close()
    while not talk(port, head(port, "/predict", "Connection: close") + ITEM).startswith(b"HTTP/1.1 200"):
        pass
    for connection in held:
        connection.close()


def test_a_client_that_leaves_frees_its_place(serving: Any, lenet: Artifact, around: Any) -> None:
    gate, sizes = threading.Event(), list[int]()
    gate.set()

    def network(arrays: Any) -> Any:
        sizes.append(len(arrays["image"]))
        gate.wait(60)
        return lenet.network(arrays)

    server, port = serving(around(lenet.task, network))
    gate.clear()
    first, second = (socket.create_connection(("127.0.0.1", port)) for _ in range(2))
    first.sendall(head(port) + ITEM)
    while sizes != [1, 1]:  # the warm-up, and the first
        time.sleep(0.005)
    second.sendall(head(port) + ITEM)
    while server.app.metrics.inside < 2:
        time.sleep(0.005)
    second.close()
    while server.app.metrics.inside > 1:
        time.sleep(0.005)
    gate.set()
    assert first.recv(12) == b"HTTP/1.1 200"
    first.close()
    assert sizes == [1, 1]
    assert server.app.metrics.requests["/predict", 499] == 1


def test_listening_everywhere(serving: Any) -> None:
    """It answers under the address it was reached at and under no other name, and with the token only."""
    token = "a-long-and-secret-token"
    _, port = serving(host="0.0.0.0", token=token, limits=Limits(idle_seconds=0.3))
    bearer = f"Authorization: Bearer {token}"
    assert talk(port, head(port, "/predict", bearer) + ITEM).startswith(b"HTTP/1.1 200")
    assert talk(port, head(port, "/predict") + ITEM).startswith(b"HTTP/1.1 401")
    other = head(port, "/predict", bearer).replace(b"Host: 127.0.0.1", b"Host: evil.example")
    assert talk(port, other + ITEM).startswith(b"HTTP/1.1 403")


# -- refusing to start -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"host": "0.0.0.0"}, "reachable by others"),
        ({"token": "short"}, "16 plain characters"),
        ({"port": 70_000}, "between 0 and 65535"),
        ({"drain": -1.0}, "0 seconds or more"),
        ({"host": "203.0.113.7", "insecure": True}, "cannot be used"),
        ({"host": "no.such.host.invalid.", "insecure": True}, "cannot be used"),
        ({"host": "a" * 70 + ".b", "insecure": True}, "cannot be used"),
    ],
)
def test_what_cannot_be_served_is_told(options: dict[str, Any], reason: str, lenet: Artifact) -> None:
    with pytest.raises(InputError, match=reason):
        build(lenet, **{"port": 0, **options})


def test_a_port_in_use_is_told(lenet: Artifact) -> None:
    with open_socket("127.0.0.1", 0) as taken:
        with pytest.raises(InputError, match="choose another --port"):
            build(lenet, port=taken.getsockname()[1])


def test_a_model_that_fails_on_its_own_example_is_not_served(lenet: Artifact, around: Any) -> None:
    def network(arrays: Any) -> Any:
        raise RuntimeError("weights are missing")

    with pytest.raises(RuntimeError, match="weights are missing"):
        build(around(lenet.task, network), port=0)
