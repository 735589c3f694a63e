"""An OpenSSH server for the tests, on a free loopback port and with its own keys. It ends with the tests.

It serves SFTP alone, to the user who runs the tests, who is known by a key made for this run. The program is
the system's, else unpacked from Debian's package.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from services.cache import Unavailable, unavailable
from services.debian import find_programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.debian import Programs

__all__ = ["OpenSSHServer", "openssh_server"]

_NOBODY = 65534
_STARTS_WITHIN_S = 30.0
_SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {root}/host_key
AuthorizedKeysFile {root}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
MaxSessions 100
LogLevel ERROR
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""
# Ends the server when the test process has ended in any way: then its input is closed.
_KEEPER = """\
import subprocess, sys
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
sys.stdin.buffer.read()
server.terminate()
server.wait(20)
"""


@attrs.frozen
class OpenSSHServer:
    """A running server.

    Args:
        port: On 127.0.0.1.
        root: Where its keys are.
    """

    port: int
    root: Path

    @property
    def options(self) -> dict[str, Any]:
        """Return the options that `open_source` needs."""
        return {
            "port": self.port,
            "username": getpass.getuser(),
            "key_filename": str(self.root / "user_key"),
            "known_hosts": str(self.root / "known_hosts"),
        }

    def url(self, folder: Path) -> str:
        """Return the URL of a local folder."""
        return f"sftp://127.0.0.1{folder}"


@pytest.fixture(scope="session")
def openssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSSHServer]:
    """Return a server that shows the local disk over SFTP. Without OpenSSH, the test is skipped."""
    try:
        programs = find_programs("sshd", "ssh-keygen", packages=("openssh-server", "libnss-wrapper"))
    except Unavailable as exc:
        unavailable(exc)
    root = tmp_path_factory.mktemp("openssh")
    port = _free_port()
    environment = _lay_out(root, port, programs)
    command = [programs["sshd"], "-D", "-e", "-f", str(root / "settings")]
    with (root / "log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-c", _KEEPER, *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
        )
        try:
            _wait_for(port, root / "log")
            yield OpenSSHServer(port, root)
        finally:
            keeper.communicate(timeout=30)


def _lay_out(root: Path, port: int, programs: Programs) -> dict[str, str]:
    """Write the keys and the settings. Return the environment of the server."""
    environment = programs.environment
    for name in ("host_key", "user_key"):
        command = [programs["ssh-keygen"], "-q", *("-t", "ed25519"), *("-C", "tests"), *("-N", "")]
        command += ["-f", str(root / name)]
        subprocess.run(command, check=True, env=environment)
    shutil.copy(root / "user_key.pub", root / "authorized_keys")
    kind, key, *_ = (root / "host_key.pub").read_text("ascii").split()
    (root / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n", "ascii")
    settings = _SETTINGS.format(port=port, root=root)
    if programs.root is not None:
        # From OpenSSH 9.8 on, a session is a program of its own, which is looked for in the system.
        for setting, name in (("SshdSessionPath", "sshd-session"), ("SshdAuthPath", "sshd-auth")):
            path = programs.root / "usr/lib/openssh" / name
            settings += f"{setting} {path}\n" if path.exists() else ""
        if os.geteuid() == 0:
            environment |= _add_user(root)
    (root / "settings").write_text(settings, "utf-8")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where root's server locks itself in
    return environment


def _add_user(root: Path) -> dict[str, str]:
    """Show the server the user ``sshd``, whose rights root's server takes; the package's script would make it."""
    users = Path("/etc/passwd").read_text("utf-8")
    (root / "passwd").write_text(
        f"{users.rstrip()}\nsshd:x:{_NOBODY}:{_NOBODY}::/run/sshd:/usr/sbin/nologin\n"
    )
    return {
        "LD_PRELOAD": "libnss_wrapper.so",
        "NSS_WRAPPER_PASSWD": str(root / "passwd"),
        "NSS_WRAPPER_GROUP": "/etc/group",
    }


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _wait_for(port: int, log: Path) -> None:
    give_up_at = time.monotonic() + _STARTS_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"the OpenSSH server did not start: {log.read_text('utf-8')}") from None
            time.sleep(0.05)
        else:
            return
