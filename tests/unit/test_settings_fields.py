"""What each value must be, and that no message repeats it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from intouch_import.errors import ConfigError
from intouch_import.extensions import EXTERNAL_FILE_EXTENSIONS, IMAGE_EXTENSIONS
from intouch_import.secret import Secret
from intouch_import.settings import (
    OperatorSettings,
    PracticeSettings,
    ProviderSettings,
    SecretReference,
    fields,
)
from intouch_import.settings.fields import Refused

TAKEN: list[tuple[fields.Rule, Any, Any]] = [
    (fields.ID, "DRJ", "DRJ"),
    (fields.ID, "Dr Jönes", "Dr Jönes"),
    (fields.FLAG, True, True),
    (fields.SECONDS, 2, 2.0),
    (fields.SECONDS, 0, 0.0),
    (fields.ZONE, "Pacific/Auckland", "Pacific/Auckland"),
    (
        fields.PATTERN,
        "{provider}-{patient:[0-9]{5}}-{taken:%Y%m%d%H%M%S}",
        "{provider}-{patient:[0-9]{5}}-{taken:%Y%m%d%H%M%S}",
    ),
    (fields.LOCATIONS, ["azure", "local"], ("azure", "local")),
    (fields.LOCATIONS, [], ()),
    (fields.EXTENSIONS, [".JPG", ".pdf"], {".jpg", ".pdf"}),
    (fields.EXTENSIONS, "external-files", IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS),
    (fields.EXTENSIONS, ["external-files", ".heic"], IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS | {".heic"}),
    (fields.FOLDER, "/photos", "/photos"),
    (fields.FOLDER, "/apps/in touch/", "/apps/in touch"),
    (fields.FOLDER, "/", "/"),
    (fields.FOLDER, "/ünï/…", "/ünï/…"),
    (fields.FOLDER, "/a%2F..%2Fb", "/a%2F..%2Fb"),
    (fields.FOLDER, "/...", "/..."),
    (fields.CONTAINER, "drjones", "drjones"),
    (fields.CONTAINER, "dr-jones-2", "dr-jones-2"),
    (fields.CONTAINER, "a" * 63, "a" * 63),
    (fields.ACCOUNT, "devstoreaccount1", "devstoreaccount1"),
    (fields.ENDPOINT, "https://x.blob.core.usgovcloudapi.net/", "https://x.blob.core.usgovcloudapi.net"),
    (fields.ENDPOINT, "http://127.0.0.1:10000/devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"),
    (fields.ENDPOINT, "http://[::1]:1", "http://[::1]:1"),
    (fields.LOCAL_FOLDER, "photos", "photos"),
    (fields.LOCAL_FOLDER, r"\\server\share\photos", r"\\server\share\photos"),
    (fields.LOCAL_FOLDER, Path("photos"), "photos"),
    (fields.FILES, "s3://bucket/files", "s3://bucket/files"),
    (fields.WORD, "a1b2", "a1b2"),
    (fields.SECRET, "text", Secret("text")),
    (fields.SECRET, {"env": "NAME"}, SecretReference(kind="env", name="NAME")),
    (fields.SECRET, {"keyring": "a/b/c"}, SecretReference(kind="keyring", name="a/b/c")),
    (fields.RECORDS, "sqlite:///clinic.db", Secret("sqlite:///clinic.db")),
    (fields.RECORDS, {"file": "url.txt"}, SecretReference(kind="file", name="url.txt")),
]

# Every value that is text holds the canary.
C = "CANARY"
REFUSED: list[tuple[fields.Rule, Any, str]] = [
    (fields.ID, f" {C}", "blank"),
    (fields.ID, f"{C}\n", "blank"),
    (fields.ID, f"{C}\x07x", "control"),
    (fields.ID, "", "empty"),
    (fields.ID, 7, "a number"),
    (fields.FLAG, C, "text"),
    (fields.FLAG, 1, "a number"),
    (fields.SECONDS, C, "text"),
    (fields.SECONDS, True, "true or false"),
    (fields.SECONDS, -1, "range"),
    (fields.SECONDS, float("nan"), "range"),
    (fields.SECONDS, float("inf"), "range"),
    (fields.SECONDS, 10**9, "range"),
    (fields.ZONE, f"Mars/{C}", "known"),
    (fields.ZONE, f"../../{C}", "known"),
    (fields.ZONE, f"/{C}", "known"),
    (fields.PATTERN, f"{C}", "lacks"),
    (fields.PATTERN, "{patient}{provider}{taken:%Y%m%d%H%M%S}", "two ways"),
    (fields.LOCATIONS, ["local", C], "another word"),
    (fields.LOCATIONS, ["local", "local"], "twice"),
    (fields.LOCATIONS, C, "text"),
    (fields.LOCATIONS, [["local"]], "another word"),
    (fields.EXTENSIONS, [f".{C}/"], "written like"),
    (fields.EXTENSIONS, ["jpg"], "written like"),
    (fields.EXTENSIONS, [5], "written like"),
    (fields.EXTENSIONS, [], "empty"),
    (fields.FOLDER, C, "begin with /"),
    (fields.FOLDER, "", "begin with /"),
    (fields.FOLDER, f"/{C}/../x", ". or .."),
    (fields.FOLDER, "/..", ". or .."),
    (fields.FOLDER, f"/./{C}", ". or .."),
    (fields.FOLDER, f"/a//{C}", "between"),
    (fields.FOLDER, f"//{C}", "between"),
    (fields.FOLDER, "//", "between"),
    (fields.FOLDER, f"/{C}//", "between"),
    (fields.FOLDER, f"/{C}\\x", "backslash"),
    (fields.FOLDER, f"/{C}\0", "control"),
    (fields.FOLDER, f"/{C}\x7f", "control"),
    (fields.FOLDER, f"/{C}\u202e", "control"),
    (fields.FOLDER, f"/{C} /x", "blank"),
    (fields.FOLDER, f"/{C}" + "x" * 500, "longer"),
    (fields.FOLDER, 5, "a number"),
    (fields.CONTAINER, C, "form"),
    (fields.CONTAINER, "dr--jones", "form"),
    (fields.CONTAINER, "-drjones", "form"),
    (fields.CONTAINER, "drjones-", "form"),
    (fields.CONTAINER, "ab", "form"),
    (fields.CONTAINER, "a" * 64, "form"),
    (fields.CONTAINER, "$root", "form"),
    (fields.CONTAINER, "drjones/photos", "form"),
    (fields.CONTAINER, "drjones\n", "blank"),
    (fields.CONTAINER, "drjone\u0455", "form"),
    (fields.ACCOUNT, "dr-jones", "form"),
    (fields.ENDPOINT, f"http://{C}.example", "plain http"),
    (fields.ENDPOINT, f"ftp://{C}", "begins with https"),
    (fields.ENDPOINT, f"https://host/?sig={C}", "token"),
    (fields.ENDPOINT, f"https://user:{C}@host", "token"),
    (fields.ENDPOINT, f"https://[{C}", "address"),
    (fields.ENDPOINT, f"https://host:{C}", "address"),
    (fields.FILES, f"smb://[{C}", "address"),
    (fields.LOCAL_FOLDER, f"../{C}", ".."),
    (fields.LOCAL_FOLDER, f"C:\\{C}\\..\\x", ".."),
    (fields.LOCAL_FOLDER, f"sftp://{C}", "URL"),
    (fields.WORD, f"{C} x", "blank"),
    (fields.SECRET, "", "empty"),
    (fields.SECRET, 5, "a number"),
    (fields.SECRET, {"env": C, "file": C}, "exactly one"),
    (fields.SECRET, {C: "x"}, "one of"),
    (fields.SECRET, {"env": 5}, "in text"),
    (fields.SECRET, {"keyring": C}, "service/user"),
    (fields.SECRET, {}, "exactly one"),
    (fields.SECRET, f"{C}" * 2000, "longer"),
    (fields.RECORDS, f"{C}", "database URL"),
    (fields.RECORDS, f"postgresql://user:{C}@host:port/db", "database URL"),
]


@pytest.mark.parametrize(("rule", "given", "taken"), TAKEN)
def test_what_is_right_is_taken(rule: fields.Rule, given: Any, taken: Any) -> None:
    """A value of the right form is kept as it should be, and taken again as it was kept."""
    found = rule.take(given)
    assert found == taken
    assert rule.take(found) == taken
    assert rule(given) == taken


@pytest.mark.parametrize(("rule", "given", "why"), REFUSED)
def test_what_is_wrong_is_refused_and_not_repeated(rule: fields.Rule, given: Any, why: str) -> None:
    """The message says what is wrong and what was expected, and holds nothing of the value."""
    with pytest.raises(Refused) as caught:
        rule.take(given)
    assert why in str(caught.value)
    assert C not in str(caught.value)
    with pytest.raises(ConfigError) as told:
        rule(given)
    assert rule.expected in str(told.value)
    assert C not in f"{told.value} {told.value!r} {told.value.__cause__!r}"


@pytest.mark.parametrize(
    ("rule", "text", "value"),
    [
        (fields.FLAG, "Yes", True),
        (fields.FLAG, "0", False),
        (fields.SECONDS, "2.5", 2.5),
        (fields.LOCATIONS, "local, azure", ("local", "azure")),
        (fields.EXTENSIONS, ".jpg,external-files", IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS),
        (fields.SECRET, "key==", Secret("key==")),
    ],
)
def test_the_text_of_a_variable_is_understood(rule: fields.Rule, text: str, value: Any) -> None:
    """What TOML has types for is read from text."""
    assert rule.take(rule.parse(text)) == value


@pytest.mark.parametrize(("rule", "text"), [(fields.FLAG, "maybe"), (fields.SECONDS, "soon")])
def test_text_that_is_no_value_is_refused(rule: fields.Rule, text: str) -> None:
    """A word that is no switch or number is a mistake, not a default."""
    with pytest.raises(Refused):
        rule.take(rule.parse(text))


def test_a_number_may_have_any_number_of_digits() -> None:
    """TOML's have no limit; what no float can hold is out of range like any other."""
    with pytest.raises(Refused, match="range"):
        fields.SECONDS.take(10**400)


