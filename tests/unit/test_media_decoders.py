"""Decoding in a separate process: the results, the limits, and the death of a worker."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import pictures
from intouch_import.media import decoders
from intouch_import.media.decoders import DecodingPool
from intouch_import.media.kinds import Kind, sniff
from intouch_import.media.messages import Decoded, HostFile, Limits, Obstacle, Pipe, ProtocolError
from intouch_import.model import Soundness

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodingPool]:
    """One pool for the tests that do not damage it."""
    made = DecodingPool()
    yield made
    made.close()


def look(pool: DecodingPool, content: bytes, *, px: int | None = None) -> Decoded:
    return pool.decode(io.BytesIO(content), kind=sniff(content), size_bytes=len(content), thumbnail_px=px)


def worker_ids(pool: DecodingPool) -> set[int]:
    return {worker._process.pid for worker in pool._workers}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(what: object, timeout_s: float = 30.0) -> None:
    """Wait for a condition; processes need some time to die."""
    end_s = time.monotonic() + timeout_s
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end_s
        time.sleep(0.02)


def command_that(code: str) -> list[str]:
    """Return the command of a worker that runs some code instead of decoding."""
    body = textwrap.indent(textwrap.dedent(code), "    ")
    program = (
        f"import json, sys\nsys.path[:] = json.loads({json.dumps(json.dumps(sys.path))})\n"
        "import os, signal, time\nfrom intouch_import.media import worker\n"
        f"def run(self, file):\n{body}\nworker._Decoding.run = run\nworker.main()"
    )
    return [sys.executable, "-c", program]


# --- what comes back


@pytest.mark.parametrize("label", pictures.whole())
def test_whole_pictures_are_verified(pool: DecodingPool, label: str) -> None:
    """Every decodable format is decoded whole: size, frames, and a thumbnail that opens."""
    found = look(pool, pictures.whole()[label][1], px=64)
    assert (found.soundness, found.obstacle) == (Soundness.VERIFIED, None)
    assert found.frames == (3 if label.startswith(("animated", "pages")) else 1)
    assert found.thumbnail is not None
    with Image.open(io.BytesIO(found.thumbnail)) as thumbnail:
        thumbnail.load()
        assert (thumbnail.format, max(thumbnail.size)) == (
            "JPEG",
            min(64, max(found.width_px or 0, found.height_px or 0)),
        )


def test_the_size_is_that_of_the_picture_and_not_of_its_draft(pool: DecodingPool) -> None:
    """A JPEG is decoded at an eighth of its size, but its full size is reported."""
    found = look(pool, pictures.encoded(pictures.picture(1600, 1200), "JPEG"))
    assert (found.width_px, found.height_px, found.thumbnail) == (1600, 1200, None)


def test_another_decoder_is_never_tried(pool: DecodingPool) -> None:
    """A PNG that is passed as a JPEG is not decoded as a PNG."""
    content = pictures.whole()["png"][1]
    found = pool.decode(io.BytesIO(content), kind=Kind.JPEG, size_bytes=len(content))
    assert (found.soundness, found.obstacle) == (Soundness.DAMAGED, Obstacle.UNDECODABLE)


def test_only_what_is_needed_is_read(pool: DecodingPool) -> None:
    """If the header of a large file is over the limit, only the header is read."""

    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            content = super().read(size)
            self.taken += len(content)
            return content

    huge = pictures.bomb_png(60_000, 60_000, payload_bytes=5_000_000)
    stream = Counting(huge)
    found = pool.decode(stream, kind=Kind.PNG, size_bytes=len(huge))
    assert found.obstacle is Obstacle.TOO_MANY_PIXELS
    assert stream.taken < 1_200_000


def test_a_stream_that_fails_is_the_callers_error(pool: DecodingPool) -> None:
    """A failing disk raises an error; the picture is not reported as damaged."""

    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    content = pictures.whole()["png"][1]
    with pytest.raises(OSError, match="Input/output"):
        pool.decode(Failing(content), kind=Kind.PNG, size_bytes=len(content))
    assert look(pool, content).soundness is Soundness.VERIFIED


def test_a_file_that_shrank_is_damaged(pool: DecodingPool) -> None:
    """A stream that is shorter than its declared size does not block the decoder."""
    content = pictures.whole()["jpeg"][1]
    found = pool.decode(io.BytesIO(content[:5000]), kind=Kind.JPEG, size_bytes=len(content))
    assert found.soundness is Soundness.DAMAGED


# --- one pool, many files


def test_workers_are_reused_and_shared_by_threads() -> None:
    """Many files from many threads use no more processes than allowed, and all of them are decoded."""
    pool = DecodingPool(workers=2)
    contents = [content for _extension, content in pictures.whole().values()] * 3
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda content: look(pool, content).soundness, contents))
    assert set(found) == {Soundness.VERIFIED}
    assert 1 <= len(pool._workers) <= 2
    assert sum(worker.tasks for worker in pool._workers) == len(contents)
    pool.close()
    assert look(pool, contents[0]).soundness is Soundness.VERIFIED  # closed is not the end
    pool.close()


def test_a_worker_without_work_ends() -> None:
    """An idle worker ends, and the next file starts another one."""
    pool = DecodingPool(linger_s=0.2)
    content = pictures.whole()["gif"][1]
    assert look(pool, content).soundness is Soundness.VERIFIED
    (pid,) = worker_ids(pool)
    wait_until(lambda: not pool._workers and pool._keeper is None)
    if os.name != "nt":
        wait_until(lambda: not is_alive(pid))
    assert look(pool, content).soundness is Soundness.VERIFIED
    pool.close()


def test_a_worker_is_replaced_after_many_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """After many files a worker is replaced, so that leaked memory is freed."""
    monkeypatch.setattr(decoders, "_MOST_TASKS", 3)
    pool = DecodingPool(workers=1)
    seen = set()
    for _ in range(7):
        assert look(pool, pictures.whole()["bmp"][1]).soundness is Soundness.VERIFIED
        seen |= worker_ids(pool)
    assert len(seen) == 3
    pool.close()


@needs_proc
def test_a_worker_that_was_killed_while_idle_is_replaced(pool: DecodingPool) -> None:
    """If somebody kills an idle worker, the next file is decoded by another one."""
    content = pictures.whole()["png"][1]
    look(pool, content)
    for pid in worker_ids(pool):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z")
    assert look(pool, content).soundness is Soundness.VERIFIED


# --- hostile pictures


def test_a_crash_takes_only_the_worker_down(caplog: pytest.LogCaptureFixture) -> None:
    """After a crash the picture is not verified, the log contains no name, and the next file gets a new worker."""
    pool = DecodingPool(workers=1, command=command_that("file.read(1)\nos.abort()"))
    content = pictures.whole()["png"][1]
    for _ in range(2):
        found = look(pool, content)
        assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.CRASHED)
        assert not pool._workers
    assert [record.message for record in caplog.records] == ["a decoding process was lost"] * 2


def test_a_crash_before_the_first_byte_is_tried_once_more() -> None:
    """A crash before the first request is retried once; the second crash is reported."""
    pool = DecodingPool(command=command_that("os._exit(3)"))
    assert look(pool, b"\x89PNG\r\n\x1a\n").obstacle is Obstacle.CRASHED


@pytest.mark.parametrize("code", ["time.sleep(600)", "file.read(1)\nwhile True: pass"])
def test_a_hang_ends_at_the_limit(code: str) -> None:
    """A decoder that never returns is killed at its time limit."""
    pool = DecodingPool(Limits(time_s=0.6), command=command_that(code))
    look(pool, b"\x89PNG\r\n\x1a\n")  # starts it
    started_s = time.monotonic()
    found = look(pool, pictures.whole()["png"][1])
    assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.TOO_SLOW)
    assert time.monotonic() - started_s < 30
    assert not pool._workers


def test_a_slow_picture_does_not_hold_up_another_thread() -> None:
    """While one worker is blocked, another thread can decode its files."""
    slow = "return ({'soundness': 'verified', 'obstacle': None, 'width_px': 1, 'height_px': 1, 'frames': 1, 'orientation': None, 'fault': None}, b'') if self._size_bytes < 100 else time.sleep(600)"
    pool = DecodingPool(Limits(time_s=3.0), workers=2, command=command_that(slow))
    results: list[Decoded] = []
    hanging = threading.Thread(target=lambda: results.append(look(pool, pictures.whole()["png"][1])))
    hanging.start()
    for _ in range(20):
        assert look(pool, b"\x89PNG\r\n\x1a\n").soundness is Soundness.VERIFIED
    hanging.join()
    assert results[0].obstacle is Obstacle.TOO_SLOW
    pool.close()


@pytest.mark.parametrize(
    "code",
    [
        "return ({'soundness': 'fine'}, b'')",
        "return ({'soundness': 'verified', 'obstacle': None, 'width_px': '1', 'height_px': 1, 'frames': 1, 'orientation': 1, 'fault': None}, b'')",
        "return ({'obstacle': None, 'width_px': 1, 'height_px': 1, 'frames': 1, 'orientation': 1, 'fault': 'a text'}, b'')",
        "return (['verified'], b'')",
        "file.raw._pipe.send(b'?')\ntime.sleep(600)",
        "file.raw._pipe.request_bytes(2**64 - 1, memoryview(bytearray(10)))",
        "file.raw._pipe.send(b'R' + (0).to_bytes(8, 'big') + (2**40).to_bytes(8, 'big'))\ntime.sleep(600)",
        "file.raw._pipe.send(b'A' + (2**60).to_bytes(8, 'big') * 2)\ntime.sleep(600)",
    ],
)
def test_a_worker_that_lies_is_not_believed(code: str) -> None:
    """Invalid answers, requests for missing bytes and endless messages are treated as a crash."""
    pool = DecodingPool(command=command_that(code))
    found = look(pool, pictures.whole()["png"][1])
    assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.CRASHED)


@needs_proc
def test_memory_is_limited() -> None:
    """A picture that needs too much memory is not verified, and the worker continues."""
    pool = DecodingPool(Limits(memory_bytes=64 * 1024**2), workers=1)
    big = pictures.encoded(Image.new("RGB", (6000, 5000)), "PNG", compress_level=1)
    small = pictures.whole()["png"][1]
    assert look(pool, small).soundness is Soundness.VERIFIED
    assert look(pool, big).obstacle is Obstacle.TOO_MUCH_MEMORY
    assert look(pool, small).soundness is Soundness.VERIFIED
    assert look(DecodingPool(workers=1), big).soundness is Soundness.VERIFIED
    pool.close()


@needs_proc
def test_what_a_worker_has_of_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker has no secret and no open file of the host, no core dumps, and limited memory."""
    monkeypatch.setenv("AZURE_STORAGE_KEY", "secret")
    kept = os.open(tmp_path / "open", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(kept, True)
    pool = DecodingPool(workers=1)
    look(pool, pictures.whole()["png"][1])
    (pid,) = worker_ids(pool)
    assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
    opened = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert not {
        name for name in opened if not name.startswith(("pipe:", "/dev/null", "socket:", "anon_inode"))
    }
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert [line.split()[-3:-1] for line in limits.splitlines() if "core file" in line] == [["0", "0"]]
    assert "Max address space         unlimited" not in limits
    os.close(kept)
    pool.close()


# --- where it runs


def test_no_worker_where_no_interpreter_is_known(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A frozen program is not started as if it were Python: nothing is decoded, with one log message."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    pool = DecodingPool()
    for _ in range(3):
        found = look(pool, pictures.whole()["png"][1])
        assert (found.soundness, found.obstacle) == (Soundness.UNVERIFIED, Obstacle.NO_WORKER)
    assert len(caplog.records) == 1


def test_a_host_program_is_not_taken_for_an_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under uWSGI ``sys.executable`` is uWSGI: the Python of the library is used instead, or none."""
    server = tmp_path / "uwsgi"
    server.write_text("")
    monkeypatch.setattr(sys, "executable", str(server))
    assert decoders._python() != str(server)
    monkeypatch.setattr(sys, "exec_prefix", str(tmp_path))
    assert decoders._python() is None
    monkeypatch.setattr(sys, "executable", None)
    assert decoders._python() is None


@pytest.mark.parametrize(
    "command",
    [["/no/such/program"], [sys.executable, "-c", "pass"], [sys.executable, "-c", "print('hello')"]],
)
def test_a_program_that_is_no_worker(command: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """A command that fails, ends at once or sends something else is no worker, and is not retried at once."""
    pool = DecodingPool(command=command)
    with caplog.at_level(logging.WARNING):
        assert look(pool, pictures.whole()["png"][1]).obstacle is Obstacle.NO_WORKER
        assert look(pool, pictures.whole()["png"][1]).obstacle is Obstacle.NO_WORKER
    assert len(caplog.records) == 1
    assert not pool._workers


def run_host(code: str, tmp_path: Path, *, as_file: bool = True) -> list[str]:
    """Run a separate host program; return the lines that it prints."""
    path = tmp_path / "host.py"
    path.write_text(textwrap.dedent(HOST) + textwrap.dedent(code))
    picture = tmp_path / "a.png"
    picture.write_bytes(pictures.whole()["png"][1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        # Since Python 3.12, a fork beside threads is warned of; that it works here is what is tested.
        [
            sys.executable,
            "-W",
            "ignore:This process:DeprecationWarning",
            str(path) if as_file else "-",
            str(picture),
        ],
        input=None if as_file else path.read_text(),
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


HOST = """
    import os, sys, threading
    from intouch_import.media.decoders import shared_pool
    from intouch_import.media.kinds import Kind
    print("started")
    def look():
        with open(sys.argv[1], "rb") as stream:
            return shared_pool().decode(stream, kind=Kind.PNG, size_bytes=os.stat(sys.argv[1]).st_size)
    def pids():
        return sorted(worker._process.pid for worker in shared_pool()._workers)
"""


@pytest.mark.parametrize("as_file", [True, False])
def test_a_host_without_a_main_guard_is_not_run_again(tmp_path: Path, *, as_file: bool) -> None:
    """Decoding at the top level of a script, from a file or standard input, starts no second host."""
    said = run_host("print(look().soundness)\n", tmp_path, as_file=as_file)
    assert said == ["started", "verified"]


def test_a_picture_folder_can_hold_no_code(tmp_path: Path) -> None:
    """The worker does not import a ``PIL.py`` in the current folder."""
    (tmp_path / "PIL.py").write_text("raise SystemExit")
    (tmp_path / "attrs.py").write_text("raise SystemExit")
    code = "os.chdir(os.path.dirname(sys.argv[1])); sys.path.insert(0, ''); print(look().soundness)\n"
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "host.py"
    path.write_text(textwrap.dedent(HOST) + code)
    picture = tmp_path / "a.png"
    picture.write_bytes(pictures.whole()["png"][1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, str(path), str(picture)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["started", "verified"]


@needs_proc
@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)", "os._exit(0)", "raise SystemExit(0)"])
def test_no_worker_outlives_its_host(tmp_path: Path, end: str) -> None:
    """However a host ends, its workers end too."""
    path = tmp_path / "host.py"
    path.write_text(textwrap.dedent(HOST) + f"look(); print(*pids(), flush=True)\n{end}\n")
    picture = tmp_path / "a.png"
    picture.write_bytes(pictures.whole()["png"][1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, str(path), str(picture)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (pid,) = map(int, done.stdout.split()[1:])
    wait_until(lambda: not is_alive(pid))


@needs_fork
def test_a_forked_child_has_workers_of_its_own(tmp_path: Path) -> None:
    """After a fork, parent and child both decode, each with its own process, and neither ends the other's."""
    said = run_host(
        """
        look()
        before = pids()
        reading, writing = os.pipe()
        if os.fork() == 0:
            assert pids() == []
            found = look().soundness
            os.write(writing, f"{found} {pids() != before}".encode())
            shared_pool().close()
            os._exit(0)
        os.wait()
        print(os.read(reading, 100).decode())
        print(look().soundness, pids() == before)
        """,
        tmp_path,
    )
    assert said == ["started", "verified True", "verified True"]


def test_the_worker_runs_in_this_process_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's loop, in a thread with two pipes, sends ready, answers, and ends with its input."""
    from intouch_import.media import worker

    to_worker, to_host = os.pipe(), os.pipe()
    host = Pipe(to_host[0], to_worker[1])
    monkeypatch.setattr(worker, "_pipe", lambda: Pipe(to_worker[0], to_host[1]))
    monkeypatch.setattr(worker, "confine", lambda memory_bytes: None)
    monkeypatch.setattr(worker, "allow_seconds", lambda time_s: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    limits = json.dumps({"pixels": 1000, "frames": 2, "memory_bytes": 10**9, "time_s": 9})
    monkeypatch.setattr(sys, "argv", ["worker", limits])
    import warnings

    with warnings.catch_warnings():
        thread = threading.Thread(target=worker.main)
        thread.start()
        assert host.receive(1) == b"H"
        content = pictures.encoded(Image.new("RGB", (100, 100)), "PNG")
        host.send_task(json.dumps({"kind": "png", "size_bytes": len(content), "thumbnail_px": 0}).encode())
        while host.receive(1) == b"R":
            offset, length = host.receive_request()
            host.send_bytes(content[offset : offset + length])
        answer, thumbnail = host.receive_answer()
        os.close(to_worker[1])
        thread.join(10)
    assert json.loads(answer)["obstacle"] == Obstacle.TOO_MANY_PIXELS
    assert thumbnail == b""
    assert not thread.is_alive()


# --- the channel


def piped() -> tuple[Pipe, Pipe]:
    """Return two connected pipes; all test messages fit into their buffers."""
    one, other = os.pipe(), os.pipe()
    return Pipe(one[0], other[1]), Pipe(other[0], one[1])


def test_messages_arrive_as_they_were_sent() -> None:
    """Tasks, requests, bytes and answers arrive unchanged; a read error arrives as an error."""
    host, worker = piped()
    host.send_task(b"task")
    assert worker.receive_task() == b"task"
    host.send_bytes(b"abc")
    view = memoryview(bytearray(3))
    assert worker.request_bytes(5, view) == 3
    assert bytes(view) == b"abc"
    assert host.receive(1) == b"R"
    assert host.receive_request() == (5, 3)
    host.send_bytes(None)
    with pytest.raises(OSError, match="could not read"):
        worker.request_bytes(0, view)
    worker.send_answer(b"answer", b"")
    host.receive(17)
    assert host.receive(1) == b"A"
    assert host.receive_answer() == (b"answer", b"")


def test_messages_out_of_order_are_refused() -> None:
    """Each side refuses a message of the wrong type."""
    host, worker = piped()
    host.send(b"X")
    with pytest.raises(ProtocolError):
        worker.receive_task()
    host.send(b"X")
    with pytest.raises(ProtocolError):
        worker.request_bytes(0, memoryview(b""))
    with pytest.raises(ProtocolError):
        worker.receive(2**40)


def test_the_workers_file_is_a_file() -> None:
    """The file supports reading and seeking, and ends at its declared size."""

    class Echo(Pipe):
        def __init__(self) -> None:
            pass

        def request_bytes(self, offset: int, view: memoryview) -> int:
            content = bytes(range(100))[offset : offset + len(view)]
            view[: len(content)] = content
            return len(content)

    file = io.BufferedReader(HostFile(Echo(), 90), 16)
    assert file.read() == bytes(range(90))
    assert file.seek(-5, os.SEEK_END) == 85
    assert file.read(3) == bytes([85, 86, 87])
    assert file.seek(2, os.SEEK_CUR) == 90
    assert file.read(1) == b""
    with pytest.raises(OSError, match="before the start"):
        file.raw.seek(-1)


def test_limits_are_positive() -> None:
    """A limit of zero is refused."""
    with pytest.raises(ValueError, match="pixels"):
        Limits(pixels=0)
