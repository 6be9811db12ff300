"""Who may ask. A page in another tab must not reach the learner's files, nor run code through this server.

In this order, before anything else is looked at:

    Host      one of the names of this server: a name that was turned to point here (DNS rebinding) is none
    token     the address that is printed holds one, good for one visit, and exchanges it for a cookie that no
              script can read and no other site can make the browser send
    Origin    whatever changes something, and every stream, is a POST, and a browser names its origin then

A browser lets no page choose its Host or Origin. There is no CORS: no other site may read an answer.
"""

import hmac
import secrets
from collections.abc import MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

SAFE = ("GET", "HEAD")
START = "/start"
OPEN = ("/static/",)  # the style of the page that tells how to come in
Scope = MutableMapping[str, Any]


class Turned(Exception):
    """A request that is refused: a status, and a reason for people."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Gate:
    """The door of a server on the loopback at ``port``."""

    def __init__(self, port: int) -> None:
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self.origins = {f"http://{host}" for host in self.hosts}
        self.cookie = f"fathom_learn_{port}"  # cookies do not know ports
        self.token: str | None = secrets.token_urlsafe(32)
        self.session = secrets.token_urlsafe(32)

    def check(self, scope: Scope) -> None:
        """``Turned`` for a request that may not come in."""
        hosts = values(scope, b"host")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            raise Turned(403, "This Host is not served here.")
        if scope["path"].startswith(OPEN) and scope["method"] in SAFE:
            return
        if not self.knows(scope) and not (scope["path"] == START and scope["method"] in SAFE):
            raise Turned(401, "This browser was not let in. Open the address that fathom learn printed.")
        origins = values(scope, b"origin")
        if scope["method"] not in SAFE and len(origins) != 1:
            raise Turned(403, "A request that changes something must name its Origin.")
        if any(origin.lower() not in self.origins for origin in origins):
            raise Turned(403, "Requests from pages of another origin are refused.")

    def knows(self, scope: Scope) -> bool:
        """Whether the cookie is there."""
        for line in values(scope, b"cookie"):
            try:
                found = SimpleCookie(line).get(self.cookie)
            except CookieError:
                continue
            if found is not None and hmac.compare_digest(found.value.encode(), self.session.encode()):
                return True
        return False

    def admit(self, scope: Scope) -> str:
        """The cookie for whoever brings the token, which is used up; ``Turned`` for others."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if self.token is None or not hmac.compare_digest(given.encode(), self.token.encode()):
            used = "It was used already. " if self.token is None else ""
            raise Turned(401, f"This address does not let anybody in. {used}Start fathom learn again.")
        self.token = None
        return f"{self.cookie}={self.session}; Path=/; HttpOnly; SameSite=Strict"


def values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
