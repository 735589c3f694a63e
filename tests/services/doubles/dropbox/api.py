"""The API: its requests, its table of routes, and the routes that read."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import attrs

from services.doubles.dropbox.core import View, root_info, untagged
from services.doubles.dropbox.errors import BadInput, Refused
from services.doubles.dropbox.listing import Listing
from services.doubles.dropbox.oauth import TokenError
from services.doubles.dropbox.writing import Writing
from services.doubles.http import JSON, Answer, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.doubles.dropbox.drive import Bytes
    from services.doubles.dropbox.oauth import Visitor

__all__ = ["Api"]


class Api(Listing, Writing):
    """Answers all requests. The routes that list and that write are in the base classes.

    Attributes:
        url: The address that temporary links lead to.
        pretended: By ``path_lower``: metadata that downloads give instead of the true values.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.url = ""
        self.pretended: dict[str, dict[str, Any]] = {}
        self._links: dict[str, str] = {}

    # --- requests

    @staticmethod
    def name(request: Request) -> str:
        """Return the name of a call: its route, as in the URL after ``/2/``; ``cdn`` for temporary links."""
        if request.path.startswith("/cdn/"):
            return "cdn"
        return request.path.removeprefix("/2/").removeprefix("/")

    def answer(self, request: Request, call: str) -> Answer:
        """Carry out a request."""
        try:
            match call, request.method:
                case "oauth2/authorize", "GET":
                    return self.authorization.ask(request.query)
                case "oauth2/authorize", "POST":
                    return self.authorization.decide(request.form())
                case "oauth2/token", "POST":
                    # The vendor's JavaScript client sends its parameters in the URL.
                    return Answer.of_json(self.authorization.exchange({**request.query, **request.form()}))
                case "auth/token/revoke", "POST":
                    self._visitor(request, None)
                    self.authorization.revoke(request.headers["authorization"].removeprefix("Bearer "))
                    return Answer.of_json(None)
                case "cdn", "GET":
                    found = self.drive.find(self._links.get(request.path.removeprefix("/cdn/"), "/\0nowhere"))
                    if found is not None and found.content is not None:
                        return Answer.of_file(request, found.content.parts)
                case "files/list_folder/longpoll", "POST":
                    return Answer.of_json(self.longpoll(_decoded(request.body.decode())))
                case _, "POST" if call in ROUTES:
                    return self._routed(request, ROUTES[call])
        except TokenError as exc:
            return Answer.of_json(exc.body, 400)
        except BadInput as exc:
            return exc.answer(call)
        except Refused as exc:
            return exc.answer()
        return Answer(status=404, parts=[b"Not Found"])

    def _routed(self, request: Request, route: Route) -> Answer:
        visitor = self._visitor(request, route.scope)
        root = request.headers.get("dropbox-api-path-root")
        view = self.view(visitor, _decoded(root) if root is not None else None)
        if route.style == "rpc":
            # A route without arguments may be called without a body.
            if request.body and request.content_type != JSON:
                raise BadInput(
                    f'Bad HTTP "Content-Type" header: "{request.headers.get("content-type")}".  '
                    'Expecting one of "application/json", "application/json; charset=utf-8".'
                )
            return Answer.of_json(route.act(self, view, _decoded(request.body.decode() or "null") or {}))
        arg = _header_arg(request)
        if route.style == "upload":
            if request.content_type != "application/octet-stream":
                raise BadInput('Bad HTTP "Content-Type" header. Expecting "application/octet-stream".')
            return Answer.of_json(route.act(self, view, arg, request.body))
        metadata, content = route.act(self, view, arg)
        metadata = metadata | self.pretended.get(metadata["path_lower"], {})
        headers = {
            "Content-Type": "application/octet-stream",
            "Dropbox-API-Result": json.dumps(metadata),
            "ETag": f'W/"{metadata["rev"]}"',
        }
        return Answer(headers=headers, parts=content.parts)

    def _visitor(self, request: Request, scope: str | None) -> Visitor:
        header = request.headers.get("authorization")
        if header is None:
            raise BadInput('Must provide HTTP header "Authorization" or URL parameter "authorization".')
        scheme, _, token = header.partition(" ")
        if scheme != "Bearer":
            raise BadInput(
                'Invalid authorization value in HTTP header "Authorization": expecting "Bearer <token>".'
            )
        visitor = self.authorization.visitor(token)
        if isinstance(visitor, str):
            raise Refused({".tag": visitor}, status=401)
        if scope is not None and scope not in visitor.scopes:
            raise Refused({".tag": "missing_scope", "required_scope": scope}, status=401)
        return visitor

    # --- routes

    def get_metadata(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        found = self.find(view, arg["path"])
        if arg["path"] in {"", view.base} or found is None:
            if arg["path"] == "":
                raise BadInput("path: The root folder is unsupported.")
            raise Refused({".tag": "path", "path": {".tag": "not_found"}})
        return found.metadata(view.base)

    def download(self, view: View, arg: dict[str, Any]) -> tuple[dict[str, Any], Bytes]:
        found = self.find_file(view, arg["path"])
        if found.content is None:
            raise Refused({".tag": "unsupported_file"})
        return untagged(found, view), found.content

    def get_temporary_link(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        found = self.find_file(view, arg["path"])
        link = secrets.token_urlsafe(24)
        self._links[link] = found.path
        return {"metadata": untagged(found, view), "link": f"{self.url}/cdn/{link}"}

    def get_current_account(self, view: View, _arg: dict[str, Any]) -> dict[str, Any]:
        account = view.visitor.account
        root = root_info(account)
        return {
            "account_id": account.id,
            "name": {
                "given_name": "Test",
                "surname": "Person",
                "familiar_name": "Test",
                "display_name": "Test Person",
                "abbreviated_name": "TP",
            },
            "email": "test@example.invalid",
            "email_verified": True,
            "disabled": False,
            "locale": "en",
            "referral_link": "https://example.invalid/",
            "is_paired": False,
            "account_type": {".tag": "business" if root[".tag"] == "team" else "basic"},
            "root_info": root,
        }


@attrs.frozen(kw_only=True)
class Route:
    """One route.

    Args:
        style: ``"rpc"``, ``"download"`` or ``"upload"``.
        scope: The permission it needs.
        act: The method of `Api`, which takes the view, the argument, and for an upload the body.
    """

    style: str
    scope: str
    act: Callable[..., Any]


_READ, _LIST, _WRITE = "files.content.read", "files.metadata.read", "files.content.write"

ROUTES: dict[str, Route] = {
    "files/list_folder": Route(style="rpc", scope=_LIST, act=Api.list_folder),
    "files/list_folder/continue": Route(style="rpc", scope=_LIST, act=Api.list_folder_continue),
    "files/list_folder/get_latest_cursor": Route(style="rpc", scope=_LIST, act=Api.latest_cursor),
    "files/get_metadata": Route(style="rpc", scope=_LIST, act=Api.get_metadata),
    "files/download": Route(style="download", scope=_READ, act=Api.download),
    "files/get_temporary_link": Route(style="rpc", scope=_READ, act=Api.get_temporary_link),
    "files/create_folder_v2": Route(style="rpc", scope=_WRITE, act=Api.create_folder),
    "files/upload": Route(style="upload", scope=_WRITE, act=Api.upload),
    "files/upload_session/start": Route(style="upload", scope=_WRITE, act=Api.session_start),
    "files/upload_session/append_v2": Route(style="upload", scope=_WRITE, act=Api.session_append),
    "files/upload_session/finish": Route(style="upload", scope=_WRITE, act=Api.session_finish),
    "files/delete_v2": Route(style="rpc", scope=_WRITE, act=Api.delete),
    "files/delete_batch": Route(style="rpc", scope=_WRITE, act=Api.delete_batch),
    "files/delete_batch/check": Route(style="rpc", scope=_WRITE, act=Api.delete_batch_check),
    "files/move_v2": Route(style="rpc", scope=_WRITE, act=Api.move),
    "files/copy_v2": Route(style="rpc", scope=_WRITE, act=Api.copy),
    "files/copy": Route(style="rpc", scope=_WRITE, act=Api.copy_v1),
    "users/get_current_account": Route(style="rpc", scope="account_info.read", act=Api.get_current_account),
}


def _header_arg(request: Request) -> dict[str, Any]:
    text = request.headers.get("dropbox-api-arg")
    if text is None:
        text = request.query.get("arg", "null")
    elif not all(" " <= letter <= "~" for letter in text):
        raise BadInput('HTTP header "Dropbox-API-Arg": could not decode input as JSON')
    decoded: dict[str, Any] = _decoded(text) or {}
    return decoded


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise BadInput("could not decode input as JSON") from None
