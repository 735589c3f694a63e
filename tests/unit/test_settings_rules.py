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
    rules,
)
from intouch_import.settings.rules import Refused

TAKEN: list[tuple[rules.Rule, Any, Any]] = [
    (rules.ID, "DRJ", "DRJ"),
    (rules.ID, "Dr Jönes", "Dr Jönes"),
    (rules.FLAG, True, True),
    (rules.SECONDS, 2, 2.0),
    (rules.SECONDS, 0, 0.0),
    (rules.ZONE, "Pacific/Auckland", "Pacific/Auckland"),
    (
        rules.PATTERN,
        "{provider}-{patient:[0-9]{5}}-{taken:%Y%m%d%H%M%S}",
        "{provider}-{patient:[0-9]{5}}-{taken:%Y%m%d%H%M%S}",
    ),
    (rules.LOCATIONS, ["azure", "local"], ("azure", "local")),
    (rules.LOCATIONS, [], ()),
    (rules.EXTENSIONS, [".JPG", ".pdf"], {".jpg", ".pdf"}),
    (rules.EXTENSIONS, "external-files", IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS),
    (rules.EXTENSIONS, ["external-files", ".heic"], IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS | {".heic"}),
    (rules.FOLDER, "/photos", "/photos"),
    (rules.FOLDER, "/apps/in touch/", "/apps/in touch"),
    (rules.FOLDER, "/", "/"),
    (rules.FOLDER, "/ünï/…", "/ünï/…"),
    (rules.FOLDER, "/a%2F..%2Fb", "/a%2F..%2Fb"),
    (rules.FOLDER, "/...", "/..."),
    (rules.CONTAINER, "drjones", "drjones"),
    (rules.CONTAINER, "dr-jones-2", "dr-jones-2"),
    (rules.CONTAINER, "a" * 63, "a" * 63),
    (rules.ACCOUNT, "devstoreaccount1", "devstoreaccount1"),
    (rules.ENDPOINT, "https://x.blob.core.usgovcloudapi.net/", "https://x.blob.core.usgovcloudapi.net"),
    (rules.ENDPOINT, "http://127.0.0.1:10000/devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"),
    (rules.ENDPOINT, "http://[::1]:1", "http://[::1]:1"),
    (rules.LOCAL_FOLDER, "photos", "photos"),
    (rules.LOCAL_FOLDER, r"\\server\share\photos", r"\\server\share\photos"),
    (rules.LOCAL_FOLDER, Path("photos"), "photos"),
    (rules.FILES, "s3://bucket/files", "s3://bucket/files"),
    (rules.WORD, "a1b2", "a1b2"),
    (rules.SECRET, "text", Secret("text")),
    (rules.SECRET, {"env": "NAME"}, SecretReference(kind="env", name="NAME")),
    (rules.SECRET, {"keyring": "a/b/c"}, SecretReference(kind="keyring", name="a/b/c")),
    (rules.RECORDS, "sqlite:///clinic.db", Secret("sqlite:///clinic.db")),
    (rules.RECORDS, {"file": "url.txt"}, SecretReference(kind="file", name="url.txt")),
]

