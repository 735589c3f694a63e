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
    formats,
)
from intouch_import.settings.formats import Format, InvalidValue

TAKEN: list[tuple[Format, Any, Any]] = [
    (formats.ID, "DRJ", "DRJ"),
    (formats.ID, "Dr Jönes", "Dr Jönes"),
    (formats.FLAG, True, True),
    (formats.SECONDS, 2, 2.0),
    (formats.SECONDS, 0, 0.0),
    (formats.ZONE, "Pacific/Auckland", "Pacific/Auckland"),
    (
        formats.PATTERN,
        "{provider}-{patient:[0-9]{5}}-{taken:%Y%m%d%H%M%S}",
        "{provider}-{patient:[0-9]{5}}-{taken:%Y%m%d%H%M%S}",
    ),
    (formats.LOCATIONS, ["azure", "local"], ("azure", "local")),
    (formats.LOCATIONS, [], ()),
    (formats.EXTENSIONS, [".JPG", ".pdf"], {".jpg", ".pdf"}),
    (formats.EXTENSIONS, "external-files", IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS),
    (
        formats.EXTENSIONS,
        ["external-files", ".heic"],
        IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS | {".heic"},
    ),
    (formats.FOLDER, "/photos", "/photos"),
    (formats.FOLDER, "/apps/in touch/", "/apps/in touch"),
    (formats.FOLDER, "/", "/"),
    (formats.FOLDER, "/ünï/…", "/ünï/…"),
    (formats.FOLDER, "/a%2F..%2Fb", "/a%2F..%2Fb"),
    (formats.FOLDER, "/...", "/..."),
    (formats.CONTAINER, "drjones", "drjones"),
    (formats.CONTAINER, "dr-jones-2", "dr-jones-2"),
    (formats.CONTAINER, "a" * 63, "a" * 63),
    (formats.ACCOUNT, "devstoreaccount1", "devstoreaccount1"),
    (formats.ENDPOINT, "https://x.blob.core.usgovcloudapi.net/", "https://x.blob.core.usgovcloudapi.net"),
    (formats.ENDPOINT, "http://127.0.0.1:10000/devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"),
    (formats.ENDPOINT, "http://[::1]:1", "http://[::1]:1"),
    (formats.LOCAL_FOLDER, "photos", "photos"),
    (formats.LOCAL_FOLDER, r"\\server\share\photos", r"\\server\share\photos"),
    (formats.LOCAL_FOLDER, Path("photos"), "photos"),
    (formats.FILES, "s3://bucket/files", "s3://bucket/files"),
    (formats.WORD, "a1b2", "a1b2"),
    (formats.SECRET, "text", Secret("text")),
    (formats.SECRET, {"env": "NAME"}, SecretReference(kind="env", name="NAME")),
    (formats.SECRET, {"keyring": "a/b/c"}, SecretReference(kind="keyring", name="a/b/c")),
    (formats.RECORDS, "sqlite:///clinic.db", Secret("sqlite:///clinic.db")),
    (formats.RECORDS, {"file": "url.txt"}, SecretReference(kind="file", name="url.txt")),
]

