"""fsspec's SFTP file system, changed so that all file names work and unknown servers are refused.

This module imports paramiko.
"""

from __future__ import annotations

import contextlib
import stat
import threading
from typing import Any, cast

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem
from paramiko.sftp import CMD_CLOSE, CMD_EXTENDED, CMD_HANDLE, CMD_NAME, CMD_OPENDIR, CMD_READDIR

__all__ = ["Client", "SftpFileSystem", "described", "open_sftp"]


class SftpFileSystem(SFTPFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """A connection to one server, for one thread at a time."""

    cachable = False

    def __init__(
        self, host: str, *, known_hosts: str | None = None, timeout_s: float = 30.0, **options: Any
    ) -> None:
        self._known_hosts = known_hosts
        self._timeout_s = timeout_s
        times = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout", "channel_timeout"), timeout_s)
        super().__init__(host, **{**times, **options})

    def _connect(self) -> None:
        self.client = paramiko.SSHClient()
        # fsspec accepts any key by default: someone between client and server could read every photo.
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        self.client.load_system_host_keys(self._known_hosts)
        try:
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self._begin()
            self.ftp.get_channel().settimeout(self._timeout_s)
        except BaseException:
            self.client.close()
            raise

    def _begin(self) -> Client:
        """Start the session, with a timeout: paramiko waits forever if the server's SFTP program hangs."""
        giving_up = threading.Timer(self._timeout_s, self.client.close)
        giving_up.daemon = True
        giving_up.start()
        try:
            return cast("Client", Client.from_transport(self.client.get_transport()))
        finally:
            giving_up.cancel()

    @property
    def alive(self) -> bool:
        """Whether the connection is open. Servers close connections that are not used for some time."""
        transport = self.client.get_transport()
        return transport is not None and bool(transport.is_active())

    def mv(self, old: str, new: str) -> None:
        """Rename without replacing a file (SFTP 3, section 6.5). The method of fsspec replaces files."""
        self.ftp.rename(old, new)


class Client(paramiko.SFTPClient):  # type: ignore[misc]  # paramiko is not typed
    """A client that can list a folder with names that are not UTF-8.

    Such names contain lone surrogates (PEP 383), as for local files.
    """

    def _log(self, level: int, msg: str, *args: Any) -> None:
        """Do nothing: paramiko logs paths, and paths contain patient ids."""

    def _adjust_cwd(self, path: str | bytes) -> bytes:
        raw = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
        return cast("bytes", super()._adjust_cwd(raw))

    def entries(self, folder: str) -> list[tuple[str, paramiko.SFTPAttributes]]:
        """List a folder completely, without following links; return names and attributes.

        Raises:
            OSError, paramiko.SFTPError: The folder could not be listed to its end.
        """
        kind, answer = self._request(CMD_OPENDIR, self._adjust_cwd(folder))
        if kind != CMD_HANDLE:
            raise paramiko.SFTPError("the answer is not a handle")
        handle = answer.get_binary()
        found = []
        while True:
            try:
                kind, answer = self._request(CMD_READDIR, handle)
            except EOFError:
                break
            if kind != CMD_NAME:
                raise paramiko.SFTPError("the answer is not a list of names")
            for _ in range(answer.get_int()):
                name = answer.get_binary().decode("utf-8", "surrogateescape")
                answer.get_binary()  # a line for people, as in `ls -l`
                attributes = paramiko.SFTPAttributes._from_msg(answer)  # noqa: SLF001  # there is no other way
                if name not in {".", ".."}:
                    found.append((name, attributes))
        self._request(CMD_CLOSE, handle)
        return found

    def open_ahead(self, path: str, size_bytes: int) -> paramiko.SFTPFile:
        """Open a file for reading, and request its parts ahead, without waiting for each answer."""
        stream = self.open(path, "rb")
        ask = stream._prefetch_thread  # noqa: SLF001  # there is no other way

        def ask_quietly(*arguments: Any) -> None:
            # The reader gets the same error. From this thread, Python would only print it.
            with contextlib.suppress(Exception):
                ask(*arguments)

        stream._prefetch_thread = ask_quietly  # noqa: SLF001
        stream.prefetch(size_bytes)
        return stream

    def sync(self, file: paramiko.SFTPFile) -> None:
        """Make a file that is open for writing durable, if the server can do that (OpenSSH 6.5 or later)."""
        file.flush()
        self._finish_responses(file)  # wait until the server has written everything
        with contextlib.suppress(OSError):  # the server can't do it
            self._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)


def described(attributes: paramiko.SFTPAttributes) -> dict[str, Any]:
    """Return the attributes of an entry as in a listing of fsspec. Devices are not files."""
    mode = attributes.st_mode or 0
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
    return {
        "type": kinds.get(stat.S_IFMT(mode), "other"),
        "size": attributes.st_size,
        "mtime": attributes.st_mtime,
    }


def open_sftp(url: str, **options: Any) -> tuple[SftpFileSystem, str]:
    """Open ``sftp://[user@]host[:port]/folder``; return the file system, and the path of the folder."""
    options.pop("skip_instance_cache", None)
    server, _, folder = url.removeprefix("sftp://").partition("/")
    asked = SftpFileSystem._get_kwargs_from_urls(f"sftp://{server}")  # noqa: SLF001  # fsspec calls it, too
    return SftpFileSystem(**{**asked, **options}), f"/{folder}"
