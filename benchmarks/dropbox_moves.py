"""What a Dropbox costs: a move against the vendor's own client, and a refresh against a full listing.

``python benchmarks/dropbox_moves.py [--files 2000] [--kb 300] [--latency-ms 20] [--folder 50000]``

The server is the double that the tests use, in a process of its own, on this machine, with a latency that every call has at
least; so what is compared is how many calls each party makes, how many at a time, and what it costs around them.
The vendor's client fetches a file into a temporary one and deletes it, pinned to its revision; it checks nothing,
stores nothing in a record and writes no ledger.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = "/photos"
PATIENT = "10042"
THREADS = 8


# --- the server, in a process of its own


def serve() -> None:
    """Hold a Dropbox, and do what is said on standard input, a JSON array a line."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from services.doubles.dropbox import Bytes, DropboxServer

    with DropboxServer() as server:
        tail = os.urandom(4_000_000)
        print(json.dumps({"url": server.url, "token": server.token()}), flush=True)
        for line in sys.stdin:
            match json.loads(line):
                case ["fill", int(count), int(size)]:
                    server.delete(FOLDER)
                    for number in range(count):
                        head = b"\xff\xd8\xff" + number.to_bytes(8, "big")
                        name = f"IMG_{number:06}.jpg"
                        content = Bytes((head, tail[: size - len(head) - 2], b"\xff\xd9"))
                        server.put(f"{FOLDER}/{name}", content)
                case ["change", int(number)]:
                    server.put(f"{FOLDER}/IMG_{number:06}.jpg", b"changed")
                    server.put(f"{FOLDER}/NEW_{number:06}.jpg", b"new")
                    server.delete(f"{FOLDER}/IMG_{number + 1:06}.jpg")
                case ["latency", float(seconds)]:
                    server.latency_s = seconds
            said = {"calls": dict(server.calls), "left": len(server.names(FOLDER))}
            server.forget_calls()
            print(json.dumps(said), flush=True)


class Server:
    """That process, from here."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "--serve"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self._answer()
        self.url, self.token = said["url"], said["token"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def __call__(self, *order: object) -> dict[str, Any]:
        """Let it do something; gives the calls since the last time, and how many files are left."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


# --- the parties


def vendors_client(server: Server) -> Any:
    """The vendor's client, unchanged but for the host."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from services.dropbox_sdk import open_sdk

    return open_sdk(server, oauth2_access_token=server.token)  # type: ignore[arg-type]  # it only wants the url


def with_the_vendors_client(server: Server, folder: Path, threads: int) -> None:
    """List, then fetch and delete each file."""
    client = vendors_client(server)
    page = client.files_list_folder(FOLDER)
    entries = list(page.entries)
    while page.has_more:
        page = client.files_list_folder_continue(page.cursor)
        entries += page.entries

    def move(entry: Any) -> None:
        client.files_download_to_file(str(folder / entry.name), entry.path_lower)
        client.files_delete_v2(entry.path_lower, parent_rev=entry.rev)

    if threads == 1:
        for entry in entries:
            move(entry)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(move, entries))
    client.close()


def with_this_library(server: Server, folder: Path) -> None:
    """List, then save all of it to one patient: stored, read back, written down, removed."""
    from intouch_import.inbox import Inbox
    from intouch_import.model import Patient
    from intouch_import.repositories.sql import SqlRepository
    from intouch_import.sources import open_source

    with SqlRepository.open(f"sqlite:///{folder}/clinic.db", files=folder / "files") as records:
        records.add_patient(Patient(id=PATIENT))
        with open_source(
            f"dropbox://{FOLDER}", signin=lambda _force=False: server.token, endpoint=server.url
        ) as source:
            inbox = Inbox(records, [source], zone="UTC")
            inbox.refresh()
            report = inbox.save(inbox.prepare(inbox.rows, patient=PATIENT))
            assert report.closes
            assert report.failed == report.stored == 0, report


def timed(action: Callable[[Path], object]) -> float:
    """Seconds that it takes in a new folder."""
    with tempfile.TemporaryDirectory(prefix="intouch-benchmark-") as folder:
        began_s = time.perf_counter()
        action(Path(folder))
        return time.perf_counter() - began_s


def measure_moves(server: Server, count: int, size: int, latency_s: float) -> None:
    """Print the table of moves."""
    parties: dict[str, Callable[[Path], object]] = {
        "this library: stored, verified, in the ledger": lambda folder: with_this_library(server, folder),
        f"vendor's client, {THREADS} threads": lambda folder: with_the_vendors_client(
            server, folder, THREADS
        ),
        "vendor's client, a plain loop": lambda folder: with_the_vendors_client(server, folder, 1),
    }
    for action in parties.values():  # modules are loaded and SQL is compiled before anybody's clock starts
        server("fill", 3, 1000)
        timed(action)
    print(f"move {count:,} files of {size // 1000} KB, {latency_s * 1000:g} ms a call")
    print(f"{'':50} {'seconds':>9} {'ratio':>7} {'calls a file':>13} {'listing':>8}")
    ours_s = 0.0
    for name, action in parties.items():
        server("latency", 0.0)
        server("fill", count, size)
        server("latency", latency_s)
        took_s = timed(action)
        ours_s = ours_s or took_s
        said = server("nothing")
        assert said["left"] == 0
        calls = Counter(said["calls"])
        listing = sum(calls[route] for route in calls if "list_folder" in route or "metadata" in route)
        each = (sum(calls.values()) - listing) / count
        print(f"{name:50} {took_s:9.2f} {ours_s / took_s:7.2f} {each:13.3f} {listing:8}", flush=True)


def measure_refreshes(server: Server, count: int, latency_s: float) -> None:
    """Print what a refresh costs after the first one."""
    from intouch_import.sources import open_source

    server("latency", 0.0)
    server("fill", count, 20)
    server("latency", latency_s)
    print(f"\na folder of {count:,} files, 3 changes, {latency_s * 1000:g} ms a call")
    print(f"{'':50} {'seconds':>9} {'calls':>7}")
    with open_source(
        f"dropbox://{FOLDER}", signin=lambda _force=False: server.token, endpoint=server.url
    ) as source:
        source.look("none")  # the client is loaded
        server("nothing")
        for name, changes in (
            ("the first listing", False),
            ("a refresh", True),
            ("a refresh", True),
            ("nothing changed", False),
        ):
            if changes:
                server("change", len(name) * 7)
            began_s = time.perf_counter()
            found = sum(1 for _ in source.scan())
            took_s = time.perf_counter() - began_s
            calls = sum(server("nothing")["calls"].values())
            print(f"{name:50} {took_s:9.3f} {calls:7}   {found:,} files", flush=True)
    client = vendors_client(server)
    began_s = time.perf_counter()
    page = client.files_list_folder(FOLDER)
    entries = len(page.entries)
    while page.has_more:
        page = client.files_list_folder_continue(page.cursor)
        entries += len(page.entries)
    took_s = time.perf_counter() - began_s
    calls = sum(server("nothing")["calls"].values())
    print(f"{'a full listing by the client of the vendor':50} {took_s:9.3f} {calls:7}   {entries:,} files")
    client.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--kb", type=int, default=300)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--folder", type=int, default=50_000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{os.cpu_count()} CPUs{load}; {platform.platform()}; Python {platform.python_version()}\n")
    server = Server()
    try:
        measure_moves(server, given.files, given.kb * 1000, given.latency_ms / 1000)
        measure_refreshes(server, given.folder, given.latency_ms / 1000)
    finally:
        server.close()


if __name__ == "__main__":
    main()