# Every value that is text holds the canary.
C = "CANARY"
REFUSED: list[tuple[rules.Rule, Any, str]] = [
    (rules.ID, f" {C}", "blank"),
    (rules.ID, f"{C}\n", "blank"),
    (rules.ID, f"{C}\x07x", "control"),
    (rules.ID, "", "empty"),
    (rules.ID, 7, "a number"),
    (rules.FLAG, C, "text"),
    (rules.FLAG, 1, "a number"),
    (rules.SECONDS, C, "text"),
    (rules.SECONDS, True, "true or false"),
    (rules.SECONDS, -1, "range"),
    (rules.SECONDS, float("nan"), "range"),
    (rules.SECONDS, float("inf"), "range"),
    (rules.SECONDS, 10**9, "range"),
    (rules.ZONE, f"Mars/{C}", "known"),
    (rules.ZONE, f"../../{C}", "known"),
    (rules.ZONE, f"/{C}", "known"),
    (rules.PATTERN, f"{C}", "lacks"),
    (rules.PATTERN, "{patient}{provider}{taken:%Y%m%d%H%M%S}", "two ways"),
    (rules.LOCATIONS, ["local", C], "another word"),
    (rules.LOCATIONS, ["local", "local"], "twice"),
    (rules.LOCATIONS, C, "text"),
    (rules.LOCATIONS, [["local"]], "another word"),
    (rules.EXTENSIONS, [f".{C}/"], "written like"),
    (rules.EXTENSIONS, ["jpg"], "written like"),
    (rules.EXTENSIONS, [5], "written like"),
    (rules.EXTENSIONS, [], "empty"),
    (rules.FOLDER, C, "begin with /"),
    (rules.FOLDER, "", "begin with /"),
    (rules.FOLDER, f"/{C}/../x", ". or .."),
    (rules.FOLDER, "/..", ". or .."),
    (rules.FOLDER, f"/./{C}", ". or .."),
    (rules.FOLDER, f"/a//{C}", "between"),
    (rules.FOLDER, f"//{C}", "between"),
    (rules.FOLDER, "//", "between"),
    (rules.FOLDER, f"/{C}//", "between"),
    (rules.FOLDER, f"/{C}\\x", "backslash"),
    (rules.FOLDER, f"/{C}\0", "control"),
    (rules.FOLDER, f"/{C}\x7f", "control"),
    (rules.FOLDER, f"/{C}\u202e", "control"),
    (rules.FOLDER, f"/{C} /x", "blank"),
    (rules.FOLDER, f"/{C}" + "x" * 500, "longer"),
    (rules.FOLDER, 5, "a number"),
    (rules.CONTAINER, C, "form"),
    (rules.CONTAINER, "dr--jones", "form"),
    (rules.CONTAINER, "-drjones", "form"),
    (rules.CONTAINER, "drjones-", "form"),
    (rules.CONTAINER, "ab", "form"),
    (rules.CONTAINER, "a" * 64, "form"),
    (rules.CONTAINER, "$root", "form"),
    (rules.CONTAINER, "drjones/photos", "form"),
    (rules.CONTAINER, "drjones\n", "blank"),
    (rules.CONTAINER, "drjone\u0455", "form"),
    (rules.ACCOUNT, "dr-jones", "form"),
    (rules.ENDPOINT, f"http://{C}.example", "plain http"),
    (rules.ENDPOINT, f"ftp://{C}", "begins with https"),
    (rules.ENDPOINT, f"https://host/?sig={C}", "token"),
    (rules.ENDPOINT, f"https://user:{C}@host", "token"),
    (rules.ENDPOINT, f"https://[{C}", "address"),
    (rules.ENDPOINT, f"https://host:{C}", "address"),
    (rules.FILES, f"smb://[{C}", "address"),
    (rules.LOCAL_FOLDER, f"../{C}", ".."),
    (rules.LOCAL_FOLDER, f"C:\\{C}\\..\\x", ".."),
    (rules.LOCAL_FOLDER, f"sftp://{C}", "URL"),
    (rules.WORD, f"{C} x", "blank"),
    (rules.SECRET, "", "empty"),
    (rules.SECRET, 5, "a number"),
    (rules.SECRET, {"env": C, "file": C}, "exactly one"),
    (rules.SECRET, {C: "x"}, "one of"),
    (rules.SECRET, {"env": 5}, "in text"),
    (rules.SECRET, {"keyring": C}, "service/user"),
    (rules.SECRET, {}, "exactly one"),
    (rules.SECRET, f"{C}" * 2000, "longer"),
    (rules.RECORDS, f"{C}", "database URL"),
    (rules.RECORDS, f"postgresql://user:{C}@host:port/db", "database URL"),
]


@pytest.mark.parametrize(("rule", "given", "taken"), TAKEN)
def test_what_is_right_is_taken(rule: rules.Rule, given: Any, taken: Any) -> None:
    """A value of the right form is kept as it should be, and taken again as it was kept."""
    found = rule.take(given)
    assert found == taken
    assert rule.take(found) == taken
    assert rule(given) == taken


