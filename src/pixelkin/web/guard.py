"""What stands between the network and the routes: who may ask, how much, and what a browser may do with the answer."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import error_response
from .people import Person
from .settings import LOOPBACK, WebSettings

_COOKIE = "pixelkin_token"
_SAFE_METHODS = ("GET", "HEAD")
_UPLOADS = ("/api/labels/import", "/api/labels/preview", "/api/samples", "/api/overlays")
_BODY_TYPES = ("application/json", "multipart/form-data")


class _TooMuchError(Exception):
    """The body is larger than allowed."""


class Guard:
    """ASGI middleware that checks Host, Origin, token and size, and adds security headers."""

    def __init__(self, app: ASGIApp, settings: WebSettings, image_source: Callable[[str], str | None]) -> None:
        """Guard an application.

        Args:
            app: The application.
            settings: How the server behaves.
            image_source: Told the id of an overlay, gives the origin that a page may load its pictures from; None where it needs none.
        """
        self._app = app
        self._settings = settings
        self._headers = _security_headers(settings)
        self._image_source = image_source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = too_much = False

        async def send_safely(message: Message) -> None:
            nonlocal started
            if too_much and not started:
                return  # what the application makes of a body cut short; ours follows
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in (self._headers | self._asked_for(scope)).items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._check(scope)
        if refusal is not None:
            await refusal(scope, receive, send_safely)
            return
        limit = self._settings.upload_bytes if _own_path(scope) in _UPLOADS else self._settings.body_bytes
        taken = 0

        async def receive_some() -> Message:
            nonlocal taken, too_much
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                too_much = True
                raise _TooMuchError
            return message

        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            too_much = True
        else:
            with suppress(_TooMuchError):
                await self._app(scope, receive_some, send_safely)
        if too_much and not started:
            too_much = False
            await error_response("TooLarge", f"the request is larger than {limit} bytes. Send it in parts.", 413)(
                scope, receive, send_safely
            )

    def _asked_for(self, scope: Scope) -> dict[str, str]:
        """Other headers for a page that was opened to show a background map: it alone may load pictures from that map's server, and from nowhere else."""
        wanted = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("background") if _own_path(scope) == "/" else None
        source = None if wanted is None else self._image_source(wanted)
        if source is None:
            return {}
        # Servers of tiles want to know which site asks; it learns no more than that.
        policy = self._headers["Content-Security-Policy"].replace("img-src 'self'", f"img-src 'self' {source}")
        return {"Content-Security-Policy": policy, "Referrer-Policy": "strict-origin"}

    def _check(self, scope: Scope) -> Response | None:
        """A refusal, or None."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_our_host(host):
            # DNS rebinding: a foreign name that resolves to this machine.
            return error_response("Forbidden", f"host {host[:100]!r} is not this server's. Open the printed address.", 403)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return error_response("Forbidden", f"origin {origin[:100]!r} is another page. Only this server's own page may use it.", 403)
        is_api = _own_path(scope).startswith("/api")
        if is_api and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return error_response("Forbidden", "the request comes from another page. Only this server's own page may use it.", 403)
        refusal = self._check_token(scope, headers)
        if refusal is not None:
            return refusal
        content = headers.get("content-type", "").split(";")[0].strip().lower()
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if scope["method"] not in _SAFE_METHODS and (content or has_body) and content not in _BODY_TYPES:
            return error_response("UnsupportedMediaType", f"content type is {content[:100]!r}, expected one of {list(_BODY_TYPES)}.", 415)
        return None

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        known = {person.token: person for person in self._settings.people} | ({self._settings.token: None} if self._settings.token else {})
        if not known:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        given = dict(query).get("token")
        token = None if given is None else _among(known, given)
        if token is not None and _own_path(scope) == "/":
            # The secret leaves the address bar, and with it history and referrers.
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            response = RedirectResponse("./" + (f"?{rest}" if rest else ""), 303)
            secure = (self._settings.public_url or "").startswith("https:")
            response.set_cookie(_COOKIE, token, httponly=True, samesite="strict", path="/", secure=secure)
            return response
        cookie = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        for candidate in (cookie.value if cookie else "", bearer):
            found = _among(known, candidate) if candidate else None
            if found is not None:
                return self._admit(scope, known[found])
        return error_response("Unauthorized", "this server needs a token. Open the link that it printed when it started.", 401)

    def _admit(self, scope: Scope, person: Person | None) -> Response | None:
        """Note who asks; a refusal where that is more than they may."""
        if person is None:
            return None
        scope.setdefault("state", {})["person"] = person
        if person.role == "read" and scope["method"] not in _SAFE_METHODS and _own_path(scope) != "/api/presence":
            return error_response("Forbidden", f"{person.name} may look and not change anything. Ask for the role 'label'.", 403)
        return None

    def _is_our_host(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if (
            name in LOOPBACK
            or name == self._settings.host
            or (self._settings.public_url and name == urlsplit(self._settings.public_url).hostname)
        ):
            return True
        if self._settings.on_loopback:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name == socket.gethostname().lower()
        return True


def _among(known: Iterable[str], given: str) -> str | None:
    """The token that is given, if it is known; as long in finding out whichever it is."""
    found = [token for token in known if secrets.compare_digest(given.encode(), token.encode())]
    return found[0] if found else None


def _own_path(scope: Scope) -> str:
    """The path below where the application is mounted."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def _security_headers(settings: WebSettings) -> dict[str, str]:
    ancestors = "'self' http://localhost:* http://127.0.0.1:*" if settings.in_notebook else "'self'"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; "
        f"worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
