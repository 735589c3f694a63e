"""A OneDrive source works wherever Python runs: a script, a GUI, threads, a running loop, a forked child."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.onedrive import OneDriveSource
    from services.doubles.onedrive import Item, OneDriveServer

BODY = """
def work(source):
    files = sorted(source.scan(), key=lambda file: file.name)
    with source.fetch(files[0]) as content:
        source.remove(files[0], sha256=content.sha256)
    put = source.put("put.jpg", [b"put"])
    return [file.name for file in source.scan()], source.filesystem.ls("/", detail=False), source.look("put.jpg") == put
"""
AFTER = {"b.jpg", "put.jpg"}
exec(compile(BODY, "body", "exec"))  # the same lines here and in child processes
work: Callable[[OneDriveSource], Any] = globals()["work"]


@pytest.fixture
def server(personal: OneDriveServer) -> OneDriveServer:
    """One kind of account is enough."""
    return personal


@pytest.fixture(autouse=True)
def _two_photos(server: OneDriveServer, photos: Item) -> None:
    for name in ("a.jpg", "b.jpg"):
        server.drive.write(photos, name, name.encode())


def check(done: Any) -> None:
    """Check what each of these programs must have seen."""
    names, seen, same = done
    assert (set(names), set(seen), same) == (AFTER, {"/b.jpg", "/put.jpg"}, True)


def script(server: OneDriveServer, ending: str, *, before: str = "") -> str:
    """Run a separate program."""
    code = f"""{before}
from intouch_import import open_source
{BODY}
token = {server.token()!r}
source = open_source("onedrive:///images/intouch", signin=lambda force=False: token, endpoint={server.endpoint!r})
{ending}
"""
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert child.returncode == 0, child.stderr
    return child.stdout


def test_from_a_script_that_closes_nothing(server: OneDriveServer) -> None:
    """A script that opens a source, works and ends shows no warning and does not hang."""
    check(json.loads(script(server, "import json; print(json.dumps(work(source)))")))


def test_from_threads(source: OneDriveSource, server: OneDriveServer, photos: Item) -> None:
    """Many threads share one source."""
    for number in range(30):
        server.drive.write(photos, f"{number}.jpg", b"x%d" % number)
    files = {file.name: file for file in source.scan()}

    def one(number: int) -> bytes:
        file = files[f"{number}.jpg"]
        with source.fetch(file) as content, content.open() as stream:
            source.remove(file, sha256=content.sha256)
            return stream.read()

    with ThreadPoolExecutor(16) as pool:
        listings = [pool.submit(lambda: list(source.scan())) for _ in range(4)]
        assert sorted(pool.map(one, range(30))) == sorted(b"x%d" % number for number in range(30))
        assert all(len(listing.result()) >= 2 for listing in listings)
    assert {file.name for file in source.scan()} == {"a.jpg", "b.jpg"}


def test_from_a_thread_that_is_not_the_main_one(source: OneDriveSource) -> None:
    """A thread without an event loop needs none."""
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(work(source)))
    thread.start()
    thread.join(60)
    check(done[0])


def test_inside_a_running_loop(source: OneDriveSource) -> None:
    """A notebook cell with a running loop in the same thread works, and the loop still works afterwards."""

    async def cell() -> Any:
        done = work(source)
        await asyncio.sleep(0)
        again = await asyncio.to_thread(lambda: [file.name for file in source.scan()])
        assert set(again) == AFTER
        return done

    check(asyncio.run(cell()))
    assert asyncio.run(_nothing()) == 1


async def _nothing() -> int:
    return 1


def test_in_several_loops_one_after_the_other(source: OneDriveSource, server: OneDriveServer) -> None:
    """Nothing is bound to the loop that used it first."""

    async def look() -> list[str]:
        return [*source.filesystem.ls("/", detail=False)]

    for _ in range(3):
        assert asyncio.run(look()) == ["/a.jpg", "/b.jpg"]


def test_in_a_kernel_of_a_notebook(server: OneDriveServer) -> None:
    """As in an IPython kernel: cells with ``await`` at top level, run by a loop that goes on between them."""
    ending = """
import ast, asyncio, inspect, json
cells = ["done = work(source)", "import asyncio; await asyncio.sleep(0)", "names = [f.name for f in source.scan()]"]
async def kernel():
    space = dict(globals())
    for cell in cells:
        code = compile(cell, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, space)
        if inspect.isawaitable(result):
            await result
    return space
space = asyncio.run(kernel())
print(json.dumps([space["done"], space["names"]]))
"""
    done, names = json.loads(script(server, ending))
    check(done)
    assert set(names) == AFTER


def test_in_the_thread_of_a_window(server: OneDriveServer) -> None:
    """In a worker thread of a GUI whose main thread runs the event loop of the toolkit."""
    before = "import queue, threading, time"
    ending = """
import json
events = queue.Queue()
def worker():
    events.put(work(source))
# What every toolkit does: the main thread waits for events and must stay alive meanwhile.
thread = threading.Thread(target=worker)
thread.start()
beats = 0
while True:
    try:
        done = events.get(timeout=0.01)
        break
    except queue.Empty:
        beats += 1
thread.join()
source.close()
print(json.dumps(done))
"""
    check(json.loads(script(server, ending, before=before)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_after_a_fork(server: OneDriveServer) -> None:
    """A child that is forked while threads of the parent use the source works, and disturbs nobody."""
    ending = """
import json, os, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork with threads: just what is tried here
stop = threading.Event()
def busy():
    while not stop.is_set():
        list(source.scan()), source.look("b.jpg"), source.filesystem.ls("/")
threads = [threading.Thread(target=busy) for _ in range(3)]
list(source.scan())
source.filesystem.ls("/")
for thread in threads:
    thread.start()
codes = []
for number in range(4):
    time.sleep(0.02)
    pid = os.fork()
    if pid == 0:
        try:
            names = sorted(file.name for file in source.scan())
            assert names == ["a.jpg", "b.jpg"], names
            assert sorted(source.filesystem.ls("/", detail=False)) == ["/a.jpg", "/b.jpg"]
            file = source.look("a.jpg")
            with source.fetch(file) as content:
                assert content.size_bytes == 5
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
stop.set()
for thread in threads:
    thread.join()
assert codes == [0] * 4, codes
print(json.dumps(work(source)))
source.close()
"""
    check(json.loads(script(server, ending)))


def test_it_goes_on_after_it_was_closed(source: OneDriveSource) -> None:
    """Closing only releases connections; closing twice is no error."""
    source.close()
    source.close()
    check(work(source))


def test_tokens_do_not_cross(server: OneDriveServer, photos: Item, opened: Callable[..., Any]) -> None:
    """Two providers' sources in the same threads each send only their own token."""
    tokens = [server.token(), server.token()]
    sources = [
        opened(server, signin=lambda force=False, token=token: token, provider=str(n))
        for n, token in enumerate(tokens)
    ]
    server.forget_calls()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (threading.current_thread(), list(sources[n % 2].scan())), range(40)))
    for source, token in zip(sources, tokens, strict=True):
        server.forget_calls()
        list(source.scan())
        source.filesystem.ls("/")
        sent = {request.headers["authorization"] for request in server._origin.requests}
        assert sent == {f"Bearer {token}"}
