"""No key, signature or patient's name leaks, and no provider's folder is open to another provider."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import pickle
import traceback
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from tblib import pickling_support

from intouch_import.cloud.retry import Patience
from intouch_import.errors import InTouchImportError, SourceUnavailable
from intouch_import.model import SourceFile
from services.azurite import ACCOUNT, KEY
from services.faulty_proxy import answer, cut_before, cut_body, run_faulty_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miniature import Practice
    from services.azurite import Azurite

CANARY = "CANARY10042"
FOLDER = f"{CANARY}-folder"


@pytest.fixture
def printed() -> Iterator[io.StringIO]:
    """All output of all loggers at DEBUG, with the SDK's logging turned on."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s %(exc_info)s"))
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    before = [(logger, logger.level) for logger in loggers]
    root.addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield out
    root.removeHandler(handler)
    for logger, level in before:
        logger.setLevel(level)


def secrets_of(*texts: str) -> list[str]:
    """Return what must not be visible: each secret, and its secret part in each encoding."""
    found = [CANARY, base64.b64encode(CANARY.encode()).decode()[:12]]
    for text in texts:
        for part in (text, text.rpartition("sig=")[2].partition("&")[0]):
            found += [part, part.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")]
    return [one for one in found if one]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("right", ["account_key", "sas_token", "connection_string"])
def test_no_log_and_no_exception_tells(
    practice: Practice, azurite: Azurite, printed: io.StringIO, right: str, fast: bool
) -> None:
    """A whole move and every failure show no name, folder or key, in text, traceback or pickle.

    Dask changes how a process pickles exceptions: with tblib, and so with what they were raised from.
    """
    told: list[str] = []
    with azurite.container() as container, run_faulty_proxy(azurite.url) as proxy:
        sas = azurite.sas(container.container_name)
        endpoint = f"{proxy.url}/{ACCOUNT}"
        rights: dict[str, dict[str, Any]] = {
            "account_key": {"account_name": ACCOUNT, "account_key": KEY},
            "sas_token": {"sas_token": sas},
            "connection_string": {
                "connection_string": f"BlobEndpoint={endpoint};SharedAccessSignature={sas}"
            },
        }
        for name in ("a", "b"):
            container.upload_blob(f"{FOLDER}/{CANARY}-{name}.jpg", b"\xff\xd8 not a photo")
        printed.truncate(0)  # the second hand logs as it likes
        source = azurite.open(
            f"{container.container_name}/{FOLDER}",
            endpoint=endpoint,
            fast=fast,
            patience=Patience(0),
            **rights[right],
        )
        inbox = practice.inbox(source)
        inbox.refresh()
        files = sorted(source.scan(), key=lambda file: file.name)
        inbox.save(inbox.prepare(inbox.rows[:1], patient="10042"))
        forged = SourceFile(name=f"{CANARY}/x", size_bytes=1, version="0x1")
        gone = SourceFile(name=f"{CANARY}.jpg", size_bytes=1, version="0x1")
        for fault in (
            None, cut_before, cut_body, answer(403, "AuthenticationFailed"), answer(500, "InternalError"),
            answer(200, body=f"<html>{CANARY}</html>".encode(), Content_Type="text/html"), answer(404),
            answer(503, "ServerBusy", Retry_After="99"), answer(412, "ConditionNotMet"),
        ):  # fmt: skip
            proxy.reset(lambda _, fault=fault: fault)
            for act in (
                lambda: list(source.scan()),
                lambda: source.look(f"{CANARY}.jpg"),
                lambda: source.fetch(files[1]),
                lambda: source.fetch(gone),
                lambda: source.fetch(forged),
                lambda: source.remove(gone, sha256=""),
                lambda: source.put(f"{CANARY}-b.jpg", [b"x"]),
                lambda: told.extend(map(repr, source.remove_many([gone, forged]))),  # noqa: B023
            ):
                try:
                    act()
                except InTouchImportError as exc:
                    told += [
                        "".join(traceback.format_exception_only(type(exc), exc)),
                        repr(exc),
                        str(vars(exc)),
                    ]
                    told.append(str(pickle.dumps(exc)))
                    pickling_support.install(exc)
                    told.append(str(pickle.dumps(exc)))
                    told.append(repr((exc.__cause__, None if exc.__suppress_context__ else exc.__context__)))
        told += [repr(source), str(source), repr(source._account), repr(source._account.__class__)]
        for thing in (source, source._account, source.filesystem):
            with pytest.raises(TypeError) as caught:
                pickle.dumps(thing)
            told.append(str(caught.value))
        proxy.reset()
        source.close()
    assert len(told) > 60
    everything = printed.getvalue() + "\n".join(told)
    for secret in secrets_of(KEY, sas):
        at = everything.find(secret)
        assert at < 0, everything[max(0, at - 400) : at + 200]


def test_mistakes_in_options_are_told_without_their_values() -> None:
    """A refused value may be a secret in the wrong place."""
    from intouch_import import open_source

    secret = "sv=1&sig=" + CANARY
    for path, options in (
        (f"az://photos/a?{secret}", {"account_name": "account", "account_key": KEY}),
        ("az://photos/a", {"account_name": "account", "account_key": CANARY}),
        ("az://photos/a", {"account_name": CANARY, "account_key": KEY}),
        ("az://photos/a", {"sas_token": CANARY, "account_name": "account"}),
        ("az://photos/a", {"connection_string": CANARY}),
        (
            "az://photos/a",
            {"connection_string": f"AccountName=x;AccountKey={CANARY}=;BlobEndpoint=http://a.{CANARY}"},
        ),
        ("az://photos/a", {"sas_token": f"sp=r&sig={CANARY}", "account_name": "account"}),
        (
            "az://photos/a",
            {"account_name": "account", "account_key": KEY, "endpoint": f"https://h/?{secret}"},
        ),
        (
            "az://photos/a",
            {"account_name": "account", "account_key": KEY, "endpoint": f"https://u:{CANARY}@h/"},
        ),
        ("az://photos/a", {"account_name": "account", "account_key": KEY, CANARY: 1}),
        (f"az://{CANARY}@account.dfs.core.windows.net/a", {"account_name": "account", "account_key": KEY}),
        (f"az://photos/{CANARY}/../x", {"account_name": "account", "account_key": KEY}),
    ):
        with pytest.raises(InTouchImportError) as caught:
            open_source(path, **options)
        shown = "".join(traceback.format_exception_only(type(caught.value), caught.value))
        assert CANARY not in shown, options
        assert CANARY not in repr(caught.value.__cause__) or CANARY in options


def test_the_file_system_tells_nothing_and_changes_nothing(azurite: Azurite) -> None:
    """The base class stores, prints and caches options; this file system has none, and only reads."""
    with azurite.container() as container, azurite.open(f"{container.container_name}/photos") as source:
        container.upload_blob("photos/a#1.jpg", b"bytes")
        container.upload_blob("photos/a", b"other")
        fs = source.filesystem
        assert fs.cat_file("/a#1.jpg") == b"bytes"
        with fs.open("/a#1.jpg") as stream:
            assert stream.read() == b"bytes"
        assert sorted(fs.ls("/", detail=False)) == ["/a", "/a#1.jpg"]
        assert fs.info("/a#1.jpg")["size"] == 5
        shown = [
            repr(fs),
            str(fs.storage_options),
            str(fs.storage_args),
            str(fs.__dict__),
            str(vars(type(fs))),
        ]
        for write_down in (
            fs.to_json,
            fs.to_dict,
            lambda: pickle.dumps(fs),
            lambda: json.dumps(fs.__reduce__()),
        ):
            with pytest.raises(TypeError):
                write_down()
        assert not [text for text in shown if KEY in text]
        path = "/a"
        for change in (
            lambda: fs.rm(path), lambda: fs.rm_file(path), lambda: fs.rm("/", recursive=True), lambda: fs.mv(path, path + "b"),
            lambda: fs.pipe_file(path, b""), lambda: fs.pipe({path: b""}), lambda: fs.put_file(__file__, path), lambda: fs.cp_file(path, path + "b"),
            lambda: fs.copy(path, path + "b"), lambda: fs.touch(path), lambda: fs.open(path, "wb"), lambda: fs.open(path, "ab"),
            lambda: fs.mkdir("/b"), lambda: fs.makedirs("/b"), lambda: fs.rmdir("/b"),
            lambda: fs.delete(path), lambda: fs.rename(path, path), lambda: fs.sign(path), lambda: fs.write_text(path, ""),
        ):  # fmt: skip
            with pytest.raises(NotImplementedError):
                change()
        assert set(container.list_blob_names()) == {"photos/a", "photos/a#1.jpg"}


def test_a_closed_source_leaves_memory(azurite: Azurite) -> None:
    """No cache of file systems keeps a source, or its key, until the process ends."""
    with azurite.container() as container:
        with azurite.open(container.container_name) as source:
            assert source.filesystem.ls("/") == []
            watched = weakref.ref(source)
        del source
        gc.collect()
        assert watched() is None


OTHERS = (
    "drk", "drj/../drk", "drj/..", "../drk", "drj/./photos", "drj/a//photos", "drj/photos/../../drk", "drj/%2e%2e/drk",
    "drj/photos\\..\\..\\drk", "DRK", "drj@other", "$root", "",
)  # fmt: skip
NAMES = ("../../drk/secret.jpg", "../secret.jpg", "..", ".", "%2e%2e/secret.jpg", "..%2fsecret.jpg", "..\\secret.jpg", "sub/secret.jpg", "/secret.jpg", "secret.jpg?versionid=1", "")  # fmt: skip


def test_one_provider_reaches_nothing_of_another(azurite: Azurite) -> None:
    """With any configured or forged name, nothing outside the source's own folder is seen, read or removed."""
    with azurite.container("drj") as mine, azurite.container("drk") as other:
        theirs = [
            (other, "secret.jpg"), (other, "photos/secret.jpg"), (mine, "secret.jpg"), (mine, "photos2/secret.jpg"),
            (mine, "photos/sub/secret.jpg"), (mine, "photos/%2e%2e/secret.jpg"), (mine, "Photos/secret.jpg"),
        ]  # fmt: skip
        for container, blob in theirs:
            container.upload_blob(blob, b"secret", overwrite=True)
        with azurite.open("drj/photos") as source:
            assert [(file.name, file.kind) for file in source.scan() if file.kind == "file"] == []
            for container, blob in theirs:
                version = container.get_blob_client(blob).get_blob_properties().etag.strip('"')
                for name in (*NAMES, blob, f"../{blob}"):
                    forged = SourceFile(name=name, size_bytes=6, version=version)
                    for act in (  # each is called at once
                        lambda: source.fetch(forged).close(),  # noqa: B023
                        lambda: source.remove(forged, sha256=""),  # noqa: B023
                        lambda: _raise(source.remove_many([forged])[0]),  # noqa: B023
                        lambda: _raise(None if source.look(name) is None else AssertionError(name)),  # noqa: B023
                    ):
                        try:
                            act()
                        except InTouchImportError:
                            continue
                        assert act.__code__.co_names[-1] != "close", name
            fs = source.filesystem
            for path in (
                "/../secret.jpg",
                "/../photos2",
                "/sub/../../secret.jpg",
                "/drk/secret.jpg",
                "az://drk/secret.jpg",
                "/secret.jpg",
            ):
                for look in (fs.ls, fs.info, fs.cat_file, fs.open):
                    with pytest.raises((NotADirectoryError, FileNotFoundError)):
                        look(path)
                assert fs.find(path) == []
        for path in OTHERS[1:]:
            with pytest.raises(InTouchImportError):
                azurite.open(path)
        for container, blob in theirs:
            assert container.download_blob(blob).readall() == b"secret"
            container.delete_blob(blob)


def _raise(exc: Exception | None) -> None:
    if exc is not None:
        raise exc


def test_a_signature_for_one_container_opens_no_other(azurite: Azurite) -> None:
    """The service enforces least privilege: no setting can bypass it."""
    with azurite.container() as mine, azurite.container() as other:
        sas = azurite.sas(mine.container_name)
        with azurite.open(mine.container_name, sas_token=sas) as source:
            assert list(source.scan()) == []
        with pytest.raises(SourceUnavailable, match="access denied"):
            azurite.open(other.container_name, sas_token=sas)