# Every value that is text holds the canary.
C = "CANARY"
REFUSED: list[tuple[Format, Any, str]] = [
    (formats.ID, f" {C}", "space"),
    (formats.ID, f"{C}\n", "space"),
    (formats.ID, f"{C}\x07x", "control"),
    (formats.ID, "", "empty"),
    (formats.ID, 7, "a number"),
    (formats.FLAG, C, "text"),
    (formats.FLAG, 1, "a number"),
    (formats.SECONDS, C, "text"),
    (formats.SECONDS, True, "true or false"),
    (formats.SECONDS, -1, "range"),
    (formats.SECONDS, float("nan"), "range"),
    (formats.SECONDS, float("inf"), "range"),
    (formats.SECONDS, 10**9, "range"),
    (formats.ZONE, f"Mars/{C}", "known"),
    (formats.ZONE, f"../../{C}", "known"),
    (formats.ZONE, f"/{C}", "known"),
    (formats.PATTERN, f"{C}", "lacks"),
    (formats.PATTERN, "{patient}{provider}{taken:%Y%m%d%H%M%S}", "two ways"),
    (formats.LOCATIONS, ["local", C], "another word"),
    (formats.LOCATIONS, ["local", "local"], "twice"),
    (formats.LOCATIONS, C, "text"),
    (formats.LOCATIONS, [["local"]], "another word"),
    (formats.EXTENSIONS, [f".{C}/"], "written like"),
    (formats.EXTENSIONS, ["jpg"], "written like"),
    (formats.EXTENSIONS, [5], "written like"),
    (formats.EXTENSIONS, [], "empty"),
    (formats.FOLDER, C, "begin with /"),
    (formats.FOLDER, "", "begin with /"),
    (formats.FOLDER, f"/{C}/../x", ". or .."),
    (formats.FOLDER, "/..", ". or .."),
    (formats.FOLDER, f"/./{C}", ". or .."),
    (formats.FOLDER, f"/a//{C}", "between"),
    (formats.FOLDER, f"//{C}", "between"),
    (formats.FOLDER, "//", "between"),
    (formats.FOLDER, f"/{C}//", "between"),
    (formats.FOLDER, f"/{C}\\x", "backslash"),
    (formats.FOLDER, f"/{C}\0", "control"),
    (formats.FOLDER, f"/{C}\x7f", "control"),
    (formats.FOLDER, f"/{C}\u202e", "control"),
    (formats.FOLDER, f"/{C} /x", "space"),
    (formats.FOLDER, f"/{C}" + "x" * 500, "longer"),
    (formats.FOLDER, 5, "a number"),
    (formats.CONTAINER, C, "form"),
    (formats.CONTAINER, "dr--jones", "form"),
    (formats.CONTAINER, "-drjones", "form"),
    (formats.CONTAINER, "drjones-", "form"),
    (formats.CONTAINER, "ab", "form"),
    (formats.CONTAINER, "a" * 64, "form"),
    (formats.CONTAINER, "$root", "form"),
    (formats.CONTAINER, "drjones/photos", "form"),
    (formats.CONTAINER, "drjones\n", "space"),
    (formats.CONTAINER, "drjone\u0455", "form"),
    (formats.ACCOUNT, "dr-jones", "form"),
    (formats.ENDPOINT, f"http://{C}.example", "plain http"),
    (formats.ENDPOINT, f"ftp://{C}", "begins with https"),
    (formats.ENDPOINT, f"https://host/?sig={C}", "token"),
    (formats.ENDPOINT, f"https://user:{C}@host", "token"),
    (formats.ENDPOINT, f"https://[{C}", "address"),
    (formats.ENDPOINT, f"https://host:{C}", "address"),
    (formats.FILES, f"smb://[{C}", "address"),
    (formats.LOCAL_FOLDER, f"../{C}", ".."),
    (formats.LOCAL_FOLDER, f"C:\\{C}\\..\\x", ".."),
    (formats.LOCAL_FOLDER, f"sftp://{C}", "URL"),
    (formats.WORD, f"{C} x", "space"),
    (formats.SECRET, "", "empty"),
    (formats.SECRET, 5, "a number"),
    (formats.SECRET, {"env": C, "file": C}, "exactly one"),
    (formats.SECRET, {C: "x"}, "one of"),
    (formats.SECRET, {"env": 5}, "in text"),
    (formats.SECRET, {"keyring": C}, "service/user"),
    (formats.SECRET, {}, "exactly one"),
    (formats.SECRET, f"{C}" * 2000, "longer"),
    (formats.RECORDS, f"{C}", "database URL"),
    (formats.RECORDS, f"postgresql://user:{C}@host:port/db", "database URL"),
]


@pytest.mark.parametrize(("form", "given", "taken"), TAKEN)
def test_valid_values_are_accepted(form: Format, given: Any, taken: Any) -> None:
    """A valid value is stored in its normal form, and the stored value is valid too."""
    found = form.check(given)
    assert found == taken
    assert form.check(found) == taken
    assert form(given) == taken


@pytest.mark.parametrize(("form", "given", "why"), REFUSED)
def test_invalid_values_are_refused_and_not_repeated(form: Format, given: Any, why: str) -> None:
    """The message says what is wrong and what was expected, and does not contain the value."""
    with pytest.raises(InvalidValue) as caught:
        form.check(given)
    assert why in str(caught.value)
    assert C not in str(caught.value)
    with pytest.raises(ConfigError) as told:
        form(given)
    assert form.expected in str(told.value)
    assert C not in f"{told.value} {told.value!r} {told.value.__cause__!r}"


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (formats.FLAG, "Yes", True),
        (formats.FLAG, "0", False),
        (formats.SECONDS, "2.5", 2.5),
        (formats.LOCATIONS, "local, azure", ("local", "azure")),
        (formats.EXTENSIONS, ".jpg,external-files", IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS),
        (formats.SECRET, "key==", Secret("key==")),
    ],
)
def test_the_text_of_a_variable_is_understood(form: Format, text: str, value: Any) -> None:
    """The text of a variable becomes a value of the type that TOML has for it."""
    assert form.check(form.parse(text)) == value


