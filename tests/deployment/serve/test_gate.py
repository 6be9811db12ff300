"""Who may ask: every route there is, with every host, origin and token that should and should not do."""

from typing import Any

import pytest

from fathom.deployment.serve.gate import Gate
from fathom.deployment.serve.limits import Refused
from fathom.deployment.serve.server import check_exposure, hosts_of
from fathom.errors import InputError

TOKEN = "a-long-and-secret-token"
OPEN = {"/", "/v2/health/live", "/v2/health/ready"} | {
    f"/static/{name}" for name in ("page.css", "page.js", "asking.js", "inputs.js", "outputs.js")
}
EVIL_HOSTS = (
    None, "", "evil.example", "evil.example:8000", "127.0.0.1.evil.example:8000", "127.0.0.1:8001",
    "127.0.0.1",
    "localhost:8000.evil.example", "127.0.0.1:8000@evil.example", "[::1]:8000", "0.0.0.0:8000", "127.1:8000",
    "127.0.0.1:8000 ", "2130706433:8000",
)  # fmt: skip
EVIL_ORIGINS = (
    "null", "", "http://evil.example", "https://127.0.0.1:8000.evil.example", "http://127.0.0.1:8001",
    "http://127.0.0.1", "file://", "http://evil.example/127.0.0.1:8000",
)  # fmt: skip
SAFE = {
    "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin", "cache-control": "no-store",
}  # fmt: skip


def bearer(token: str, scheme: str = "Bearer") -> tuple[str, str]:
    return ("Authorization", f"{scheme} {token}")


