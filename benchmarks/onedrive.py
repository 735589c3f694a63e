"""Measure a OneDrive folder against plain httpx on the same server: ``python benchmarks/onedrive.py [--quick]``.

The server is the double that the tests use, in a process of its own, with a latency per call. Both parties get the
same bytes and take turns; the peer lists, downloads, writes and deletes in 8 asyncio tasks, verifies nothing and
makes nothing durable.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx
from measuring import PATIENT, Line, clinic, in_turn, part_of, seconds
from run import HEAD, print_table

from intouch_import.inbox import Inbox
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from services.doubles.onedrive import OneDriveServer  # of the clone, not of the package

TASKS = 8
MOST_REQUESTS = 4


@attrs.frozen(kw_only=True)
class Sizes:
    """How much is measured.

    Args:
        repeat: Turns of each party; the table shows medians.
        files, kb: Photos to move, and their size in thousands of bytes.
        latency_ms: How long the server holds back every answer.
        listed: Files in the folder that is listed.
    """

    repeat: int = 3
    files: int = 2_000
    kb: int = 300
    latency_ms: int = 20
    listed: int = 50_000


QUICK = Sizes(repeat=1, files=200, listed=5_000)


class Remote:
    """The server in its own process, and orders to it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.endpoint, self.token, self.drive = self._pipe.recv()

    def __call__(self, order: str, *arguments: Any) -> Any:
        self._pipe.send((order, *arguments))
        return self._pipe.recv()


def serve(pipe: Connection, latency_ms: int) -> None:
    """Be the server: lay photos, count calls, until told to end."""
    with OneDriveServer("business") as server:
        server.identity.lifetime_s = 86_400
        server.forget_calls()
        folder = server.drive.folder("photos")
        pipe.send((server.endpoint, server.token(), server.drive.id))
        numbers = itertools.count()
        block = os.urandom(1_000_000)
        while True:
            order, *arguments = pipe.recv()
            answer: Any = None
            match order:
                case "lay":
                    count, size = arguments
                    for _ in range(count):
                        number = next(numbers)
                        content = number.to_bytes(8, "big") + block[:size]
                        item = server.drive.add(folder, f"IMG_{number:07}.jpg", content)
                        server.drive.hashes(item)
                    server.drive.bin.clear()
                    server.latency_s = latency_ms / 1000
                case "change":
                    items = list(folder.children.values())
                    server.drive.delete(items[0])
                    server.drive.replace(items[1], b"changed")
                    server.drive.add(folder, f"new {next(numbers)}.jpg", b"new")
                case "left":
                    answer = len(folder.children)
                case "calls":
                    answer = Counter(server.calls)
                    server.forget_calls()
                case "clear":
                    for item in list(folder.children.values()):
                        server.drive.delete(item)
                    server.drive.bin.clear()
                case "end":
                    break
            pipe.send(answer)
    pipe.close()