@pytest.mark.parametrize(("form", "text"), [(formats.FLAG, "maybe"), (formats.SECONDS, "soon")])
def test_text_that_is_no_value_is_refused(form: Format, text: str) -> None:
    """A word that is not a flag or a number is a mistake, not a default."""
    with pytest.raises(InvalidValue):
        form.check(form.parse(text))


def test_a_number_may_have_any_number_of_digits() -> None:
    """TOML's integers have no limit; one that is too large for a float is out of range."""
    with pytest.raises(InvalidValue, match="range"):
        formats.SECONDS.check(10**400)


def test_relative_paths_start_at_the_file() -> None:
    """Folders, files, a SQLite database and the file of a secret start at the settings file."""
    folder = Path("/etc/clinic")
    assert formats.LOCAL_FOLDER.place("photos", folder) == str(folder / "photos")
    assert formats.LOCAL_FOLDER.place("/srv/photos", folder) == str(Path("/srv/photos"))
    assert formats.LOCAL_FOLDER.place("~/photos", folder) == "~/photos"
    assert formats.LOCAL_FOLDER.place(r"\\server\photos", folder) == r"\\server\photos"
    assert formats.LOCAL_FOLDER.place("D:/photos", folder) == "D:/photos"
    assert formats.FILES.place("files", folder) == str(folder / "files")
    assert formats.FILES.place("s3://bucket", folder) == "s3://bucket"
    placed = formats.RECORDS.place(Secret("sqlite:///clinic.db"), folder)
    assert placed.reveal() == f"sqlite:///{folder / 'clinic.db'}"
    for url in ("sqlite://", "sqlite:///:memory:", "sqlite:////var/clinic.db", "postgresql://u:p@host/db"):
        assert formats.RECORDS.place(Secret(url), folder).reveal() == url
    assert formats.SECRET.place(SecretReference(kind="file", name="key"), folder).name == str(folder / "key")
    assert formats.SECRET.place(SecretReference(kind="env", name="KEY"), folder).name == "KEY"


@pytest.mark.parametrize("folder", ["what?x=1", "a%3Fb", "a#b", "a b"])
def test_a_database_beside_the_file_is_that_one(folder: str) -> None:
    """Special characters in the folder's name do not change the URL; where they would, the value is refused."""
    try:
        placed = formats.RECORDS.place(Secret("sqlite:///clinic.db"), Path("/", folder))
    except InvalidValue:
        assert "?" in folder
    else:
        assert make_url(placed.reveal()).database == str(Path("/", folder, "clinic.db"))


def test_addresses_are_shown_without_what_is_secret_in_them() -> None:
    """Passwords, users' keys and query strings are masked; the rest helps to find a mistake."""
    shown = formats.RECORDS.show(Secret("postgresql://clinic:CANARY@host/db?password=CANARY"))
    assert "CANARY" not in shown
    assert "host/db" in shown
    assert formats.RECORDS.show(Secret("sqlite:///clinic.db")) == "sqlite:///clinic.db"
    assert formats.FILES.show("s3://CANARY:CANARY@bucket/x?token=CANARY") == "s3://***@bucket/x"
    assert "CANARY" not in formats.FILES.show("s3://CANARY:CAN/ARYCANARY@bucket/x")
    assert formats.FILES.show("files") == "files"
    assert formats.SECRET.show(Secret("CANARY")) == "***"
    assert formats.SECRET.show(SecretReference(kind="env", name="NAME")) == "*** from { env = 'NAME' }"


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (PracticeSettings, {"zone": "Mars/CANARY"}),
        (ProviderSettings, {"azure_container": "CANARY"}),
        (ProviderSettings, {"azure_folder": "CANARY"}),
        (OperatorSettings, {"locations": ("CANARY",)}),
    ],
)
def test_values_set_in_code_are_checked_too(kind: Any, values: dict[str, Any]) -> None:
    """Settings that a host makes in code are checked like those of a file."""
    with pytest.raises(ConfigError) as caught:
        kind(**values)
    assert "CANARY" not in str(caught.value)


def test_code_may_give_plain_text_for_secrets() -> None:
    """The text becomes a `Secret`."""
    practice = PracticeSettings(azure_key="CANARY", records="sqlite:///x.db")  # type: ignore[arg-type]
    assert practice.azure_key == Secret("CANARY")
    assert "CANARY" not in repr(practice)
