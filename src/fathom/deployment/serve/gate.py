"""Who may ask: the Host, the Origin and the token of a request, looked at before anything else.

A browser can be led to any address of its own machine: by a page that posts to it, and by a name whose
address changes after the page was loaded (DNS rebinding). Neither can forge Host and Origin.
"""

import hmac

from fathom.deployment.serve.asgi import Scope, header, headers
from fathom.deployment.serve.limits import Refused


class Gate:
    """``hosts`` are the Host headers that are served, lower case, with the port where there is one.

    ``by_address`` also allows the address at which a connection arrived: a server on 0.0.0.0 has
    several, and an address, unlike a name, cannot be turned to point elsewhere. ``token`` None asks for
    none.
    """

    def __init__(self, hosts: set[str], token: str | None, *, by_address: bool = False) -> None:
        self.hosts, self.token, self.by_address = hosts, token, by_address

    def names(self, scope: Scope) -> set[str]:
        """The Host headers that this connection may carry."""
        server = scope.get("server")
        if not self.by_address or not server:
            return self.hosts
        address, port = server[:2]
        shown = f"[{address}]" if ":" in address else address
        return self.hosts | {f"{shown}:{port}"} | ({shown} if port == 80 else set())

    def check_host(self, scope: Scope) -> None:
        """Only the names this server was started under: a page that rebinds DNS to us is turned away."""
        given = headers(scope, b"host")
        if len(given) != 1 or given[0].lower() not in self.names(scope):
            raise Refused(403, "this Host is not served here; the server's operator can allow it by name")

    def check_origin(self, scope: Scope) -> None:
        """A browser page of another site may not post."""
        for origin in headers(scope, b"origin"):
            if origin.lower().partition("://")[2] not in self.names(scope):
                raise Refused(403, "requests from pages of another origin are refused")

    def check_token(self, scope: Scope) -> None:
        if self.token is None:
            return
        scheme, _, given = header(scope, b"authorization").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self.token.encode())
        if scheme.lower() != "bearer" or not right:
            raise Refused(401, "send the header Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})