def test_relative_paths_start_at_the_file() -> None:
    """Folders, files, a SQLite database and the file of a secret are found beside the settings file."""
    folder = Path("/etc/clinic")
    assert fields.LOCAL_FOLDER.place("photos", folder) == str(folder / "photos")
    assert fields.LOCAL_FOLDER.place("/srv/photos", folder) == str(Path("/srv/photos"))
    assert fields.LOCAL_FOLDER.place("~/photos", folder) == "~/photos"
    assert fields.LOCAL_FOLDER.place(r"\\server\photos", folder) == r"\\server\photos"
    assert fields.LOCAL_FOLDER.place("D:/photos", folder) == "D:/photos"
    assert fields.FILES.place("files", folder) == str(folder / "files")
    assert fields.FILES.place("s3://bucket", folder) == "s3://bucket"
    placed = fields.RECORDS.place(Secret("sqlite:///clinic.db"), folder)
    assert placed.reveal() == f"sqlite:///{folder / 'clinic.db'}"
    for url in ("sqlite://", "sqlite:///:memory:", "sqlite:////var/clinic.db", "postgresql://u:p@host/db"):
        assert fields.RECORDS.place(Secret(url), folder).reveal() == url
    assert fields.SECRET.place(SecretReference(kind="file", name="key"), folder).name == str(folder / "key")
    assert fields.SECRET.place(SecretReference(kind="env", name="KEY"), folder).name == "KEY"


