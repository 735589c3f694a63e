"""Try one extra of the wheel, in an environment that has nothing else: what its page promises must work there.

``python tests/extras.py migration``; without a name, the basic installation.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import threading
from datetime import UTC, datetime
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pictures
from intouch_import import Inbox, open_source
from intouch_import.errors import MissingExtraError, RepositoryError, SourceError
from intouch_import.repositories.sql import SqlRepository
from miniature import PATIENTS, PROVIDERS, jpeg

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.inbox import Inbox as AnyInbox

DEAD = "http://127.0.0.1:9"  # the port "discard": nothing listens there
AUTO = "10042_DRJ_20260131_142501.jpg"
MARSH = "10042 - Marsh, Ada"
BASIC = "basic"  # the installation without an extra


def records_in(folder: Path) -> SqlRepository:
    records = SqlRepository.open(f"sqlite:///{folder / 'clinic.db'}", files=folder / "files")
    records.add_patients(PATIENTS)
    records.add_providers(PROVIDERS)
    return records


def inbox_in(folder: Path) -> AnyInbox:
    """An inbox over a folder with one photo that is imported by its name, and one that waits."""
    photos = folder / "photos"
    photos.mkdir()
    for name in (AUTO, "wound.jpg"):
        (photos / name).write_bytes(jpeg(name))
    source = open_source(photos, provider="DRJ")
    return Inbox(
        records_in(folder), [source], zone="Australia/Sydney", settle_s=0.0, ledger=folder / "ledger.db"
    )


def fails(expected: type[Exception], action: Callable[[], object]) -> Exception:
    try:
        action()
    except expected as exc:
        return exc
    raise AssertionError(f"{action} raised no {expected.__name__}")


def key() -> str:
    return base64.b64encode(b"key").decode()


# --- without an extra


def basic(folder: Path) -> None:
    inbox = inbox_in(folder)
    report = inbox.refresh()
    assert (report.imported, report.waiting, report.closes) == (1, 1, True), report
    assert inbox.save(inbox.prepare(inbox.rows, patient="10042")).imported == 1
    for extra, use in WITHOUT.items():
        assert f"intouch-import[{extra}]'" in str(fails(MissingExtraError, use)), extra


def _widget() -> None:
    import intouch_import.jupyter  # noqa: F401


def _plan() -> None:
    from intouch_import import migration

    migration.plan("photos", migration.PatientRule("10042"), None, to="plan", zone="UTC")


# What needs an extra names it.
WITHOUT: dict[str, Callable[[], object]] = {
    "azure": lambda: open_source("az://photos", account_name="clinic", account_key=key()),
    "dropbox": lambda: open_source("dropbox:///photos", signin=lambda force=False: "token"),
    "onedrive": lambda: open_source("onedrive:///photos", signin=lambda force=False: "token"),
    "sftp": lambda: open_source("sftp://tower/export"),
    "jupyter": _widget,
    "migration": _plan,
}


# --- locations


def azure(folder: Path, **options: Any) -> None:
    from intouch_import.cloud.retry import Patience

    options |= {"endpoint": f"{DEAD}/clinic", "patience": Patience(0.5)}
    options |= {"account_name": "clinic", "account_key": key()}
    fails(SourceError, lambda: list(open_source("az://photos/drjones", **options).scan()))


def azure_fast(folder: Path) -> None:
    azure(folder, fast=True)


def dropbox(folder: Path) -> None:
    from intouch_import.cloud.retry import Patience

    def signin(force: bool = False) -> str:
        return "token"

    source = open_source("dropbox:///photos", signin=signin, endpoint=DEAD, patience=Patience(0.5))
    fails(SourceError, lambda: list(source.scan()))
    _signs_in(folder)


def onedrive(folder: Path) -> None:
    from intouch_import.cloud.retry import Patience

    def signin(force: bool = False) -> str:
        return "token"

    source = open_source("onedrive:///photos", signin=signin, endpoint=DEAD, patience=Patience(0.5))
    fails(SourceError, lambda: list(source.scan()))
    _signs_in(folder)


def _signs_in(folder: Path) -> None:
    """The sign-in is kept in the key ring or in a file."""
    from intouch_import.signin.store import FileStore, default_store

    default_store()
    store = FileStore(folder / "tokens")
    assert store.save("service/app/DRJ", "secret")
    assert store.load("service/app/DRJ") == "secret"


def sftp(folder: Path) -> None:
    (folder / "known_hosts").touch()
    options = {"port": 9, "username": "ann", "password": "none", "known_hosts": folder / "known_hosts"}
    fails(SourceError, lambda: list(open_source("sftp://127.0.0.1/export", **options).scan()))


def watch(folder: Path) -> None:
    inbox = inbox_in(folder)
    stop = threading.Event()
    with inbox.watch(stop=stop) as changes:
        next(changes)
        (folder / "photos" / "new.jpg").write_bytes(jpeg("new"))
        after = next(changes)
        assert [row.name for row in after.new] == ["new.jpg"], after


# --- records and secrets


def postgresql(folder: Path) -> None:
    url = "postgresql+psycopg://clinic@127.0.0.1:9/clinic"
    failed = fails(
        RepositoryError, lambda: SqlRepository.open(url, files=folder / "files").find_patient("10042")
    )
    assert "pip install" not in str(failed), failed


def keyring(folder: Path) -> None:
    import keyring
    from keyring.backend import KeyringBackend

    from intouch_import.settings.secret_refs import SecretReference

    class Ring(KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return "secret" if (service, username) == ("intouch-azure", "drjones") else None

        def set_password(self, service: str, username: str, password: str) -> None: ...

    keyring.set_keyring(Ring())
    assert SecretReference.read({"keyring": "intouch-azure/drjones"}).resolve().reveal() == "secret"


# --- migrations and widgets


def _archive(folder: Path) -> Path:
    for number in range(3):
        file = folder / "disk" / MARSH / f"IMG_{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(file.name))
    return folder / "disk"


def _planned(folder: Path, records: SqlRepository) -> Any:
    from intouch_import import migration

    rule = migration.FolderRule("{patient} - {*}")
    return migration.plan(_archive(folder), rule, records, to=folder / "plan", zone="UTC")


def migration(folder: Path) -> None:
    from openpyxl import Workbook

    from intouch_import import migration

    records = records_in(folder)
    plan = _planned(folder, records)
    for by in ("verdict", "reason", "size", "year", "patient"):
        assert sum(plan.counts(by).values()) == 3, by
    assert plan.sample(2, verdict="import")
    run = plan.run(records).wait()
    assert run.state == "done", run.problem
    certificate = plan.certificate(records)
    assert certificate.closes
    assert certificate.report.exists()
    book = Workbook()
    book.active.append(["File", "Id"])
    book.active.append(["loose.jpg", "10043"])
    book.save(folder / "list.xlsx")
    (folder / "loose").mkdir()
    (folder / "loose" / "loose.jpg").write_bytes(jpeg("loose"))
    rule = migration.ManifestRule(path=folder / "list.xlsx", columns={"path": "File", "patient": "Id"})
    listed = migration.plan(folder / "loose", rule, records, to=folder / "plan-2", zone="UTC")
    assert listed.counts("patient") == {"10043": 1}


def dask(folder: Path) -> None:
    import functools

    from dask.distributed import Client, LocalCluster

    records_in(folder).close()
    opener = functools.partial(
        SqlRepository.open, f"sqlite:///{folder / 'clinic.db'}", files=folder / "files"
    )
    with opener() as records:
        plan = _planned(folder, records)
    local = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
    with local as cluster, Client(cluster) as client:
        run = plan.run(opener, client=client).wait()
    assert run.state == "done", run.problem
    with opener() as records:
        assert len(records.attachments("10042")) == 3


def jupyter(folder: Path) -> None:
    from intouch_import.jupyter import InboxWidget, PlanWidget

    assert InboxWidget(inbox_in(folder), refresh=False).get_state()
    if find_spec("pyarrow") is not None:  # with the extra migration, as the page says
        records = records_in(folder)
        assert PlanWidget(_planned(folder, records), records).get_state()


# --- pictures and movies


def _examined(content: bytes, name: str) -> Any:
    from intouch_import.media.examiner import Examiner

    return Examiner(zone=UTC).examine(content, name=name)


def heif(folder: Path) -> None:
    from intouch_import.model import Soundness

    found = _examined(pictures.heic(pictures.picture()), "a.heic")
    assert found.soundness is Soundness.VERIFIED, found
    assert (found.width_px, found.height_px) == pictures.MADE_FOR


def media(folder: Path) -> None:
    from intouch_import.model import Soundness

    photo = pictures.encoded(pictures.picture(), "JPEG")
    assert _examined(photo, "a.jpg").soundness is Soundness.VERIFIED
    found = _examined(photo[: len(photo) // 2] + b"\xff\xd9", "a.jpg")
    assert found.soundness is Soundness.DAMAGED, found
    assert _examined(pictures.lab_tiff(), "a.tif").soundness is Soundness.VERIFIED


def dicom(folder: Path) -> None:
    from intouch_import.model import Reason

    inbox = inbox_in(folder)
    name = AUTO.replace(".jpg", ".dcm")
    (folder / "photos" / name).write_bytes(pictures.dicom("10043"))
    outcomes = {outcome.name: outcome.reason for outcome in inbox.refresh().outcomes}
    assert outcomes[name] is Reason.OTHER_PATIENT, outcomes
    (row,) = (row for row in inbox.rows if row.name == name)
    assert inbox.prepare(row, patient="10042").needs_confirmation


def video(folder: Path) -> None:
    import hashlib

    import movies
    from intouch_import.media.thumbnails import Thumbnails

    taken = datetime(2026, 1, 31, 3, 25, 1, tzinfo=UTC)
    assert _examined(movies.movie_with(created=taken), "a.mp4").taken_at == taken
    movie = resources.files("intouch_import.cli").joinpath("sample.mp4").read_bytes()
    assert Thumbnails(folder / "thumbnails").make(hashlib.sha256(movie).hexdigest(), movie)


def pdf(folder: Path) -> None:
    import hashlib

    from intouch_import.media.thumbnails import Thumbnails

    content = pictures.pdf(b"1 0 0 rg 0 0 200 100 re f")
    assert Thumbnails(folder / "thumbnails").make(hashlib.sha256(content).hexdigest(), content)


TRIED: dict[str, Callable[[Path], None]] = {
    BASIC: basic,
    "azure": azure,
    "azure-fast": azure_fast,
    "dask": dask,
    "dicom": dicom,
    "dropbox": dropbox,
    "heif": heif,
    "jupyter": jupyter,
    "keyring": keyring,
    "media": media,
    "migration": migration,
    "onedrive": onedrive,
    "pdf": pdf,
    "postgresql": postgresql,
    "sftp": sftp,
    "video": video,
    "watch": watch,
}

if __name__ == "__main__":
    for tried in sys.argv[1].split(","):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
            TRIED[tried](Path(made))
