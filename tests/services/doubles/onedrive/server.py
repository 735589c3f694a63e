"""`OneDriveServer`: Microsoft Graph, the bytes' own origin and the identity platform, on loopback."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from services.doubles.onedrive.drive import Drive, Item
from services.doubles.onedrive.graph import Graph
from services.doubles.onedrive.identity import Identity
from services.doubles.onedrive.shapes import GraphFault
from services.doubles.onedrive.tokens import Account, App
from services.doubles.onedrive.wire import Answer, Faults, Origin, Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["OneDriveServer"]

PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


class OneDriveServer:
    """OneDrive, to try an integration with, without an account and without the internet.

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
        faults: What goes wrong; see `Faults.add`.
    """

    def __init__(
        self,
        kind: str = "personal",
        *,
        latency_s: float = 0.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        token_s: float = 3600.0,
    ) -> None:
        self.latency_s = latency_s
        self._clock = clock
        self.faults = Faults()
        self.graph = Graph(clock=clock)
        self.identity = Identity(clock=clock, lifetime_s=token_s)
        tenant = PERSONAL_TENANT if kind == "personal" else secrets.token_hex(16)
        self.drive = self.add_drive(kind)
        self.account = Account(name="drjones@practice.example", drive=self.drive, tenant=tenant)
        self.identity.accounts.append(self.account)
        self.app = self.register(App(id=f"app-{secrets.token_hex(8)}"))
        held_back = self._latency
        self._origin = Origin(
            name=self.graph.call, answer=self._graph, faults=self.faults, latency_s=held_back
        )
        self._content = Origin(
            name=self.graph.content_call,
            answer=lambda request, _: self.graph.content_answer(request),
            faults=self.faults,
            latency_s=held_back,
        )
        self._login = Origin(
            name=self.identity.call, answer=self.identity.answer, faults=self.faults, latency_s=held_back
        )
        self.graph.url = self.endpoint = self._origin.url
        self.graph.content_url = self.content_url = self._content.url
        self.identity_url = self._login.url

    def __enter__(self) -> Self:
        for origin in self._origins:
            origin.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering.

        Raises:
            AssertionError: This server has failed at a request.
        """
        for origin in self._origins:
            origin.close()
        for origin in self._origins:
            if origin.bugs:
                raise AssertionError("the OneDrive server failed") from origin.bugs[0]

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

    def forget_calls(self, *, keep_requests: bool = True) -> None:
        """Count anew.

        Args:
            keep_requests: Whether requests are kept from now on, for `requests`.
        """
        for origin in self._origins:
            origin.calls.clear()
            origin.requests.clear()
            origin.most_at_once = 0
            origin.keep_requests = keep_requests

    # --- inside

    @property
    def _origins(self) -> tuple[Origin, Origin, Origin]:
        return self._origin, self._content, self._login

    def _latency(self) -> float:
        return self.latency_s

    def _graph(self, request: Request, call: str) -> Answer:  # the name is for faults
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self.identity.grant(token) if kind.lower() == "bearer" else None
        if grant is None:
            text = "Access token has expired or is not yet valid."
            fault = GraphFault(401, "InvalidAuthenticationToken", text, **{"WWW-Authenticate": "Bearer"})
            return fault.answer(self._clock())
        return self.graph.answer(request, grant)