@contextlib.contextmanager
def remote(sizes: Sizes) -> Iterator[Remote]:
    """A server while this lasts."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(there, sizes.latency_ms), daemon=True
    )
    process.start()
    try:
        yield Remote(here)
        here.send(("end",))
        process.join(10)
    finally:
        process.kill()


def opened(server: Remote) -> Any:
    """The folder as a source."""
    return open_source(
        "onedrive:///photos", signin=lambda _force=False: server.token, endpoint=server.endpoint
    )


def move_lines(server: Remote, sizes: Sizes, folder: Path) -> list[Line]:
    """Move photos from the folder into a record, against plain httpx."""
    calls: list[Counter[str]] = []

    def turn(move: Any) -> Any:
        def one() -> float:
            server("lay", sizes.files, sizes.kb * 1000)
            server("calls")
            taken_s: float = move(server, part_of(folder), sizes.files)
            calls.append(server("calls"))
            if server("left"):
                raise AssertionError("files were left behind")
            return taken_s

        return one

    ours_s, peer_s = in_turn(sizes.repeat, turn(ours), turn(plain))
    mine = calls[0::2][-1]
    a_file = sum(count for call, count in mine.items() if call not in {"children", "delta"}) / sizes.files
    what = f"move {sizes.files:,} photos of {sizes.kb} KB, {sizes.latency_ms} ms a call"
    return [
        Line(
            what=f"{what} (prepare and save: hashes compared, durable, verified) / httpx in {TASKS} tasks",
            ours=f"{ours_s:.1f} s",
            peer=f"{peer_s:.1f} s",
            ratio=f"{ours_s / peer_s:.2f} x",
        ),
        Line(
            what="requests a file",
            ours=f"{a_file:.2f}",
            peer=f"{sum(calls[1::2][-1].values()) / sizes.files:.2f}",
            target=f"<= {MOST_REQUESTS}: {'met' if a_file <= MOST_REQUESTS else 'MISSED'}",
        ),
    ]


def ours(server: Remote, target: Path, count: int) -> float:
    """Choose all rows for one patient and save them. Listing them was done before."""
    with clinic(target) as records, opened(server) as source:
        inbox = Inbox(records, [source], auto_import=False, settle_s=0)
        inbox.refresh()
        taken_s = seconds(lambda: inbox.save(inbox.prepare(inbox.rows, patient=PATIENT)))
        if len(records.attachments(PATIENT)) != count:
            raise AssertionError("not everything is in the record")
        return taken_s


def plain(server: Remote, target: Path, count: int) -> float:
    """Download, write and delete in 8 tasks. Listing was done before, too."""
    headers = {"Authorization": f"Bearer {server.token}"}
    root = f"{server.endpoint}/v1.0/drives/{server.drive}"

    async def work() -> float:
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
            items: list[dict[str, Any]] = []
            link: str | None = f"{root}/root:/photos:/children?$top=1000&$select=id,name"
            while link:
                page = (await client.get(link)).json()
                items += page["value"]
                link = page.get("@odata.nextLink")
            waiting = iter(items)
            began_s = time.perf_counter()

            async def task() -> None:
                for item in waiting:
                    address = f"{root}/items/{item['id']}"
                    answer = await client.get(f"{address}/content")
                    # Another host: httpx leaves the token out by itself.
                    content = await bytes_.get(answer.headers["Location"])
                    (target / item["name"]).write_bytes(content.content)
                    (await client.delete(address)).raise_for_status()

            async with httpx.AsyncClient(timeout=60, trust_env=False) as bytes_:
                await asyncio.gather(*(task() for _ in range(TASKS)))
            return time.perf_counter() - began_s

    taken_s = asyncio.run(work())
    if len(list(target.iterdir())) != count:
        raise AssertionError("not everything was downloaded")
    return taken_s


def list_lines(server: Remote, sizes: Sizes) -> list[Line]:
    """Refresh a large folder with three changes, by what has changed and by listing it whole."""
    server("clear")
    server("lay", sizes.listed, 100)
    by_change, whole, calls = [], [], []
    with opened(server) as source:
        list(source.scan())
        for _ in range(sizes.repeat):
            server("change")
            server("calls")
            by_change.append(seconds(lambda: list(source.scan())))
            calls.append(sum(server("calls").values()))
            with opened(server) as another:
                whole.append(seconds(lambda another=another: list(another.scan())))  # type: ignore[misc]
            calls.append(sum(server("calls").values()))
    ours_s, whole_s = statistics.median(by_change), statistics.median(whole)
    return [
        Line(
            what=f"refresh {sizes.listed:,} files of which 3 changed: delta / a full listing of our own",
            ours=f"{ours_s:.2f} s, {calls[0]} requests",
            peer=f"{whole_s:.2f} s, {calls[1]} requests",
            ratio=f"1/{whole_s / ours_s:.0f}",
        )
    ]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes, one turn of each")
    for field in attrs.fields(Sizes):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, metavar="N")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    sizes = attrs.evolve(QUICK if given.pop("quick") else Sizes(), **given)
    with tempfile.TemporaryDirectory(prefix="intouch-benchmark-") as folder, remote(sizes) as server:
        table = [HEAD, *move_lines(server, sizes, Path(folder)), *list_lines(server, sizes)]
    print(
        f"Medians of {sizes.repeat}; {os.cpu_count()} CPUs; {platform.platform()}; load {os.getloadavg()[0]:.1f}"
    )
    print()
    print_table(table)


if __name__ == "__main__":
    main()
