"""`OneDriveServer`: Microsoft Graph, the bytes' own origin and the identity platform, on loopback."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.doubles.http import Answer, Request, Service
from services.doubles.onedrive.drive import Drive, Item
from services.doubles.onedrive.graph import Graph
from services.doubles.onedrive.identity import Identity
from services.doubles.onedrive.shapes import GraphError
from services.doubles.onedrive.tokens import Account, App

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OneDriveServer"]

PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


class OneDriveServer(Service):
    """Microsoft Graph and the identity platform, on ports of the loopback interface.

    Three origins answer, each on a port of its own on 127.0.0.1: ``endpoint`` is Microsoft Graph,
    ``content_url`` is where download and upload addresses lead, and ``identity_url`` is the identity
    platform.

    Args:
        kind: The account's kind, ``"personal"`` or ``"business"``.
        latency_s: How long every answer is held back, seconds.
        clock: Gives the time, aware: tokens and addresses expire by it.
        token_s: How long access tokens are valid, seconds.

    Attributes:
        account: The person whose OneDrive it is.
        drive: The person's drive.
        app: A registered app, a public client; see `register`.
    """

    def __init__(
        self,
        kind: str = "personal",
        *,
        latency_s: float = 0.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        token_s: float = 3600.0,
    ) -> None:
        super().__init__(latency_s=latency_s)
        self._clock = clock
        self.graph = Graph(clock=clock)
        self.identity = Identity(clock=clock, lifetime_s=token_s)
        tenant = PERSONAL_TENANT if kind == "personal" else secrets.token_hex(16)
        self.drive = self.add_drive(kind)
        self.account = Account(name="drjones@practice.example", drive=self.drive, tenant=tenant)
        self.identity.accounts.append(self.account)
        self.app = self.register(App(id=f"app-{secrets.token_hex(8)}"))
        self._origin = self._answer_at(self.graph.name, self._graph)
        # Tests put methods of their own in the place of `content_answer`: it is looked up at each request.
        self._content = self._answer_at(
            self.graph.content_name, lambda request, _: self.graph.content_answer(request)
        )
        self._login = self._answer_at(self.identity.name, self.identity.answer)
        self.graph.url = self.endpoint = self._origin.url
        self.graph.content_url = self.content_url = self._content.url
        self.identity_url = self._login.url

    # --- who and what there is

    def add_drive(self, kind: str, *, owner: str = "") -> Drive:
        """Another drive: somebody else's OneDrive, or a SharePoint library (``documentLibrary``)."""
        drive = Drive(kind, owner=owner, clock=self._clock)
        self.graph.drives[drive.id] = drive
        return drive

    def add_account(self, name: str, drive: Drive) -> Account:
        """Another person, whose own drive this is."""
        account = Account(name=name, drive=drive, tenant=self.account.tenant)
        self.identity.accounts.append(account)
        return account

    def share(self, drive: Drive, folder: Item, *, name: str | None = None) -> Item:
        """Put a folder of another drive into the root of the account's own, as *Add shortcut* does."""
        remote = {
            "id": folder.id,
            "name": folder.name,
            "folder": {"childCount": len(folder.children)},
            "parentReference": {"driveId": drive.id, "driveType": drive.kind},
        }
        return self.drive.add(self.drive.root, name or folder.name, None, remoteItem=remote)

    def register(self, app: App) -> App:
        """Register an app."""
        self.identity.apps[app.id] = app
        return app

    def token(
        self, *scopes: str, account: Account | None = None, app: App | None = None, app_only: bool = False
    ) -> str:
        """An access token, as if somebody had signed in.

        Args:
            scopes: What it allows; by default ``Files.ReadWrite``.
            account: Who signed in; by default `account`.
            app: To which app; by default `app`.
            app_only: Whether it is the app's own and nobody's.
        """
        allowed = set(scopes) or {"Files.ReadWrite"}
        return self.identity.issue(app or self.app, account or self.account, allowed, app_only=app_only)

    def signin(self, *scopes: str, account: Account | None = None) -> Callable[[bool], str]:
        """A token provider for `intouch_import.open_source`, whose tokens are renewed as they expire."""
        held: list[str] = []

        def provide(force: bool = False) -> str:  # the shape of a token provider
            if force or not held or self.identity.grant(held[-1]) is None:
                held.append(self.token(*scopes, account=account))
            return held[-1]

        return provide

    # --- what was asked

    @property
    def calls(self) -> Counter[str]:
        """How often each call was made, by name; without those to the identity platform."""
        return self._origin.calls + self._content.calls

    @property
    def identity_calls(self) -> Counter[str]:
        """How often each call to the identity platform was made, by name."""
        return Counter(self._login.calls)

    @property
    def requests(self) -> list[Request]:
        """Every request to Graph and to the bytes' origin, in no exact order between the two."""
        return [*self._origin.requests, *self._content.requests]

    @property
    def identity_requests(self) -> list[Request]:
        """Every request to the identity platform."""
        return list(self._login.requests)

    @property
    def most_at_once(self) -> int:
        """The most requests to Graph that were under way at one time."""
        return self._origin.most_at_once

    # --- inside

    def _graph(self, request: Request, call: str) -> Answer:  # the name is for faults
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self.identity.grant(token) if kind.lower() == "bearer" else None
        if grant is None:
            text = "Access token has expired or is not yet valid."
            error = GraphError(401, "InvalidAuthenticationToken", text, **{"WWW-Authenticate": "Bearer"})
            return error.answer(self._clock())
        return self.graph.answer(request, grant)
