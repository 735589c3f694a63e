"""A container that is opened with tokens of azure.identity, without a key or a SAS."""

from __future__ import annotations

import hashlib
import io
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from azure.identity import ClientSecretCredential, ManagedIdentityCredential

from intouch_import.azure import transfer
from intouch_import.cloud.retry import Patience
from intouch_import.errors import InTouchImportError, SourceUnavailable
from intouch_import.model import State
from miniature import jpeg
from services.azure_identity import make_certificates, run_managed_identity, run_secure_azurite, run_tenant
from services.azurite import ACCOUNT, azurite_or_skip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from azure.storage.blob import ContainerClient

    from intouch_import.sources import Source
    from miniature import Practice
    from services.azure_identity import ManagedIdentity, Tenant
    from services.azurite import Azurite

LANES = pytest.mark.parametrize("fast", [False, True], ids=["sdk", "fast"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate to trust; the server's certificate is beside it."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(certificates: Path) -> Iterator[Azurite]:
    """An emulator behind https."""
    yield from azurite_or_skip(lambda: run_secure_azurite(certificates.parent))


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch, certificates: Path) -> None:
    """This machine trusts the practice's own certificate authority."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates))


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[ManagedIdentity]:
    """The service that gives tokens."""
    with run_managed_identity() as identity:
        for name, value in identity.environment.items():
            monkeypatch.setenv(name, value)
        yield identity


@pytest.fixture
def tenant(certificates: Path) -> Iterator[Tenant]:
    """The service that gives tokens to app registrations."""
    with run_tenant(certificates.parent) as tenant:
        yield tenant


@pytest.fixture
def container(secure: Azurite, certificates: Path) -> Iterator[ContainerClient]:
    """A new container, as another program with a key sees it."""
    with secure.container(connection_verify=str(certificates)) as client:
        yield client


def opened(secure: Azurite, container: ContainerClient, **options: Any) -> Source:
    options = {"credential": ManagedIdentityCredential(), "patience": Patience(2.0), **options}
    return secure.open(f"{container.container_name}/photos", account_name=ACCOUNT, **options)


def registration(tenant: Tenant, *, secret: str | None = None) -> ClientSecretCredential:
    return ClientSecretCredential(
        tenant.id,
        tenant.app_id,
        secret or tenant.secret,
        authority=tenant.url,
        disable_instance_discovery=True,
        retry_total=0,
    )


@pytest.mark.usefixtures("trusting")
@LANES
def test_photos_move_by_an_identity_alone(
    practice: Practice, secure: Azurite, container: ContainerClient, identity: ManagedIdentity, fast: bool
) -> None:
    """One token is enough to list, read, store, remove and put back."""
    photos = {f"{number}.jpg": jpeg(str(number)) for number in range(70)}  # more than one request removes
    for name, data in photos.items():
        container.upload_blob(f"photos/{name}", data)
    with opened(secure, container, fast=fast) as source:
        inbox = practice.inbox(source)
        inbox.refresh()
        report = inbox.save(inbox.prepare(inbox.rows, patient="10042"))
        assert (report.imported, report.closes, list(container.list_blob_names())) == (70, True, [])
        stored = {one.name: one for one in inbox.repository.attachments("10042")}
        assert {name: one.sha256 for name, one in stored.items()} == {
            name: hashlib.sha256(data).hexdigest() for name, data in photos.items()
        }
        undone = inbox.undo(stored["7.jpg"].id)
        assert undone.state is State.WAITING
    assert container.download_blob("photos/7.jpg").readall() == photos["7.jpg"]
    assert len(identity.given) == 1


@pytest.mark.usefixtures("trusting")
def test_obstore_reads_by_the_token(
    monkeypatch: pytest.MonkeyPatch, secure: Azurite, container: ContainerClient, identity: ManagedIdentity
) -> None:
    """The library obstore gets the token in a header, and the token is renewed before it expires."""
    data = jpeg("one")
    container.upload_blob("photos/one.jpg", data)
    stores: list[Any] = []
    current = transfer.FastReader._current_store
    monkeypatch.setattr(
        transfer.FastReader, "_current_store", lambda lane: stores.append(current(lane)) or stores[-1]
    )
    monkeypatch.setattr("intouch_import.azure.transfer.Download._piece", None)  # the SDK reads nothing
    with opened(secure, container, fast=True) as source:
        (file,) = source.scan()
        for _ in range(2):
            with source.fetch(file) as content:
                assert content.sha256 == hashlib.sha256(data).hexdigest()
        assert len(stores) == 2
        assert stores[0] is stores[1]
        monkeypatch.setattr(transfer, "_RENEWED_BEFORE", 10 * transfer._RENEWED_BEFORE * 24)
        with source.fetch(file):
            assert stores[2] is not stores[0], "the token is good for a shorter time than is wanted"
    assert identity.given


@pytest.mark.usefixtures("trusting")
@LANES
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"refuses": True}, "Azure gave no access token"),
        ({"audience": "https://vault.azure.net"}, "not valid here"),
        ({"lifetime_s": -30}, "not valid here"),
    ],
    ids=["no identity", "a token for another service", "an expired token"],
)
def test_a_location_that_lets_nobody_in_says_why(
    practice: Practice,
    secure: Azurite,
    container: ContainerClient,
    identity: ManagedIdentity,
    fast: bool,
    change: dict[str, Any],
    told: str,
) -> None:
    """The other locations work on, and the problem says what to do, without a token."""
    for name, value in change.items():
        setattr(identity, name, value)
    practice.photo("near.jpg")
    with pytest.raises(SourceUnavailable, match=told) as caught, opened(secure, container, fast=fast):
        pass
    assert not caught.value.retry_helps
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("trusting")
@LANES
def test_a_right_that_is_taken_away_stops_one_location(
    practice: Practice, secure: Azurite, container: ContainerClient, identity: ManagedIdentity, fast: bool
) -> None:
    """When an identity is revoked while the list is open, its photos stay and those of another folder move."""
    container.upload_blob("photos/far.jpg", jpeg("far"))
    practice.photo("near.jpg")
    identity.lifetime_s = 200  # so short that a new token is asked for with each request
    with opened(secure, container, fast=fast) as source:
        inbox = practice.inbox(practice.source(), source)
        assert not inbox.refresh().problems
        identity.refuses = True
        report = inbox.save(inbox.prepare(inbox.rows, patient="10042"))
    states = {outcome.name: (outcome.state, outcome.retry_helps) for outcome in report.outcomes}
    assert states == {"near.jpg": (State.IMPORTED, False), "far.jpg": (State.FAILED, False)}
    assert [problem.text for problem in report.problems] == [
        "Azure gave no access token: nobody is signed in, or the identity is not set up"
    ]
    assert list(container.list_blob_names()) == ["photos/far.jpg"]


def test_a_server_that_is_not_trusted_gets_no_token(
    monkeypatch: pytest.MonkeyPatch, secure: Azurite, container: ContainerClient, identity: ManagedIdentity
) -> None:
    """Without the practice's own authority, the connection ends before anything is sent."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with (
        pytest.raises(SourceUnavailable, match="certificate is not trusted") as caught,
        opened(secure, container),
    ):
        pass
    assert not caught.value.retry_helps


