"""No key, signature, token, password or connection string in any log, exception, repr, pickle or output."""

from __future__ import annotations

import itertools
import json
import logging
import os
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.errors import InTouchImportError, SettingsError
from intouch_import.inbox import Inbox
from intouch_import.secret import Secret
from intouch_import.settings import (
    OperatorSettings,
    PracticeSettings,
    ProviderSettings,
    SecretReference,
    Settings,
)
from intouch_import.settings.describe import show
from intouch_import.settings.load import load
from intouch_import.settings.sections import SECTIONS, format_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from commanding import Command
    from miniature import Practice

KEY = "CANARYkey+/=="
SAS = "sv=2024&sig=CANARYsas%3D"
PASSWORD = "CANARYpassword"
URL = f"postgresql://clinic:{PASSWORD}@127.0.0.1:1/clinic?options=CANARYoption"
FIELDS = [(section, field) for section, kind in SECTIONS.items() for field in attrs.fields(kind)]
TABLES = {"practice": "[practice]", "provider": "[provider.DRJ]", "operator": "[operator.a]"}
WRONG = [
    '"CANARY text with a blank and ../ in it"',
    '"CANARY\\u0007"',
    '["CANARY"]',
    '[["CANARY"]]',
    '{ CANARY = "CANARY" }',
    '{ env = ["CANARY"] }',
    '{ keyring = "CANARY" }',
    "987654321987654321",
    "1979-05-27T07:32:00Z",
    "CANARY",
    '"CANARY',
    "'CANARY' 'CANARY'",
    '"CANARY\\q"',
    "[CANARY",
]
_STANDARD = set(logging.makeLogRecord({}).__dict__)


def clean(*texts: object) -> None:
    for text in texts:
        assert "CANARY" not in str(text), text
        assert "987654321" not in str(text), text


def clean_exception(exc: BaseException) -> None:
    """Check the whole chain as a traceback prints it, and the attributes of each exception."""
    clean("".join(traceback.format_exception(exc, limit=0)))
    one: BaseException | None = exc
    while one is not None:
        clean(repr(one), one.__dict__)
        one = one.__cause__ or one.__context__


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Set every logger to DEBUG; at the end, no record may contain a canary."""
    texts: list[str] = []

    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            extras = {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
            texts.append(
                f"{record.name} {record.getMessage()} {record.args!r} {extras!r} {record.exc_info!r}"
            )

    for name in list(os.environ):
        if name.startswith("INTOUCH_"):
            monkeypatch.delenv(name)
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield texts
    root.removeHandler(handler)
    root.setLevel(level)
    for text in texts:
        clean(text)


@pytest.fixture
def full(practice: Practice) -> Settings:
    """Return settings with a canary in place of every secret."""
    return Settings(
        practice=PracticeSettings(
            azure_account="clinic",
            azure_key=Secret(KEY),
            records=Secret(URL),
            files="s3://CANARYid:CANARYkey@bucket",
        ),
        providers={
            "DRJ": ProviderSettings(
                azure_container="drj",
                azure_sas=Secret(SAS),
                onedrive_app_id="app",
                onedrive_secret=Secret(KEY),
            )
        },
        operators={
            "a": OperatorSettings(locations=("local", "azure", "onedrive"), local_folder=str(practice.photos))
        },
    )


def test_settings_show_nothing(full: Settings) -> None:
    """No text of the settings, or of a part of them, contains a secret."""
    for part in (full, full.practice, *full.providers.values(), *full.operators.values()):
        clean(repr(part), str(part), f"{part}", attrs.asdict(part).get("azure_key", ""))
    asdict = attrs.asdict(full)
    asdict["practice"]["files"] = ""  # the address itself, which `show` masks
    clean(asdict, json.dumps(asdict, default=str))
    clean(show(full), *map(repr, show(full)))
    assert sum("***" in str(row.value) for row in show(full)) == 5


def test_settings_with_secrets_are_not_pickled(full: Settings) -> None:
    """Settings with secrets can't be pickled: a pickle may be a file, or a message to another process."""
    for value in (full, full.practice, full.providers["DRJ"]):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(value)
        clean_exception(caught.value)


def test_opening_shows_nothing(full: Settings, practice: Practice) -> None:
    """Locations that fail, and the inbox of the other locations, show no secret."""
    opened = full.open_sources()
    clean(repr(opened), *map(repr, opened), opened.problems, *map(repr, opened.unopened))
    with practice.records() as records:
        inbox = Inbox.from_settings(full, repository=records, settle_s=0, zone="UTC")
        report = inbox.refresh()
        clean(repr(inbox), report, report.to_dict(), repr(inbox.unopened), repr(inbox.watch()))
    with pytest.raises(InTouchImportError) as caught:
        full.open_records()
    clean_exception(caught.value)


