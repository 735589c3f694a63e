"""Microsoft Graph for files: its addresses and its calls.

Written after https://learn.microsoft.com/graph/api/resources/onedrive, with the differences between the two kinds
of account.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import attrs

from services.doubles.http import Answer, Request
from services.doubles.onedrive.drive import PERSONAL, Drive, Item, NameExists
from services.doubles.onedrive.errors import GraphError
from services.doubles.onedrive.shapes import Shapes, iso
from services.doubles.onedrive.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from services.doubles.onedrive.tokens import Grant

__all__ = ["Graph"]

SMALL_UPLOAD_BYTES: Final = 4 * 1024 * 1024
_LARGEST_PAGE: Final = 1000
_LONGEST_NAME: Final = 400
_REFUSED = re.compile(r'[\x00-\x1f"*:<>?/\\|]')
# …/items/{id}:/{path}:/{action}, …/root:/{path}, …/items/{id}/{action}, …/special/approot/{action}
_TARGET = re.compile(
    r"(?:items/(?P<id>[^/:]+)|(?P<root>root)|special/(?P<special>[A-Za-z]+))"
    r"(?P<path>:/.*?(?::(?=/|$)|$))?(?:/(?P<action>[A-Za-z]+)(?:\(token='?(?P<token>[^')]*)'?\))?)?$"
)


@attrs.frozen(kw_only=True)
class _Target:
    """The target of a URL: an item, or a new name in a folder."""

    drive: Drive
    item: Item | None
    parent: Item | None = None
    name: str = ""
    action: str = ""
    token: str | None = None

    def existing(self) -> Item:
        """Return the item.

        Raises:
            GraphError: The item does not exist.
        """
        if self.item is None:
            raise GraphError(404, "itemNotFound", "The resource could not be found.")
        return self.item


class Graph(Shapes):
    """Answers the requests to Graph.

    Args:
        clock: Returns the aware time.
        download_s: How long a download address is valid, seconds.

    Attributes:
        drives: All drives, by id.
        uploads: Open upload sessions.
    """

    def __init__(self, *, clock: Callable[[], datetime], download_s: float = 300.0) -> None:
        super().__init__(clock=clock, download_s=download_s)
        self.drives: dict[str, Drive] = {}
        self.uploads = Uploads(clock=clock, finish=self._finish_upload)

    # --- routes

    def name(self, request: Request) -> str:
        """Return the name of a call, for counts and faults."""
        parts = request.path.removeprefix("/v1.0").strip("/")
        if parts in {"me", "me/drive"} or re.fullmatch(r"drives/[^/]+|sites/[^/]+/drives?", parts):
            return "me" if parts == "me" else "drive"
        found = _TARGET.search(parts)
        action = (found["action"] if found is not None else "") or ""
        if action:
            by_method = {
                "content": {"GET": "content", "PUT": "upload"},
                "createUploadSession": {"POST": "session"},
            }
            return by_method.get(action, {}).get(request.method, action)
        return {"GET": "item", "DELETE": "delete", "PATCH": "patch", "PUT": "commit"}.get(
            request.method, "unknown"
        )

    def answer(self, request: Request, grant: Grant) -> Answer:
        """Carry out a request.

        Args:
            request: The request.
            grant: The app, the account and the permissions of the access token.
        """
        # A client that uses another host name, through a proxy, gets links with that host name.
        host = request.headers.get("host", "")
        self._here.base = self.url if self.url.endswith(f"//{host}") else f"https://{host}"
        try:
            return self._route(request, grant)
        except GraphError as error:
            return error.answer(self._clock())
        except NameExists:
            return GraphError(409, "nameAlreadyExists", "An item with this name exists.").answer(
                self._clock()
            )

    def content_name(self, request: Request) -> str:
        """Return the name of a call to the origin for file content."""
        if request.path.startswith("/dl/"):
            return "download"
        named = {"PUT": "fragment", "DELETE": "cancel", "GET": "upload-status"}
        return named.get(request.method, "finish")

    def content_answer(self, request: Request) -> Answer:
        """Carry out a request to the origin for file content."""
        if "authorization" in request.headers:
            return GraphError(401, "unauthenticated", "No token is wanted here.").answer(self._clock())
        if request.path.startswith("/up/"):
            return self.uploads.answer(request)
        return self.download_answer(request)

    def _route(self, request: Request, grant: Grant) -> Answer:
        if not request.path.startswith("/v1.0/"):
            raise GraphError(400, "BadRequest", "Invalid version.")
        parts = request.path.removeprefix("/v1.0/")
        if parts == "me":
            self._delegated(grant)
            return Answer.of_json({"id": grant.account.id, "userPrincipalName": grant.account.name})
        drive, rest = self._drive(parts, grant)
        self._may_use(drive, grant, write=request.method != "GET")
        with drive.lock:
            if not rest:
                return Answer.of_json(self._drive_json(drive))
            target = self._target(drive, rest, grant)
            return self._act(request, target)

    def _drive(self, parts: str, grant: Grant) -> tuple[Drive, str]:
        found = re.match(r"(?:me/drive|drives/(?P<id>[^/]+))(?:/(?P<rest>.*))?$", parts)
        if found is None:
            raise GraphError(400, "BadRequest", "Resource not found for the segment.")
        if found["id"] is None:
            self._delegated(grant)
            return grant.account.drive, found["rest"] or ""
        wanted = unquote(found["id"])
        # Personal drive ids are hexadecimal numbers: their letter case does not matter, their leading zeros do.
        for drive in self.drives.values():
            if drive.id == wanted or (drive.kind == PERSONAL and drive.id.lower() == wanted.lower()):
                return drive, found["rest"] or ""
        if re.fullmatch(r"[0-9A-Fa-f]{1,15}", wanted):
            raise GraphError(400, "invalidRequest", "The provided drive id appears to be malformed.")
        raise GraphError(404, "itemNotFound", "The drive could not be found.", inner="driveNotFound")

    @staticmethod
    def _delegated(grant: Grant) -> None:
        if grant.app_only:
            message = "/me request is only valid with delegated authentication flow."
            raise GraphError(400, "BadRequest", message)

    @staticmethod
    def _may_use(drive: Drive, grant: Grant, *, write: bool) -> None:
        own = not grant.app_only and drive is grant.account.drive
        enough = {"Files.ReadWrite.All", "Sites.ReadWrite.All"} | ({"Files.ReadWrite"} if own else set())
        if own:
            enough.add("Files.ReadWrite.AppFolder")
        if not write:
            enough |= {"Files.Read.All", "Sites.Read.All"} | ({"Files.Read"} if own else set())
        if not enough & grant.scopes or (not own and drive.id in grant.account.locked_out):
            raise GraphError(403, "accessDenied", "Access denied")

    def _target(self, drive: Drive, rest: str, grant: Grant) -> _Target:
        found = _TARGET.match(rest)
        if found is None:
            raise GraphError(400, "BadRequest", "Resource not found for the segment.")
        if found["special"]:
            start: Item | None = self._special(drive, found["special"])
        elif found["root"] or found["id"] == "root":
            start = drive.root
        else:
            start = self._by_id(drive, unquote(found["id"]))
        if "Files.ReadWrite.AppFolder" in grant.scopes and not grant.scopes & {
            "Files.ReadWrite",
            "Files.ReadWrite.All",
        }:
            self._within_app_folder(drive, start)
        action, token = found["action"] or "", found["token"]
        path = (found["path"] or "")[2:].removesuffix(":")
        if not path or start is None:
            return _Target(drive=drive, item=start, action=action, token=token)
        names = [unquote(segment) for segment in path.split("/") if segment]
        for name in names[:-1]:
            start = drive.child(start, name) if start is not None else None
        if start is None or not names:
            return _Target(drive=drive, item=start, action=action, token=token)
        item = drive.child(start, names[-1])
        return _Target(drive=drive, item=item, parent=start, name=names[-1], action=action, token=token)

    @staticmethod
    def _by_id(drive: Drive, wanted: str) -> Item | None:
        item = drive.items.get(wanted)
        if item is None and drive.kind == PERSONAL:
            item = drive.items.get(wanted.upper())
        return item

    @staticmethod
    def _special(drive: Drive, name: str) -> Item:
        if name != "approot":
            raise GraphError(404, "itemNotFound", "The special folder could not be found.")
        return drive.folder("Apps/intouch")

    def _within_app_folder(self, drive: Drive, item: Item | None) -> None:
        folder = self._special(drive, "approot")
        if item is not None and item is not folder and folder not in item.ancestors():
            raise GraphError(403, "accessDenied", "Access denied")

    # --- actions

    def _act(  # a table of routes
        self, request: Request, target: _Target
    ) -> Answer:
        match request.method, target.action:
            case "GET", "":
                return Answer.of_json(self._selected(target.drive, target.existing(), request))
            case "GET", "children":
                return self._children(request, target)
            case "GET", "delta":
                return self._delta(request, target)
            case "GET", "content":
                item = self._downloadable(target.existing())
                return Answer(status=302, headers={"Location": self._download_url(target.drive, item)})
            case "DELETE", "":
                return self._delete(request, target)
            case "POST", "permanentDelete":
                target.drive.delete(target.existing(), permanently=True)
                return Answer(status=204)
            case "PUT", "content":
                return self._put(request, target)
            case "POST", "createUploadSession":
                return self._create_session(request, target)
            case "POST", "children":
                return self._make_folder(request, target)
            case "PATCH", "":
                return self._patch(request, target)
        raise GraphError(405, "notAllowed", "The method is not allowed here.")

    def _children(self, request: Request, target: _Target) -> Answer:
        folder = target.existing()
        if not folder.is_folder:
            raise GraphError(
                422, "invalidRequest", "The item is not a folder.", inner="getChildrenOnNonFolder"
            )
        asked = request.query.get("$top") or request.query.get("top")
        size = min(int(asked) if asked else self.page_size, _LARGEST_PAGE)
        # Sorted by name. A page begins after the last name of the page before, so that files that are written
        # meanwhile do not shift the entries.
        after = request.query.get("$skiptoken", "")
        names = sorted(name for name in folder.children if name > after)
        page = names[:size]
        body: dict[str, Any] = {
            "@odata.context": f"{self._base()}/v1.0/$metadata#Collection(driveItem)",
            "value": [self._selected(target.drive, folder.children[name], request) for name in page],
        }
        if len(names) > size:
            kept = {name: text for name, text in request.query.items() if name != "$skiptoken"}
            kept["$skiptoken"] = page[-1]
            body["@odata.nextLink"] = self._link(request.path, kept)
        return Answer.of_json(body)

    def _delta(self, request: Request, target: _Target) -> Answer:
        drive, item = target.drive, target.existing()
        if drive.kind != PERSONAL and item is not drive.root:
            raise GraphError(501, "notSupported", "view.delta can only be called on the root.")
        query = dict(request.query)
        token = target.token or query.pop("token", None)
        path = re.sub(r"\(token=[^)]*\)$", "", request.path)
        end = drive.log_starts_at + len(drive.log)
        if token == "latest":  # a word of the protocol
            return Answer.of_json({"value": [], "@odata.deltaLink": self._delta_link(path, query, end)})
        if token is None:
            changed: list[Item] = [item, *_all_below(item)]
        else:
            start = self._token(token, drive, path)
            changed = drive.log[start - drive.log_starts_at :]
        listed = _with_ancestors(changed, item, drive.root)
        skip = int(query.pop("$skiptoken", "0"))
        size = min(int(query.get("$top", self.page_size)), _LARGEST_PAGE)
        body: dict[str, Any] = {
            "value": [self._delta_json(drive, one, item) for one in listed[skip : skip + size]]
        }
        if len(listed) > skip + size:
            more = {**query, "$skiptoken": str(skip + size)}
            if token is not None:
                more["token"] = token
            body["@odata.nextLink"] = self._link(path, more)
        else:
            body["@odata.deltaLink"] = self._delta_link(path, query, end)
        return Answer.of_json(body)

    def _token(self, token: str, drive: Drive, path: str) -> int:
        found = re.fullmatch(rf"{self._secret}-(\d+)", token)
        if found is None:
            raise GraphError(400, "invalidRequest", "The token is malformed.")
        if int(found[1]) < drive.log_starts_at:
            fresh = f"{self._base()}{path}"
            code = "resyncChangesApplyDifferences"
            raise GraphError(410, code, "Resync required.", inner="resyncRequired", Location=fresh)
        return int(found[1])

    def _delete(self, request: Request, target: _Target) -> Answer:
        item, drive = target.existing(), target.drive
        if item is drive.root:
            raise GraphError(403, "accessDenied", "The root can't be deleted.")
        self._check_match(request, drive, item)
        drive.delete(item)
        return Answer(status=204)

    @staticmethod
    def _check_match(request: Request, drive: Drive, item: Item) -> None:
        wanted = request.headers.get("if-match")
        if wanted is None or wanted == "*":
            return
        if not (wanted.startswith('"') and wanted.endswith('"')):
            raise GraphError(400, "invalidRequest", "ETags must be quoted.", inner="malformedEntityTag")
        if wanted.strip('"') not in {drive.etag(item).strip('"'), drive.ctag(item).strip('"')}:
            raise GraphError(412, "resourceModified", "ETag does not match.", inner="entityTagDoesNotMatch")

    def _put(self, request: Request, target: _Target) -> Answer:
        if len(request.body) > SMALL_UPLOAD_BYTES:
            raise GraphError(
                413, "invalidRequest", "The request is too large.", inner="maxRequestLengthExceeded"
            )
        behaviour = request.query.get("@microsoft.graph.conflictBehavior", "replace")
        return self._store(target, request.body, behaviour, request)

    def _store(
        self, target: _Target, content: bytes, behaviour: str, request: Request | None = None
    ) -> Answer:
        drive, item = target.drive, target.item
        if len(content) > drive.quota_bytes:
            raise GraphError(507, "quotaLimitReached", "Insufficient space.")
        if item is None:
            if target.parent is None:
                raise GraphError(404, "itemNotFound", "The folder could not be found.")
            _check_name(target.name)
            item = drive.add(target.parent, target.name, content)
            return Answer.of_json(self.item_json(drive, item), 201)
        if item.content is None:
            raise GraphError(409, "nameAlreadyExists", "A folder with this name exists.")
        if behaviour == "fail":
            raise NameExists
        if behaviour == "rename" and item.parent is not None:
            stem, dot, extension = item.name.rpartition(".")
            number = next(
                n for n in range(1, 10_000) if drive.child(item.parent, f"{stem} {n}{dot}{extension}") is None
            )
            item = drive.add(item.parent, f"{stem} {number}{dot}{extension}", content)
            return Answer.of_json(self.item_json(drive, item), 201)
        if request is not None:
            self._check_match(request, drive, item)
        drive.replace(item, content)
        return Answer.of_json(self.item_json(drive, item), 200)

    def _create_session(self, request: Request, target: _Target) -> Answer:
        wanted = request.json()
        told = wanted.get("item", {})
        behaviour = told.get("@microsoft.graph.conflictBehavior", "fail")
        if target.item is None and target.parent is None:
            raise GraphError(404, "itemNotFound", "The folder could not be found.")
        if target.item is not None and target.name and behaviour == "fail":
            raise NameExists
        if target.item is None:
            _check_name(target.name)
        place = (
            target.drive.id,
            target.parent.id if target.parent else None,
            target.name,
            target.item and target.item.id,
        )
        session = self.uploads.create(place, behaviour, deferred=bool(wanted.get("deferCommit")))
        return Answer.of_json(
            {
                "@odata.context": f"{self._base()}/v1.0/$metadata#microsoft.graph.uploadSession",
                "uploadUrl": f"{self._content_base()}/up/{session.key}?tempauth={secrets.token_hex(8)}",
                "expirationDateTime": iso(session.expires_at),
                "nextExpectedRanges": ["0-"],
            }
        )

    def _finish_upload(self, place: Any, content: bytes, behaviour: str) -> Answer:
        drive_id, parent_id, name, item_id = place
        drive = self.drives[drive_id]
        with drive.lock:
            parent = drive.items.get(parent_id) if parent_id else None
            item = drive.items.get(item_id) if item_id else (drive.child(parent, name) if parent else None)
            try:
                return self._store(
                    _Target(drive=drive, item=item, parent=parent, name=name), content, behaviour
                )
            except NameExists:
                message = "Another file exists with the same name as the uploaded session."
                return GraphError(409, "nameAlreadyExists", message).answer(self._clock())
            except GraphError as error:
                return error.answer(self._clock())

    def _make_folder(self, request: Request, target: _Target) -> Answer:
        wanted = request.json()
        _check_name(str(wanted.get("name", "")))
        item = target.drive.add(target.existing(), wanted["name"], None)
        return Answer.of_json(self.item_json(target.drive, item), 201)

    def _patch(self, request: Request, target: _Target) -> Answer:
        item, wanted = target.existing(), request.json()
        self._check_match(request, target.drive, item)
        folder = None
        if reference := wanted.get("parentReference"):
            folder = target.drive.items.get(reference.get("id"))
            if folder is None:
                raise GraphError(404, "itemNotFound", "The folder could not be found.")
        if "name" in wanted:
            _check_name(wanted["name"])
        if folder is not None or "name" in wanted:
            target.drive.move(item, folder=folder, name=wanted.get("name"))
        else:
            target.drive.touch(item)
        return Answer.of_json(self.item_json(target.drive, item))


def _check_name(name: str) -> None:
    unusable = not name or name in {".", ".."} or name != name.strip() or name.startswith("~$")
    if unusable or _REFUSED.search(name) or len(name) > _LONGEST_NAME:
        raise GraphError(400, "invalidRequest", "The name is not valid.", inner="invalidPath")


def _all_below(item: Item) -> list[Item]:
    found = []
    for child in item.children.values():
        found.append(child)
        found += _all_below(child)
    return found


def _with_ancestors(changed: Iterable[Item], scope: Item, root: Item) -> list[Item]:
    """Return the changed items within a scope, each once, after its folders."""
    listed: dict[str, Item] = {}
    for item in changed:
        inside = (
            item is scope or scope in item.ancestors() or scope is root or item.parent is None or item.deleted
        )
        if not inside and scope is not root:
            # The item may have been moved out of the scope; the scope must report that.
            listed[item.id] = item
            continue
        for folder in (*reversed(list(item.ancestors())), item):
            if scope is root or folder is scope or scope in folder.ancestors() or folder is item:
                listed.setdefault(folder.id, folder)
    return list(listed.values())