@pytest.mark.parametrize("folder", ["what?x=1", "a%3Fb", "a#b", "a b"])
def test_a_database_beside_the_file_is_that_one(folder: str) -> None:
    """Whatever stands in the folder's name has no meaning in the URL; where it would have one, that is told."""
    try:
        placed = fields.RECORDS.place(Secret("sqlite:///clinic.db"), Path("/", folder))
    except Refused:
        assert "?" in folder
    else:
        assert make_url(placed.reveal()).database == str(Path("/", folder, "clinic.db"))


def test_addresses_are_shown_without_what_is_secret_in_them() -> None:
    """Passwords, users' keys and query strings are masked; the rest helps to find a mistake."""
    shown = fields.RECORDS.show(Secret("postgresql://clinic:CANARY@host/db?password=CANARY"))
    assert "CANARY" not in shown
    assert "host/db" in shown
    assert fields.RECORDS.show(Secret("sqlite:///clinic.db")) == "sqlite:///clinic.db"
    assert fields.FILES.show("s3://CANARY:CANARY@bucket/x?token=CANARY") == "s3://***@bucket/x"
    assert "CANARY" not in fields.FILES.show("s3://CANARY:CAN/ARYCANARY@bucket/x")
    assert fields.FILES.show("files") == "files"
    assert fields.SECRET.show(Secret("CANARY")) == "***"
    assert fields.SECRET.show(SecretReference(kind="env", name="NAME")) == "*** from { env = 'NAME' }"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (PracticeSettings, {"zone": "Mars/CANARY"}),
        (ProviderSettings, {"azure_container": "CANARY"}),
        (ProviderSettings, {"azure_folder": "CANARY"}),
        (OperatorSettings, {"locations": ("CANARY",)}),
    ],
)
def test_code_is_held_to_the_same_rules(kind: Any, values: dict[str, Any]) -> None:
    """Settings that a host makes itself are checked as those of a file."""
    with pytest.raises(ConfigError) as caught:
        kind(**values)
    assert "CANARY" not in str(caught.value)


def test_code_may_give_plain_text_for_secrets() -> None:
    """It becomes a secret at once."""
    practice = PracticeSettings(azure_key="CANARY", records="sqlite:///x.db")  # type: ignore[arg-type]
    assert practice.azure_key == Secret("CANARY")
    assert "CANARY" not in repr(practice)
