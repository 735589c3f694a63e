"""Services that give tokens to an Azure identity, and Azurite behind https, which is needed for tokens."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.azurite import run_azurite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.azurite import Azurite

__all__ = [
    "ManagedIdentity",
    "Tenant",
    "make_certificates",
    "run_managed_identity",
    "run_secure_azurite",
    "run_tenant",
]

STORAGE = "https://storage.azure.com"


class ManagedIdentity:
    """The token endpoint that Azure App Service offers to what runs in it; `ManagedIdentityCredential` asks it.

    Attributes:
        url, secret: What the environment variables ``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER`` say.
        lifetime_s: How long tokens are good for, seconds; negative ones are expired when they come.
        audience: For which service.
        refuses: Whether it gives none.
        given: The tokens so far.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.secret = "header-of-this-app"  # of this process, and of nothing else
        self.lifetime_s = 24 * 3600
        self.audience = STORAGE
        self.refuses = False
        self.given: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that Azure sets for the app."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": self.secret}

    def answer(self, query: dict[str, list[str]], secret: str | None) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        asked_well = query.get("resource") == [STORAGE] and secret == self.secret
        if self.refuses or not asked_well:
            return 400, {"statusCode": 400, "message": "No managed identity was found for this app."}
        until = int(time.time()) + self.lifetime_s
        token = _token(self.audience, until, number=len(self.given))
        self.given.append(token)
        return 200, {
            "access_token": token,
            "expires_on": str(until),
            "resource": STORAGE,
            "token_type": "Bearer",
            "client_id": "00000000-0000-0000-0000-000000000001",
        }


class Tenant:
    """Microsoft's sign-in service for one tenant, as far as an app registration with a secret needs it.

    Attributes:
        url: The authority.
        secret: Of the app registration.
        given: The tokens so far.
    """

    id = "00000000-0000-0000-0000-000000000002"
    app_id = "00000000-0000-0000-0000-000000000001"

    def __init__(self, url: str) -> None:
        self.url = url
        self.secret = "secret-of-the-app"
        self.given: list[str] = []

    def describe(self) -> tuple[int, dict[str, Any]]:
        """The endpoints of the service."""
        endpoint = f"{self.url}/{self.id}/oauth2/v2.0"
        return 200, {
            "issuer": f"{self.url}/{self.id}/v2.0",
            "token_endpoint": f"{endpoint}/token",
            "authorization_endpoint": f"{endpoint}/authorize",
        }

    def answer(self, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        if form.get("scope", [""])[0] != f"{STORAGE}/.default" or form.get("client_id") != [self.app_id]:
            return 400, {"error": "invalid_scope", "error_description": "AADSTS70011: no such scope"}
        if form.get("client_secret") != [self.secret]:
            return 401, {
                "error": "invalid_client",
                "error_description": "AADSTS7000222: The provided client secret keys are expired.",
            }
        token = _token(STORAGE, int(time.time()) + 3600, number=len(self.given))
        self.given.append(token)
        return 200, {"token_type": "Bearer", "expires_in": 3600, "access_token": token}


@contextlib.contextmanager
def run_managed_identity() -> Iterator[ManagedIdentity]:
    """Serve tokens on a free loopback port."""

    class Handler(_Handler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            self.tell(*identity.answer(query, self.headers.get("X-IDENTITY-HEADER")))

    with _served(Handler) as server:
        identity = ManagedIdentity(f"http://127.0.0.1:{server.server_address[1]}")
        yield identity


@contextlib.contextmanager
def run_tenant(folder: Path) -> Iterator[Tenant]:
    """Serve a tenant over https on a free loopback port; see `make_certificates`."""

    class Handler(_Handler):
        def do_GET(self) -> None:
            self.tell(*tenant.describe())

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.tell(*tenant.answer(parse_qs(form)))

    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(folder / "server.pem", folder / "server.key")
    with _served(Handler, secure) as server:
        tenant = Tenant(f"https://127.0.0.1:{server.server_address[1]}")
        yield tenant


class _Handler(BaseHTTPRequestHandler):
    def tell(self, status: int, told: dict[str, Any]) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
        pass


@contextlib.contextmanager
def _served(
    handler: type[BaseHTTPRequestHandler], secure: ssl.SSLContext | None = None
) -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if secure is not None:
            server.socket = secure.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def run_secure_azurite(folder: Path) -> Iterator[Azurite]:
    """Start an emulator that uses https and accepts tokens; see `make_certificates`."""
    with run_azurite(
        "--oauth", "basic", "--cert", str(folder / "server.pem"), "--key", str(folder / "server.key")
    ) as azurite:  # fmt: skip
        yield azurite


def make_certificates(folder: Path) -> Path:
    """Make a certificate of an authority, ``ca.pem``, and one of a server on 127.0.0.1. Return the first."""
    now = datetime.now(UTC)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def certificate(name: str, key: Any, *extensions: tuple[Any, bool]) -> Any:
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("Practice test authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=7))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(authority, hashes.SHA256())

    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    of_authority = certificate(
        "Practice test authority",
        authority,
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), False),
    )
    of_server = certificate(
        "127.0.0.1",
        server,
        (x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False),
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(of_authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(of_server.public_bytes(pem))
    (folder / "server.key").write_bytes(
        server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "ca.pem"


def _token(audience: str, until: int, *, number: int) -> str:
    """Return a token that Azurite accepts: it checks the claims, not the signature."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    begins = min(int(time.time()), until) - 60
    claims = {
        "aud": audience,
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000002/",
        "iat": begins,
        "nbf": begins,
        "exp": until,
        "oid": "CANARY-identity",
        "jti": str(number),
    }
    return ".".join(
        (
            part(b'{"alg":"RS256","typ":"JWT"}'),
            part(json.dumps(claims).encode()),
            part(b"not a signature"),
        )
    )
