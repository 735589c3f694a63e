"""What a healthy folder loses to three locations that are throttled, signed out and dead: nothing, it should be."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Line, Sizes, at_most, clinic, in_turn, lay_photos, part_of, per_file

from intouch_import.cloud.retry import Patience
from intouch_import.errors import SignInNeeded
from intouch_import.inbox import Inbox
from intouch_import.model import Stage
from intouch_import.reports import Problem
from intouch_import.sources import open_source
from intouch_import.sources.opening import Unopened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.model import Progress
    from intouch_import.sources import Source

    Ill = tuple[list[Source], list[Unopened]]

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from services.doubles.dropbox import DropboxServer, Fault  # of the clone, not of the package

NAME = "10042_DRJ_20260131_142501_{:06}.jpg"
THROTTLED_S = 3.0
DEAD_S = 2.0
LIMIT = 1.2


def lines(sizes: Sizes) -> list[Line]:
    """Import the photos of a local folder alone, and with the three beside it, in turn."""
    whole: list[float] = []

    def alone() -> float:
        return imported_after(sizes, [], [])[0]

    def together() -> float:
        with three_ill() as (sources, unopened):
            ready_s, all_s = imported_after(sizes, sources, unopened)
        whole.append(all_s)
        return ready_s

    together()  # modules are loaded and statements compiled before anybody's clock starts
    whole.clear()
    ours_s, alone_s = in_turn(sizes.repeat, together, alone)
    count = sizes.together_files
    return [
        Line(
            what=f"import {count:,} local photos beside a throttled Dropbox, a OneDrive without a sign-in and a "
            f"dead Azure (the refresh ends after {sorted(whole)[len(whole) // 2]:.1f} s) / alone",
            ours=per_file(ours_s, count),
            peer=per_file(alone_s, count),
            ratio=f"{ours_s / alone_s:.2f} x",
            target=at_most(LIMIT, ours_s / alone_s),
        )
    ]


def imported_after(sizes: Sizes, sources: list[Source], unopened: list[Unopened]) -> tuple[float, float]:
    """Seconds until the local photos are in the record, and until the refresh is over."""
    folder = part_of(sizes.folder)
    photos = lay_photos(folder / "photos", sizes.together_files, sizes.file_kb * 1000, name=NAME)
    done_s: list[float] = []

    def note(progress: Progress) -> None:
        if progress.stage is Stage.AUTO_IMPORTING and progress.done == sizes.together_files:
            done_s.append(time.perf_counter())

    with clinic(folder) as records, open_source(photos) as local:
        everything = [*sources, local]
        inbox = Inbox(records, everything, zone="UTC", settle_s=0, check_content=False, unopened=unopened)
        began_s = time.perf_counter()
        report = inbox.refresh(on_progress=note, sign_in=False)
        ended_s = time.perf_counter()
        if report.imported != sizes.together_files or len(report.problems) != len(sources) + len(unopened):
            raise AssertionError(f"not what was to be measured: {report}")
    return done_s[0] - began_s, ended_s - began_s


@contextlib.contextmanager
def three_ill() -> Iterator[Ill]:
    """A Dropbox that asks for pauses, a OneDrive where nobody is signed in, an Azure that does not answer."""

    def nobody(_force: bool = False) -> str:
        raise SignInNeeded("nobody is signed in to OneDrive")

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(DropboxServer())
        server.fail("*", Fault.throttled(1), times=None)
        token = server.token()
        dropbox = open_source(
            "dropbox:///photos",
            signin=lambda _force=False: token,
            endpoint=server.url,
            patience=Patience(THROTTLED_S),
        )
        onedrive = open_source("onedrive:///photos", signin=nobody)
        for source in (dropbox, onedrive):
            stack.callback(source.close)
        # It accepts connections and never says a word.
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/account"

        def dead() -> Source:
            return open_source(
                "az://photos",
                account_name="account",
                account_key="a2V5",
                endpoint=endpoint,
                timeout_s=DEAD_S,
                patience=Patience(0.0),
            )

        azure = Unopened(
            location="azure",
            opener=dead,
            problem=Problem(source_id="", location="azure", text="not opened yet"),
            may_open=True,
        )
        yield [dropbox, onedrive], [azure]