def test_every_route_wants_the_token_but_page_and_probes(serve: Any, lenet: Any) -> None:
    client = serve(lenet, token=TOKEN)
    routes = list(client.app.routes)
    assert {p for _, p in routes} >= OPEN and len(routes) > 12
    wrong = ("", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00fc" * 23, f"x {TOKEN}")
    for method, path in routes:
        if path in OPEN:
            assert client(method, path).status == 200
            continue
        assert client(method, path).status == 401
        for token in wrong:
            reply = client(method, path, headers=[bearer(token)])
            assert reply.status == 401 and reply.headers["www-authenticate"] == "Bearer"
        assert client(method, path, headers=[bearer(TOKEN, "Basic")]).status == 401
        assert client(method, path, headers=[bearer(TOKEN), bearer("other")]).status == 400
        assert client(method, f"{path}?token={TOKEN}").status == 401
        assert client(method, path, headers=[bearer(TOKEN)]).status in (200, 400, 415)
        assert client(method, path, headers=[bearer(TOKEN, "bearer")]).status in (200, 400, 415)


def test_what_does_not_exist_is_hidden_behind_the_token_too(serve: Any, lenet: Any) -> None:
    client = serve(lenet, token=TOKEN)
    for path in (
        "/nothing",
        "/v2/health",
        "/v2/health/ready/",
        "/static/",
        "/static/../app.py",
        "//",
        "/page.js",
    ):
        assert client("GET", path).status == 401
        assert client("GET", path, headers=[bearer(TOKEN)]).status == 404
    assert client("DELETE", "/predict").status == 401
    assert client("DELETE", "/predict", headers=[bearer(TOKEN)]).status == 405


def test_every_route_refuses_other_hosts_first(serve: Any, lenet: Any) -> None:
    """The right token does not help: this is what a page that rebinds DNS would send."""
    client = serve(lenet, token=TOKEN)
    for method, path in [*client.app.routes, ("GET", "/nothing"), ("PUT", "/"), ("OPTIONS", "/predict")]:
        for host in EVIL_HOSTS:
            forged = [bearer(TOKEN), ("X-Forwarded-Host", "127.0.0.1:8000")]
            reply = client(method, path, host=host, headers=forged)
            assert reply.status == 403, (method, path, host)
        assert client(method, path, headers=[("Host", "127.0.0.1:8000")]).status == 403  # sent twice
        assert client(method, path, headers=[("Host", "evil.example")]).status == 403
    for host in ("localhost:8000", "LocalHost:8000"):
        assert client("GET", "/", host=host).status == 200


def test_pages_of_other_origins_cannot_post(serve: Any, lenet: Any) -> None:
    client = serve(lenet)
    item = lenet.task.examples()[0]
    for path in [p for m, p in client.app.routes if m == "POST"]:
        for origin in EVIL_ORIGINS:
            for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
                reply = client.post(item, path, kind=kind, headers=[("Origin", origin)])
                assert reply.status == 403, (path, origin)
    for origin in ("http://127.0.0.1:8000", "http://localhost:8000", "https://localhost:8000"):
        assert client.post(item, headers=[("Origin", origin)]).status == 200
    assert "access-control-allow-origin" not in client.post(item).headers


def test_every_answer_carries_safe_headers_and_a_number(serve: Any, lenet: Any) -> None:
    client = serve(lenet, token=TOKEN)
    seen = set()
    for method, path in [*client.app.routes, ("GET", "/nothing"), ("PATCH", "/predict")]:
        for headers in ([], [bearer(TOKEN)]):
            reply = client(method, path, headers=headers)
            assert reply.headers.items() >= SAFE.items()
            assert "default-src 'self'" in reply.headers["content-security-policy"]
            assert int(reply.headers["content-length"]) == len(reply.body)
            seen.add(reply.headers["x-request-id"])
            if reply.status >= 400:
                told = reply.json()
                assert told["request"] == reply.headers["x-request-id"] and told["error"]
                assert TOKEN not in reply.body.decode()
    assert len(seen) == 2 * (len(client.app.routes) + 2)


def test_head_is_get_without_a_body(serve: Any, lenet: Any) -> None:
    client = serve(lenet)
    for path in ("/", "/v2", "/about"):
        get, head = client("GET", path), client("HEAD", path)
        assert head.status == 200 and head.body == b""
        assert head.headers["content-length"] == get.headers["content-length"]
    assert client("HEAD", "/predict").status == 405


def test_websockets_are_closed(client: Any) -> None:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message)

    client.run(client.app({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


# -- what a server is started with ---------------------------------------------------------------
def test_hosts() -> None:
    assert hosts_of("127.0.0.1", 8000) == {"127.0.0.1:8000", "localhost:8000", "[::1]:8000"}
    assert hosts_of("::1", 80) >= {"localhost", "[::1]", "localhost:80"}
    assert hosts_of("10.0.0.5", 99) == {"10.0.0.5:99"}
    assert hosts_of("fe80::1", 99) == {"[fe80::1]:99"}
    named = hosts_of("10.0.0.5", 99, ("Model.Example",))
    assert named == {"10.0.0.5:99", "model.example", "model.example:99"}


def test_an_address_at_which_a_connection_arrived_is_a_host_when_listening_everywhere() -> None:
    def asks(gate: Gate, host: str, server: Any) -> bool:
        try:
            gate.check_host({"headers": [(b"host", host.encode())], "server": server})
        except Refused:
            return False
        return True

    gate = Gate(hosts_of("0.0.0.0", 99), None, by_address=True)
    assert asks(gate, "10.0.0.5:99", ("10.0.0.5", 99))
    assert asks(gate, "localhost:99", ("127.0.0.1", 99))
    assert asks(gate, "[fe80::1]:99", ("fe80::1", 99))
    assert not asks(gate, "10.0.0.6:99", ("10.0.0.5", 99))
    assert not asks(gate, "evil.example:99", ("10.0.0.5", 99))
    assert not asks(gate, "10.0.0.5:99", None)
    assert not asks(Gate(hosts_of("127.0.0.1", 99), None), "10.0.0.5:99", ("10.0.0.5", 99))


def test_exposure() -> None:
    for near in ("127.0.0.1", "localhost", "::1"):
        assert check_exposure(near, None, False) is None
    for far in ("0.0.0.0", "::", "10.0.0.5", "127.0.0.1.example"):
        with pytest.raises(InputError, match="--token"):
            check_exposure(far, None, False)
        assert check_exposure(far, None, True) is None
        assert check_exposure(far, TOKEN, False) == TOKEN
    made = {check_exposure("127.0.0.1", "auto", False) for _ in range(50)}
    assert len(made) == 50 and all(len(str(token)) >= 40 for token in made)
    for bad in (
        "",
        "short",
        "fifteen-letters",
        "with a space in the middle",
        "\u00fc" * 20,
        "line\nbreak" * 3,
    ):
        with pytest.raises(InputError, match="16 plain characters"):
            check_exposure("127.0.0.1", bad, False)
