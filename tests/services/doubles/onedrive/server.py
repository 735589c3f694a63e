"""`OneDriveServer`: Microsoft Graph and the identity platform on this machine."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.doubles.http import Answer, Request, Service
from services.doubles.onedrive.drive import Drive, Item
from services.doubles.onedrive.errors import GraphError
from services.doubles.onedrive.graph import Graph
from services.doubles.onedrive.identity import Identity
from services.doubles.onedrive.tokens import Account, App

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OneDriveServer"]

PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


class OneDriveServer(Service):
    """Microsoft Graph and the identity platform, on ports of the loopback interface.

    There are three addresses: ``endpoint`` is Microsoft Graph, ``content_url`` serves downloads and uploads, and
    ``identity_url`` is the identity platform.

    Args:
        kind: The kind of account, ``"personal"`` or ``"business"``.
        latency_s: How long every answer is held back, seconds.
        clock: Returns the aware time, for the expiry of tokens and addresses.
        token_s: How long access tokens are valid, seconds.

    Attributes:
        account: The owner of the drive.
        drive: The files.
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
        # A lambda, because tests replace `content_answer` later.
        self._content = self._answer_at(
            self.graph.content_name, lambda request, _: self.graph.content_answer(request)
        )
        self._login = self._answer_at(self.identity.name, self.identity.answer)
        self.graph.url = self.endpoint = self._origin.url
        self.graph.content_url = self.content_url = self._content.url
        self.identity_url = self._login.url

    # --- drives, accounts and apps

    def add_drive(self, kind: str, *, owner: str = "") -> Drive:
        """Add a drive: the OneDrive of another account, or a SharePoint library (``documentLibrary``)."""
        drive = Drive(kind, owner=owner, clock=self._clock)
        self.graph.drives[drive.id] = drive
        return drive

    def add_account(self, name: str, drive: Drive) -> Account:
        """Add an account, which owns this drive."""
        account = Account(name=name, drive=drive, tenant=self.account.tenant)
        self.identity.accounts.append(account)
        return account

    def share(self, drive: Drive, folder: Item, *, name: str | None = None) -> Item:
        """Add a shortcut to a folder of another drive to the root of the account's drive."""
        remote = {
            "id": folder.id,
            "name": folder.name,
            "folder": {"childCount": len(folder.children)},
            # Graph leaves out a leading zero here.
            "parentReference": {"driveId": drive.id.lstrip("0"), "driveType": drive.kind},
        }
        return self.drive.add(self.drive.root, name or folder.name, None, remoteItem=remote)

    def register(self, app: App) -> App:
        """Register an app."""
        self.identity.apps[app.id] = app
        return app

    def token(
        self, *scopes: str, account: Account | None = None, app: App | None = None, app_only: bool = False
    ) -> str:
        """Issue an access token, as if somebody had signed in.

        Args:
            scopes: Its permissions; by default ``Files.ReadWrite``.
            account: The account that signed in; by default `account`.
            app: The app; by default `app`.
            app_only: Whether the app signed in by itself, without an account.
        """
        allowed = set(scopes) or {"Files.ReadWrite"}
        return self.identity.issue(app or self.app, account or self.account, allowed, app_only=app_only)

    def signin(self, *scopes: str, account: Account | None = None) -> Callable[[bool], str]:
        """Return a token provider for `intouch_import.open_source`, which renews tokens when they expire."""
        held: list[str] = []

        def provide(force: bool = False) -> str:  # the signature of a token provider
            if force or not held or self.identity.grant(held[-1]) is None:
                held.append(self.token(*scopes, account=account))
            return held[-1]

        return provide

    # --- calls and requests

    @property
    def calls(self) -> Counter[str]:
        """The number of calls to Graph and to the origin for content, by name."""
        return self._origin.calls + self._content.calls

    @property
    def identity_calls(self) -> Counter[str]:
        """The number of calls to the identity platform, by name."""
        return Counter(self._login.calls)

    @property
    def requests(self) -> list[Request]:
        """The last requests to Graph, followed by those to the origin for content."""
        return [*self._origin.requests, *self._content.requests]

    @property
    def identity_requests(self) -> list[Request]:
        """The last requests to the identity platform."""
        return list(self._login.requests)

    @property
    def most_at_once(self) -> int:
        """The most requests to Graph at the same time."""
        return self._origin.most_at_once

    # --- inside

    def _graph(self, request: Request, _call: str) -> Answer:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self.identity.grant(token) if kind.lower() == "bearer" else None
        if grant is None:
            text = "Access token has expired or is not yet valid."
            error = GraphError(401, "InvalidAuthenticationToken", text, **{"WWW-Authenticate": "Bearer"})
            return error.answer(self._clock())
        return self.graph.answer(request, grant)