@pytest.mark.parametrize(("rule", "given", "why"), REFUSED)
def test_what_is_wrong_is_refused_and_not_repeated(rule: rules.Rule, given: Any, why: str) -> None:
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
        (rules.FLAG, "Yes", True),
        (rules.FLAG, "0", False),
        (rules.SECONDS, "2.5", 2.5),
        (rules.LOCATIONS, "local, azure", ("local", "azure")),
        (rules.EXTENSIONS, ".jpg,external-files", IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS),
        (rules.SECRET, "key==", Secret("key==")),
    ],
)
def test_the_text_of_a_variable_is_understood(rule: rules.Rule, text: str, value: Any) -> None:
    """What TOML has types for is read from text."""
    assert rule.take(rule.parse(text)) == value


@pytest.mark.parametrize(("rule", "text"), [(rules.FLAG, "maybe"), (rules.SECONDS, "soon")])
def test_text_that_is_no_value_is_refused(rule: rules.Rule, text: str) -> None:
    """A word that is no switch or number is a mistake, not a default."""
    with pytest.raises(Refused):
        rule.take(rule.parse(text))


def test_a_number_may_have_any_number_of_digits() -> None:
    """TOML's have no limit; what no float can hold is out of range like any other."""
    with pytest.raises(Refused, match="range"):
        rules.SECONDS.take(10**400)


def test_relative_paths_start_at_the_file() -> None:
    """Folders, files, a SQLite database and the file of a secret are found beside the settings file."""
    folder = Path("/etc/clinic")
    assert rules.LOCAL_FOLDER.place("photos", folder) == str(folder / "photos")
    assert rules.LOCAL_FOLDER.place("/srv/photos", folder) == str(Path("/srv/photos"))
    assert rules.LOCAL_FOLDER.place("~/photos", folder) == "~/photos"
    assert rules.LOCAL_FOLDER.place(r"\\server\photos", folder) == r"\\server\photos"
    assert rules.LOCAL_FOLDER.place("D:/photos", folder) == "D:/photos"
    assert rules.FILES.place("files", folder) == str(folder / "files")
    assert rules.FILES.place("s3://bucket", folder) == "s3://bucket"
    placed = rules.RECORDS.place(Secret("sqlite:///clinic.db"), folder)
    assert placed.reveal() == f"sqlite:///{folder / 'clinic.db'}"
    for url in ("sqlite://", "sqlite:///:memory:", "sqlite:////var/clinic.db", "postgresql://u:p@host/db"):
        assert rules.RECORDS.place(Secret(url), folder).reveal() == url
    assert rules.SECRET.place(SecretReference(kind="file", name="key"), folder).name == str(folder / "key")
    assert rules.SECRET.place(SecretReference(kind="env", name="KEY"), folder).name == "KEY"


@pytest.mark.parametrize("folder", ["what?x=1", "a%3Fb", "a#b", "a b"])
def test_a_database_beside_the_file_is_that_one(folder: str) -> None:
    """Whatever stands in the folder's name has no meaning in the URL; where it would have one, that is told."""
    try:
        placed = rules.RECORDS.place(Secret("sqlite:///clinic.db"), Path("/", folder))
    except Refused:
        assert "?" in folder
    else:
        assert make_url(placed.reveal()).database == str(Path("/", folder, "clinic.db"))


def test_addresses_are_shown_without_what_is_secret_in_them() -> None:
    """Passwords, users' keys and query strings are masked; the rest helps to find a mistake."""
    shown = rules.RECORDS.show(Secret("postgresql://clinic:CANARY@host/db?password=CANARY"))
    assert "CANARY" not in shown
    assert "host/db" in shown
    assert rules.RECORDS.show(Secret("sqlite:///clinic.db")) == "sqlite:///clinic.db"
    assert rules.FILES.show("s3://CANARY:CANARY@bucket/x?token=CANARY") == "s3://***@bucket/x"
    assert "CANARY" not in rules.FILES.show("s3://CANARY:CAN/ARYCANARY@bucket/x")
    assert rules.FILES.show("files") == "files"
    assert rules.SECRET.show(Secret("CANARY")) == "***"
    assert rules.SECRET.show(SecretReference(kind="env", name="NAME")) == "*** from { env = 'NAME' }"


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