@pytest.mark.parametrize(("section", "field"), FIELDS, ids=lambda value: getattr(value, "name", value))
def test_a_wrong_value_of_any_key_is_not_repeated(
    tmp_path: Path, section: str, field: attrs.Attribute[Any]
) -> None:
    """No message repeats the value of a key, whatever its type, and even if it is not TOML."""
    path = tmp_path / "practice.toml"
    told = 0
    for wrong in WRONG:
        path.write_text(f"{TABLES[section]}\n{field.name} = {wrong}\n", "utf-8")
        found = load([path])
        clean(*found.mistakes, *map(repr, found.mistakes), *found.warnings, *map(repr, found.warnings))
        if found.mistakes:
            told += 1
            with pytest.raises(SettingsError) as caught:
                Settings.load(path)
            clean_exception(caught.value)
    # Free text, and a secret, may be nearly anything; what is no TOML never is.
    assert told >= 8


@pytest.mark.parametrize(("section", "field"), FIELDS, ids=lambda value: getattr(value, "name", value))
def test_a_wrong_variable_of_any_key_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str, field: attrs.Attribute[Any]
) -> None:
    """No message repeats the value of an environment variable."""
    path = tmp_path / "practice.toml"
    path.write_text("\n".join(TABLES.values()), "utf-8")
    prefix = {"practice": "", "provider": "PROVIDER_DRJ_", "operator": "OPERATOR_A_"}[section]
    for wrong in ("CANARY text ../ \\", "CANARY\x07", "987654321987654321"):
        monkeypatch.setenv(f"INTOUCH_{prefix}{field.name.upper()}", wrong)
        found = load([path])
        clean(*found.mistakes, *map(repr, found.mistakes), *found.warnings)


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
def test_the_commands_show_nothing(
    command: Command, practice: Practice, monkeypatch: pytest.MonkeyPatch, as_json: tuple[str, ...]
) -> None:
    """``settings check``, ``settings show``, and a refresh whose locations fail print no secret."""
    for name in ("RECORDS", "FILES", "ZONE"):
        monkeypatch.delenv(f"INTOUCH_{name}", raising=False)
    path = practice.root / "practice.toml"
    path.write_text(
        f'[practice]\nsettle_s = 0\nazure_account = "clinic"\nazure_key = "{KEY}"\nrecords = "{URL}"\n'
        f'[provider.DRJ]\nazure_container = "drj"\nazure_sas = "{SAS}"\nonedrive_app_id = "app"\n'
        f'onedrive_secret = "{KEY}"\n[operator.a]\nlocations = ["local", "azure", "onedrive"]\nlocal_folder = "photos"\n'
    )
    practice.photo("IMG_1.jpg")
    records = ("--records", practice.url, "--files", practice.files)
    for call in (
        ("settings", "check", path),
        ("settings", "show", path),
        ("refresh", "--settings", path, *records),
        ("refresh", "--settings", path),
        ("scan", "--settings", path, *records),
    ):
        done = command(*call, *as_json)
        clean(done.out, done.err)
        assert done.out + done.err


def test_references_show_the_place_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No text of the settings contains the secret, before and after it is read."""
    monkeypatch.setenv("PLACE", KEY)
    (tmp_path / "key").write_text(KEY)
    references = [
        SecretReference(kind="env", name="PLACE"),
        SecretReference(kind="file", name=str(tmp_path / "key")),
    ]
    for reference in references:
        assert reference.resolve().reveal() == KEY
        clean(repr(reference), str(reference), pickle.dumps(reference), reference.doubt())
    for one, other in itertools.permutations(references):
        settings = Settings(practice=PracticeSettings(azure_account="abc", azure_key=one, records=other))
        clean(*show(settings), pickle.dumps(settings.practice))


def test_every_secret_is_under_a_rule_for_secrets() -> None:
    """A key with the name of a secret has the format of secrets."""
    words = ("key", "secret", "sas", "token", "password")
    named = [field.name for _, field in FIELDS if field.name.rpartition("_")[2] in words]
    assert {"azure_key", "azure_sas", "onedrive_secret"} <= set(named)
    public = {"dropbox_app_key"}  # it is part of the address that a browser opens
    assert [
        name for _, name in ((s, f.name) for s, f in FIELDS if f.name in named and not format_of(f).secret)
    ] == list(public)
