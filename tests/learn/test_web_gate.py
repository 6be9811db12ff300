"""Who may ask: every route and method from a foreign host, a foreign page, and without the token."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.routing import Route
from tests.learn.asking import HOST, PORT, Browser

from fathom.learn.web.gate import Gate
from fathom.learn.web.server import listen

FILLED = {
    "slug": "gradient-descent", "name": "descent", "name:path": "page.js", "item:int": "1", "action": "save",
    "stage": "0123456789ab",
}  # fmt: skip
FOREIGN = (
    "evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:80", f"127.0.0.1:{PORT}.evil.example",
    f"0.0.0.0:{PORT}", "", f"user@{HOST}",
)  # fmt: skip
# Written out, so that nobody weakens them by the way. No inline script or style, no eval: nothing needs any.
POLICY = {
    "default-src 'self'", "img-src 'self' data:", "object-src 'none'", "base-uri 'none'",
    "form-action 'self'", "frame-ancestors 'none'",
}  # fmt: skip
SAFE = {
    "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("home"))


def paths() -> list[str]:
    """Every route with something in its places; a route that is added is here by itself."""
    routes = [route for route in Browser(Path("nowhere")).app.app.routes if isinstance(route, Route)]
    assert len(routes) == len(Browser(Path("nowhere")).app.app.routes) > 12
    return [re.sub(r"\{([^}]+)\}", lambda found: FILLED[found[1]], route.path) for route in routes]


PATHS = [*paths(), "/nothing", "/static/page.css", "/static/nothing.css", "/topic/nothing"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_a_foreign_host_gets_nothing(browser: Browser, method: str, path: str) -> None:
    """A name that was turned to point here (DNS rebinding) is told apart by its name, with cookie and all."""
    for host in FOREIGN:
        origin = {"host": host, "origin": f"http://{host}"}
        assert browser.ask(method, path, origin).status == 403, host
    assert browser.ask(method, path, {"host": None}).status == 403


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_nobody_comes_in_without_the_cookie(browser: Browser, method: str, path: str) -> None:
    """But to the files of the pages, which tell nothing, and to the door itself, which asks for the token."""
    name, session = browser.gate.cookie, browser.gate.session
    for cookie in (None, "", f"{name}=", f"{name}=wrong", f"other={session}", f"fathom_learn_1={session}"):
        answer = browser.ask(method, path, {"cookie": cookie})
        if path.startswith("/static/") and method in ("GET", "HEAD"):
            assert answer.status in (200, 404)
        else:
            assert answer.status == 401, cookie
            assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("GET", "HEAD")])
def test_a_page_elsewhere_changes_nothing(browser: Browser, method: str, path: str) -> None:
    for origin in ("http://evil.example", "null", "", None, f"https://{HOST}", f"http://{HOST}.evil.example",
                   f"http://127.0.0.1:{PORT + 1}", HOST):  # fmt: skip
        assert browser.ask(method, path, {"origin": origin}).status == 403, origin


@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_origin_does_not_read_either(browser: Browser, path: str) -> None:
    if not path.startswith("/static/"):
        assert browser.get(path, origin="http://evil.example").status == 403


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_a_route_has_one_method(browser: Browser, method: str, path: str) -> None:
    """What changes something cannot be asked for with GET; nothing knows OPTIONS, so no CORS is agreed on."""
    if method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        assert browser.ask(method, path).status in (404, 405)
    if "/topic/gradient-descent/" in path and method in ("GET", "HEAD"):
        assert browser.ask(method, path).status == 405


@pytest.mark.parametrize("path", ["/", "/nothing", "/static/page.css", "/topic/gradient-descent"])
def test_every_answer_is_safe(browser: Browser, path: str) -> None:
    for answer in (browser.get(path), browser.get(path, host="evil.example"), browser.get(path, cookie=None)):
        policy = answer.headers["content-security-policy"]
        assert set(policy.split("; ")) == POLICY  # no script-src or style-src: default-src holds for them
        assert "'unsafe-inline'" not in policy and "'unsafe-eval'" not in policy
        assert SAFE.items() <= answer.headers.items()
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_the_token_lets_one_browser_in(tmp_path: Path) -> None:
    browser = Browser(tmp_path)
    gate, stranger = browser.gate, {"cookie": None, "origin": None}
    assert browser.get("/start", **stranger).status == 401
    assert browser.get("/start?token=wrong", **stranger).status == 401
    assert browser.get(f"/start?token={gate.token}", host="evil.example", cookie=None).status == 403
    token = gate.token
    let_in = browser.get(f"/start?token={token}", **stranger)
    assert let_in.status == 200 and 'http-equiv="refresh"' in let_in.text
    cookie = let_in.headers["set-cookie"]
    assert cookie.startswith(f"{gate.cookie}=") and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert "Domain" not in cookie
    again = browser.get(f"/start?token={token}", **stranger)
    assert again.status == 401 and "used already" in again.text
    known = browser.get(f"/start?token={token}", cookie=cookie.partition(";")[0], origin=None)
    assert known.status == 200 and "set-cookie" not in known.headers
    assert browser.get("/", cookie=cookie.partition(";")[0], origin=None).status == 200


def test_tokens_differ_and_are_long() -> None:
    first, second = Gate(PORT), Gate(PORT)
    secrets = {first.token, second.token, first.session, second.session}
    assert len(secrets) == 4 and all(secret and len(secret) >= 40 for secret in secrets)


def test_localhost_is_a_name_of_ours(browser: Browser) -> None:
    named = f"localhost:{PORT}"
    assert browser.get("/", host=named, origin=f"http://{named}").status == 200
    assert browser.get("/", host=named.upper(), origin=None).status == 200


def test_a_file_outside_is_not_served(browser: Browser) -> None:
    for path in (
        "/static/../gate.py",
        "/static/%2e%2e%2fgate.py",
        "/static/",
        "/static/vendor/../../gate.py",
        "/static/vendor/%2e%2e%2f%2e%2e%2fgate.py",
        "/static/vendor/fonts/",
        "/static//etc/hostname",
        "/library/..%2fgate",
        "/library/gate",
    ):
        assert browser.get(path).status in (400, 404)


def test_what_is_too_large_or_no_form_is_refused(browser: Browser) -> None:
    path = "/topic/gradient-descent/exercise/one_step/save"
    assert browser.ask("POST", path, {}, b"answer=" + b"a" * 2**21).status == 400
    assert browser.ask("POST", path, {}, b"\xff\xfe").status == 400
    assert browser.ask("POST", path, {}, b"&".join(b"a=1" for _ in range(200))).status == 400


def test_it_listens_on_the_loopback_alone() -> None:
    with listen(0) as listener, pytest.raises(ValueError, match="cannot be used"):
        address, port = listener.getsockname()
        assert address == "127.0.0.1"
        listen(port)


def test_a_taken_port_is_passed_over() -> None:
    with listen(None) as first, listen(None) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


def test_the_server_never_imports_torch(tmp_path: Path) -> None:
    """Nor NumPy: all pages, one after the other, in a process of its own."""
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.learn.asking import Browser
from fathom.learn.engine import curriculum
browser = Browser(Path({str(tmp_path)!r}))
for path in ("/", "/progress", "/?roadmap=002&hours=5", *(f"/topic/{{slug}}" for slug in curriculum.heads())):
    assert browser.get(path).status == 200, path
assert browser.post("/topic/gradient-descent/quiz/1", {{"option": "b"}}).status == 303
assert "torch" not in sys.modules and "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
