"""The routes of the API: for each its style, the scope that it needs, and what it does."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import attrs

from services.doubles.dropbox.core import BadInput, Refused, View, root_info, untagged
from services.doubles.dropbox.listing import Listing
from services.doubles.dropbox.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.doubles.dropbox.drive import Bytes

__all__ = ["ROUTES", "Api", "Route"]


class Api(Listing, Writing):
    """All routes: those that list, those that write, and those below, which read."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._links: dict[str, str] = {}

    def get_metadata(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        found = self.find(view, arg["path"])
        if arg["path"] in {"", view.base} or found is None:
            if arg["path"] == "":
                raise BadInput("path: The root folder is unsupported.")
            raise Refused({".tag": "path", "path": {".tag": "not_found"}})
        return found.metadata(view.base)

    def download(self, view: View, arg: dict[str, Any], _body: bytes) -> tuple[dict[str, Any], Bytes]:
        found = self.find_file(view, arg["path"])
        if found.content is None:
            raise Refused({".tag": "unsupported_file"})
        return untagged(found, view), found.content

    def get_temporary_link(self, view: View, arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
        found = self.find_file(view, arg["path"])
        link = secrets.token_urlsafe(24)
        self._links[link] = found.path
        return {"metadata": untagged(found, view), "link": f"{self.url}/cdn/{link}"}

    def linked(self, link: str) -> Bytes | None:
        """What a temporary link leads to now."""
        found = self.drive.find(self._links.get(link, "/\0nowhere"))
        return found.content if found is not None else None

    def get_current_account(self, view: View, _arg: dict[str, Any], _body: bytes) -> dict[str, Any]:
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
    """One route: its style (``rpc``, ``download``, ``upload``), the scope it needs, and what it does."""

    style: str
    scope: str | None
    act: Callable[[Api, View, dict[str, Any], bytes], Any]


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