@pytest.mark.usefixtures("trusting")
@LANES
def test_an_app_registration_with_a_secret_moves_photos(
    practice: Practice, secure: Azurite, container: ContainerClient, tenant: Tenant, fast: bool
) -> None:
    """A practice outside of Azure uses an app registration; an expired secret is not reported as a wrong key."""
    container.upload_blob("photos/a.jpg", jpeg("a"))
    with opened(secure, container, credential=registration(tenant), fast=fast) as source:
        inbox = practice.inbox(source)
        inbox.refresh()
        assert inbox.save(inbox.prepare(inbox.rows, patient="10042")).imported == 1
    assert len(tenant.given) == 1
    tenant.secret = "another"
    other = registration(tenant, secret="secret-of-the-app")
    with (
        pytest.raises(SourceUnavailable, match="Azure gave no access token") as caught,
        opened(secure, container, credential=other, fast=fast),
    ):
        pass
    assert not caught.value.retry_helps
    assert "secret-of-the-app" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("trusting")
def test_a_token_service_that_is_not_reached_is_told(
    secure: Azurite, container: ContainerClient, tenant: Tenant
) -> None:
    """If a firewall blocks the sign-in service only, a retry may help later."""
    tenant.url = "https://127.0.0.1:9"
    with (
        pytest.raises(SourceUnavailable, match="gives access tokens for Azure can't be reached") as caught,
        opened(secure, container, credential=registration(tenant)),
    ):
        pass
    assert caught.value.retry_helps


@pytest.mark.usefixtures("trusting")
@LANES
def test_no_log_tells_a_token(
    practice: Practice, secure: Azurite, container: ContainerClient, identity: ManagedIdentity, fast: bool
) -> None:
    """With all loggers at DEBUG, a move and a failure log no token and no part of one."""
    container.upload_blob("photos/a.jpg", jpeg("a"))
    printed = io.StringIO()
    handler = logging.StreamHandler(printed)
    ours = logging.getLogger("intouch_import")
    ours.addHandler(handler)
    before, ours.level = ours.level, logging.DEBUG
    try:
        with opened(secure, container, fast=fast) as source:
            inbox = practice.inbox(source)
            inbox.refresh()
            assert inbox.save(inbox.prepare(inbox.rows, patient="10042")).imported == 1
            container.delete_container()
            shown = f"{source!r} {source.filesystem!r} {inbox.refresh()!r}"
            with pytest.raises(InTouchImportError) as caught:
                list(source.scan())
    finally:
        ours.removeHandler(handler)
        ours.level = before
    text = printed.getvalue() + shown + "".join(traceback.format_exception(caught.value))
    assert not [part for token in identity.given for part in token.split(".")[1:] if part in text]
