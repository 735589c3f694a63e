"""The HTTP face of the server: three styles of call, errors as Dropbox words them, and faults."""

from __future__ import annotations

import json
import re
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import attrs

from services.doubles.dropbox.core import BadInput, Refused
from services.doubles.dropbox.drive import Bytes
from services.doubles.dropbox.oauth import Page, TokenError, Visitor
from services.doubles.dropbox.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.doubles.dropbox.faults import Fault
    from services.doubles.dropbox.server import DropboxServer

__all__ = ["Handler", "Seen"]

_JSON = "application/json"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@attrs.frozen(kw_only=True, repr=False)
class Seen:
    """One request, as it came in.

    Args:
        route: As in the URL, without ``/2/``.
        headers: All of them, names in lower case.
        arg: What it asked for, if it was understood.
    """

    route: str
    headers: Mapping[str, str]
    arg: Any


@attrs.frozen(kw_only=True)
class _Answer:
    status: int = 200
    body: bytes | Bytes = b""
    headers: Mapping[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    """One connection. The server's `DropboxServer` is a class attribute, set for each server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    dropbox: DropboxServer

    def setup(self) -> None:
        super().setup()
        self.dropbox.connected(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            self.close_connection = True  # the other side has gone
        finally:
            self.dropbox.disconnected(self.connection)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # so named there
        """Nothing: tests read `DropboxServer.seen`."""

    def do_GET(self) -> None:
        """Pages for browsers, and temporary links."""
        parts = urlsplit(self.path)
        route = "cdn" if parts.path.startswith("/cdn/") else parts.path.removeprefix("/")
        fault = self._arrived(route, dict(parse_qsl(parts.query)))
        if fault is not None and self._fails(fault):
            return
        if parts.path == "/oauth2/authorize":
            self._show(self.dropbox.authorization.ask(dict(parse_qsl(parts.query))))
        elif route == "cdn":
            self._send_linked(parts.path.removeprefix("/cdn/"), fault)
        else:
            self._send(_Answer(status=404, body=b"Not Found"))

    def do_POST(self) -> None:
        """Everything else."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path == "/oauth2/authorize":
            self._arrived("oauth2/authorize", None)
            self._show(self.dropbox.authorization.answer(_form(body)))
            return
        route = path.removeprefix("/2/").removeprefix("/")
        fault = self._arrived(route, self._seen_arg(body))
        if fault is not None and not fault.after and self._fails(fault):
            return
        answer = self._act(route, body)
        if fault is not None and fault.after and self._fails(fault):
            return
        self._send(answer, fault)

    # --- acting

    def _act(self, route: str, body: bytes) -> _Answer:
        try:
            if route == "oauth2/token":
                # The vendor's JavaScript client sends its parameters in the URL.
                query = dict(parse_qsl(urlsplit(self.path).query))
                return _json(self.dropbox.authorization.exchange(query | _form(body)))
            return self._call(route, body)
        except TokenError as exc:
            return _json(exc.body, status=400)
        except BadInput as exc:
            text = f'Error in call to API function "{route}": {exc}'
            return _Answer(
                status=400, body=text.encode(), headers={"Content-Type": "text/plain; charset=utf-8"}
            )
        except Refused as exc:
            return _json({"error_summary": f"{exc.summary}..", "error": exc.error}, status=exc.status)

    def _call(self, route: str, body: bytes) -> _Answer:
        api = self.dropbox.api
        if route == "files/list_folder/longpoll":
            return _json(api.longpoll(None, _decoded(body.decode()), b""))
        known = ROUTES.get(route)
        if known is None and route != "auth/token/revoke":
            return _Answer(status=404, body=b"Not Found")
        visitor = self._visitor(known.scope if known is not None else None)
        if isinstance(visitor, _Answer):
            return visitor
        if known is None:
            self.dropbox.authorization.revoke(self.headers["Authorization"].removeprefix("Bearer "))
            return _json(None)
        root = self.headers.get("Dropbox-API-Path-Root")
        view = api.view(visitor, _decoded(root) if root is not None else None)
        if known.style == "rpc":
            # A route that takes nothing may be sent nothing.
            if body and self.headers.get_content_type() != _JSON:
                raise BadInput(
                    f'Bad HTTP "Content-Type" header: "{self.headers.get("Content-Type")}".  '
                    'Expecting one of "application/json", "application/json; charset=utf-8".'
                )
            return _json(known.act(api, view, _decoded(body.decode() or "null") or {}, b""))
        arg = self._header_arg()
        if known.style == "upload":
            if self.headers.get_content_type() != "application/octet-stream":
                raise BadInput('Bad HTTP "Content-Type" header. Expecting "application/octet-stream".')
            return _json(known.act(api, view, arg, body))
        metadata, content = known.act(api, view, arg, b"")
        metadata = metadata | self.dropbox.pretended.get(metadata["path_lower"], {})
        headers = {
            "Content-Type": "application/octet-stream",
            "Dropbox-API-Result": json.dumps(metadata),
            "ETag": f'W/"{metadata["rev"]}"',
        }
        return _Answer(body=content, headers=headers)

    def _visitor(self, scope: str | None) -> Visitor | _Answer:
        header = self.headers.get("Authorization")
        if header is None:
            raise BadInput('Must provide HTTP header "Authorization" or URL parameter "authorization".')
        scheme, _, token = header.partition(" ")
        if scheme != "Bearer":
            raise BadInput(
                'Invalid authorization value in HTTP header "Authorization": expecting "Bearer <token>".'
            )
        visitor = self.dropbox.authorization.visitor(token)
        if isinstance(visitor, str):
            return _json({"error_summary": f"{visitor}/...", "error": {".tag": visitor}}, status=401)
        if scope is not None and scope not in visitor.scopes:
            error = {".tag": "missing_scope", "required_scope": scope}
            return _json({"error_summary": "missing_scope/..", "error": error}, status=401)
        return visitor

    def _header_arg(self) -> dict[str, Any]:
        text = self.headers.get("Dropbox-API-Arg")
        if text is None:
            text = parse_qs(urlsplit(self.path).query).get("arg", ["null"])[0]
        elif not all(" " <= letter <= "~" for letter in text):
            raise BadInput('HTTP header "Dropbox-API-Arg": could not decode input as JSON')
        decoded: dict[str, Any] = _decoded(text) or {}
        return decoded

    def _seen_arg(self, body: bytes) -> Any:
        try:
            return json.loads(self.headers.get("Dropbox-API-Arg") or body or "null")
        except ValueError:
            return None

    # --- answering

    def _arrived(self, route: str, arg: Any) -> Fault | None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.dropbox.arrived(Seen(route=route, headers=headers, arg=arg))
        if self.dropbox.latency_s:
            time.sleep(self.dropbox.latency_s)
        return fault

    def _fails(self, fault: Fault) -> bool:
        """Carry out a fault that replaces the answer. False if there is to be an answer all the same."""
        if fault.meanwhile is not None:
            fault.meanwhile()
        if fault.hang_up:
            self.close_connection = True
            return True
        if fault.status is None:
            return False
        self._send(_Answer(status=fault.status, body=fault.body, headers=fault.headers))
        return True

    def _show(self, page: Page) -> None:
        headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
        if page.location is not None:
            headers["Location"] = page.location
        self._send(_Answer(status=page.status, body=page.body.encode(), headers=headers))

    def _send_linked(self, link: str, fault: Fault | None) -> None:
        content = self.dropbox.api.linked(link)
        if content is None:
            self._send(_Answer(status=404, body=b"Not Found"))
            return
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted is None:
            self._send(_Answer(body=content), fault)
            return
        start, end = int(wanted[1]), min(int(wanted[2] or content.size - 1), content.size - 1)
        if start >= content.size:
            self._send(_Answer(status=416))
            return
        self._send(
            _Answer(
                status=206,
                body=content.whole()[start : end + 1],
                headers={"Content-Range": f"bytes {start}-{end}/{content.size}"},
            ),
            fault,
        )

    def _send(self, answer: _Answer, fault: Fault | None = None) -> None:
        parts = answer.body.parts if isinstance(answer.body, Bytes) else (answer.body,)
        if fault is not None:
            parts = self._faulty(parts, fault)
        size = sum(map(len, parts))
        sent = size if fault is None or fault.body_bytes is None else min(size, fault.body_bytes)
        try:
            self.send_response(answer.status, None if answer.status in _PHRASES else "")
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(size))
            self.send_header("X-Dropbox-Request-Id", self.dropbox.request_id())
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if sent < size:
                self.close_connection = True
                self.wfile.write(b"".join(parts)[:sent])
            elif fault is not None and fault.pause_s:
                whole = b"".join(parts)
                self.wfile.write(whole[: size // 2])
                self.wfile.flush()
                self.dropbox.api.closing.wait(fault.pause_s)
                self.wfile.write(whole[size // 2 :])
            else:
                for part in parts:
                    self.wfile.write(part)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the other side has gone

    @staticmethod
    def _faulty(parts: tuple[bytes, ...], fault: Fault) -> tuple[bytes, ...]:
        if not fault.flipped and fault.pretended_size is None:
            return parts
        whole = bytearray(b"".join(parts))
        if fault.flipped and whole:
            whole[len(whole) // 2] ^= 0x01
        return (bytes(whole[: fault.pretended_size]),)


_PHRASES = frozenset(map(int, HTTPStatus))


def _json(value: Any, *, status: int = 200) -> _Answer:
    return _Answer(status=status, body=json.dumps(value).encode(), headers={"Content-Type": _JSON})


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise BadInput("could not decode input as JSON") from None
