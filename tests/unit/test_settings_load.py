"""Settings from files and the environment: what they come to, and every mistake at once."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from intouch_import.errors import ConfigError, SettingsError
from intouch_import.secret import Secret
from intouch_import.settings import Settings
from intouch_import.settings.load import load

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[..., Path]

GOOD = """
[practice]
zone = "Australia/Sydney"
pattern = "{patient}_{provider}_{taken:%Y%m%d_%H%M%S}"
azure_account = "clinicphotos"
azure_key = { env = "CLINIC_KEY" }
records = "sqlite:///clinic.db"
files = "clinic-files"

[provider.DRJ]
azure_container = "drjones"
azure_folder = "/photos/"

[provider."10 B"]
local_folder = "tenb"

[operator.reception]
locations = ["local", "azure"]
local_folder = "photos"
auto_import = false
"""


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith("INTOUCH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CLINIC_KEY", "CANARYKEY")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a settings file."""

    def write(text: str | bytes, name: str = "practice.toml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def mistakes_of(*files: Path) -> list[tuple[str, str]]:
    """Return the key and text of each mistake."""
    return [(mistake.key, mistake.text) for mistake in load(files).mistakes]


def warned(*files: Path) -> list[tuple[str, str]]:
    return [(warning.key, warning.text) for warning in load(files).warnings]


# --- what they come to


def test_a_file_becomes_settings(write: Write, tmp_path: Path) -> None:
    """Values have their types, folders have their normal form, and relative paths start at the file."""
    settings = Settings.load(write(GOOD))
    practice = settings.practice
    assert (practice.zone, practice.hosted, practice.settle_s) == ("Australia/Sydney", False, 2.0)
    assert isinstance(practice.records, Secret)
    assert practice.records.reveal() == f"sqlite:///{tmp_path / 'clinic.db'}"
    assert practice.files == str(tmp_path / "clinic-files")
    assert list(settings.providers) == ["DRJ", "10 B"]
    assert settings.providers["DRJ"].azure_folder == "/photos"
    assert settings.providers["10 B"].local_folder == str(tmp_path / "tenb")
    operator = settings.operators["reception"]
    assert (operator.locations, operator.auto_import) == (("local", "azure"), False)
    assert operator.local_folder == str(tmp_path / "photos")
    assert repr(settings) == "<Settings 2 providers, 1 operators>"


def test_a_file_may_be_given_by_a_path_with_dots(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``../practice.toml`` names the same file as its whole path does, and its folders are the same."""
    (tmp_path / "sub").mkdir()
    path = write(GOOD)
    monkeypatch.chdir(tmp_path / "sub")
    settings = Settings.load(Path("..", path.name))
    assert settings.providers["10 B"].local_folder == str((tmp_path / "tenb").resolve())


def test_a_secret_is_read_late(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings contain the place of the secret; the secret is read when it is needed."""
    settings = Settings.load(write(GOOD))
    monkeypatch.setenv("CLINIC_KEY", "another")
    reference = settings.practice.azure_key
    assert not isinstance(reference, Secret)
    assert reference is not None
    assert reference.resolve() == Secret("another")


def test_a_later_file_overrides_an_earlier_one_key_by_key(write: Write) -> None:
    """A second file adds to the first; if both set a key, the second one is used."""
    first = write(GOOD)
    second = write('[practice]\nzone = "Europe/Berlin"\n[provider.DRJ]\ndropbox_app_key = "k"\n', "more.toml")
    settings = Settings.load(first, second)
    assert settings.practice.zone == "Europe/Berlin"
    assert settings.providers["DRJ"].azure_container == "drjones"
    assert settings.providers["DRJ"].dropbox_app_key == "k"
    assert settings.origins["practice.zone"] == str(second)
    assert settings.origins["provider.DRJ.azure_container"] == str(first)


def test_the_environment_overrides_files(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are variables for the keys of every section; an empty one is ignored."""
    monkeypatch.setenv("INTOUCH_ZONE", "Pacific/Auckland")
    monkeypatch.setenv("INTOUCH_HOSTED", "yes")
    monkeypatch.setenv("INTOUCH_FILES", "")
    monkeypatch.setenv("INTOUCH_PROVIDER_10_B_AZURE_CONTAINER", "tenb")
    monkeypatch.setenv("INTOUCH_OPERATOR_RECEPTION_LOCATIONS", "azure")
    settings = Settings.load(write(GOOD))
    assert (settings.practice.zone, settings.practice.hosted) == ("Pacific/Auckland", True)
    assert settings.practice.files is not None
    assert settings.providers["10 B"].azure_container == "tenb"
    assert settings.operators["reception"].locations == ("azure",)
    assert settings.origins["practice.zone"] == "environment INTOUCH_ZONE"


def test_the_environment_names_the_files(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument, INTOUCH_SETTINGS names the files, separated as in PATH."""
    first, second = write(GOOD), write('[practice]\nzone = "Europe/Berlin"\n', "more.toml")
    monkeypatch.setenv("INTOUCH_SETTINGS", f"{first}{os.pathsep}{second}")
    assert Settings.load().practice.zone == "Europe/Berlin"


def test_no_file_at_all_is_a_mistake() -> None:
    """If no file is named, loading fails instead of returning empty settings."""
    with pytest.raises(SettingsError, match="INTOUCH_SETTINGS"):
        Settings.load()


def test_marks_and_line_ends_of_windows_are_taken(write: Write) -> None:
    """Files written with Notepad can be read."""
    path = write(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert Settings.load(path).practice.zone == "Australia/Sydney"


# --- files that can't be read


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xff\xfe[practice]", "UTF-8"),
        (b"[practice]\nazure_key = CANARY\n", "not TOML (line 2, column"),
        (b"[practice]\nazure_key = 'CANARY\n", "not TOML"),
        (b"[provider.DRJ]\n[provider.DRJ]\n", "twice (line 2"),
        (b"[practice]\nzone = 'a'\nzone = 'b'\n", "twice (line 3"),
        (b"#" * 2_000_000, "too large"),
        (b"a = " + b"[" * 100_000, "can't be read"),
        (b"practice = 5", "expected a table: [practice]"),
        (b"provider = 5", "expected a table: [provider]"),
        (b"[provider]\nDRJ = 5", "expected a table for each id: [provider.DRJ]"),
        (b'[provider." DRJ"]', "expected an id"),
        (b"zone = 'UTC'", "no such key"),
        (b"[providers.DRJ]\n", "did you mean provider?"),
    ],
)
def test_a_file_that_is_no_settings_file(write: Write, content: bytes, text: str) -> None:
    """The message says what is wrong and where, and does not repeat the content."""
    (mistake,) = load([write(content)]).mistakes
    assert text in mistake.text
    assert mistake.file.endswith("practice.toml")
    assert "CANARY" not in str(mistake)


def test_a_missing_file_does_not_hide_the_mistakes_of_others(write: Write, tmp_path: Path) -> None:
    """Every file is read, even if another one can't be read."""
    found = load([tmp_path / "nowhere.toml", tmp_path, write("[practice]\nzone = 5\n")])
    assert [(Path(one.file).name, one.key) for one in found.mistakes] == [
        ("nowhere.toml", ""),
        (tmp_path.name, ""),
        ("practice.toml", "practice.zone"),
    ]


# --- every mistake at once

MANY = """
[practice]
zone = "Mars/CANARY"
settle_s = "CANARY"
azure_acount = "CANARY"
azure_key = { env = 5 }
pattern = "{patient}_CANARY"

[provider.DRJ]
azure_container = "CANARY"
azure_folder = "CANARY"

[provider.DRK]
azure_container = "drkaur"
azure_folder = "/CANARY/../x"
onedrive_secret = "CANARY"

[operator.reception]
locations = ["CANARY"]
auto_import = "CANARY"
"""


def test_every_mistake_is_found_at_once(write: Write) -> None:
    """Each mistake has its key and what was expected; no value is repeated."""
    path = write(MANY)
    with pytest.raises(SettingsError) as caught:
        Settings.load(path)
    found = {mistake.key: mistake.text for mistake in caught.value.mistakes}
    assert [mistake.key for mistake in caught.value.mistakes] == [
        "practice.zone",
        "practice.settle_s",
        "practice.azure_acount",
        "practice.azure_key",
        "practice.pattern",
        "provider.DRJ.azure_container",
        "provider.DRJ.azure_folder",
        "provider.DRK.azure_folder",
        "operator.reception.locations",
        "operator.reception.auto_import",
        "practice.azure_key",
        "provider.DRK.onedrive_secret",
    ]
    assert found["practice.azure_acount"] == "no such key; did you mean azure_account?"
    assert found["provider.DRJ.azure_folder"].startswith("expected a folder that begins with /")
    assert "lacks" in found["practice.pattern"]
    assert {mistake.file for mistake in caught.value.mistakes} == {str(path)}
    text = str(caught.value)
    assert len(text.splitlines()) == len(caught.value.mistakes)
    assert "CANARY" not in f"{text} {caught.value!r}"
    assert isinstance(caught.value, ConfigError)
    assert pickle.loads(pickle.dumps(caught.value)).mistakes == caught.value.mistakes


def test_a_wrong_value_is_a_mistake_though_a_later_file_overrides_it(write: Write) -> None:
    """Otherwise the mistake would appear only when the later file is removed."""
    first = write("[practice]\nzone = 5\n")
    second = write(GOOD, "good.toml")
    assert [(Path(one.file).name, one.key) for one in load([first, second]).mistakes] == [
        ("practice.toml", "practice.zone")
    ]


def test_a_mistake_in_the_environment_names_the_variable(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the variable that somebody has to correct."""
    monkeypatch.setenv("INTOUCH_SETTLE_S", "CANARY")
    (mistake,) = load([write(GOOD)]).mistakes
    assert str(mistake).startswith("environment INTOUCH_SETTLE_S: practice.settle_s: expected a number")
    assert "CANARY" not in str(mistake)


@pytest.mark.parametrize(
    ("section", "key", "nearest"),
    [
        ("practice", "azure-key", "azure_key"),
        ("practice", "Zone", "zone"),
        ("provider.DRJ", "azur_folder", "azure_folder"),
        ("provider.DRJ", "drop_box_app_key", "dropbox_app_key"),
        ("operator.reception", "autoimport", "auto_import"),
        ("operator.reception", "location", "locations"),
    ],
)
def test_unknown_keys_are_reported_with_the_nearest_one(
    write: Write, section: str, key: str, nearest: str
) -> None:
    """A typing error in a key is reported, so that it does not silently disable a setting."""
    path = write(f"[{section}]\n{key} = 1\n")
    assert (f"{section}.{key}", f"no such key; did you mean {nearest}?") in mistakes_of(path)


def test_an_unknown_key_like_no_other_is_reported_without_a_guess(write: Write) -> None:
    """If no key is similar, none is suggested."""
    assert mistakes_of(write("[practice]\nxqw = 1\n")) == [("practice.xqw", "no such key")]


# --- what must hold between them


@pytest.mark.parametrize(
    ("text", "key", "why"),
    [
        ("[practice]\nazure_key = { env = 'X' }", "practice.azure_key", "practice.azure_account"),
        ("[provider.A]\nazure_folder = '/x'", "provider.A.azure_folder", "provider.A.azure_container"),
        ("[provider.A]\nazure_sas = 'x'", "provider.A.azure_sas", "provider.A.azure_container"),
        ("[provider.A]\nonedrive_secret = 'x'", "provider.A.onedrive_secret", "provider.A.onedrive_app_id"),
        ("[provider.A]\nonedrive_folder = '/x'", "provider.A.onedrive_folder", "provider.A.onedrive_app_id"),
        ("[provider.A]\ndropbox_folder = '/x'", "provider.A.dropbox_folder", "provider.A.dropbox_app_key"),
        ("[provider.A]\nlocal_id = 'x'", "provider.A.local_id", "provider.A.local_folder"),
        ("[operator.a]\nlocal_id = 'x'", "operator.a.local_id", "operator.a.local_folder"),
        (
            "[practice]\nazure_account = 'abc'\nazure_key = { env = 'X' }\nazure_identity = true",
            "practice.azure_identity",
            "not both",
        ),
        (
            "[operator.a]\nlocations = ['local']",
            "operator.a.locations",
            "operator.a.local_folder, or a provider's",
        ),
        ("[operator.a]\nlocations = ['azure']", "operator.a.locations", "practice.azure_account"),
        (
            "[practice]\nazure_account = 'abc'\n[operator.a]\nlocations = ['azure']",
            "operator.a.locations",
            "a provider's azure_container",
        ),
        (
            "[practice]\nazure_account = 'abc'\n[provider.A]\nazure_container = 'abc'\n[operator.a]\nlocations = ['azure']",
            "operator.a.locations",
            "practice.azure_key, or provider.A.azure_sas,",
        ),
        ("[operator.a]\nlocations = ['dropbox']", "operator.a.locations", "dropbox_app_key"),
        ("[operator.a]\nlocations = ['onedrive']", "operator.a.locations", "onedrive_app_id"),
        (
            "[practice]\nhosted = true\n[provider.A]\ndropbox_app_key = 'k'\n[operator.a]\nlocations = ['dropbox']",
            "operator.a.locations",
            "hosted in the vendor's cloud",
        ),
    ],
)
def test_settings_that_can_not_be_used_together(write: Write, text: str, key: str, why: str) -> None:
    """A setting that needs another one, or contradicts it, is a mistake, and the message names the other one."""
    ((found, said),) = mistakes_of(write(text))
    assert found == key
    assert why in said


def test_an_invalid_value_is_not_also_missing(write: Write) -> None:
    """One wrong value is one mistake: settings that depend on it are not reported as well."""
    path = write(
        "[practice]\nazure_account = 'Not A Name'\nazure_key = { env = 'CLINIC_KEY' }\n"
        "[provider.A]\nazure_container = 'abc'\n[operator.a]\nlocations = ['azure']\n"
    )
    assert [key for key, _ in mistakes_of(path)] == ["practice.azure_account"]


def test_each_provider_may_have_its_own_signature(write: Write) -> None:
    """If every container has a signature, the account's key is not needed."""
    path = write(
        "[practice]\nazure_account = 'abc'\n[provider.A]\nazure_container = 'abc'\nazure_sas = { env = 'X' }\n"
        "[operator.a]\nlocations = ['azure']\n"
    )
    assert mistakes_of(path) == []


# --- one folder, one owner


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("azure_container = 'abc'", "azure_container = 'abc'", True),
        (
            "azure_container = 'abc'\nazure_folder = '/p'",
            "azure_container = 'abc'\nazure_folder = '/p/'",
            True,
        ),
        ("azure_container = 'abc'\nazure_folder = '/'", "azure_container = 'abc'", True),
        ("azure_container = 'abc'\nazure_folder = '/p'", "azure_container = 'abc'", False),
        (
            "azure_container = 'abc'\nazure_folder = '/p'",
            "azure_container = 'abc'\nazure_folder = '/P'",
            False,
        ),
        (
            "azure_container = 'abc'\nazure_folder = '/p'",
            "azure_container = 'abc'\nazure_folder = '/p/q'",
            False,
        ),
        ("azure_container = 'abc'", "azure_container = 'abd'", False),
        ("local_folder = 'photos'", "local_folder = './photos/'", True),
        ("local_folder = 'photos'", "local_folder = 'photos/b'", False),
    ],
)
def test_no_two_providers_share_a_folder(write: Write, one: str, other: str, shared: bool) -> None:
    """The same folder, however it is written, is a mistake; a sub-folder is another folder."""
    found = mistakes_of(write(f"[provider.A]\n{one}\n[provider.B]\n{other}\n"))
    assert bool(found) == shared
    for key, text in found:
        assert key.startswith("provider.B.")
        assert "belongs to provider.A" in text


def test_a_link_to_anothers_folder_is_that_folder(write: Write, tmp_path: Path) -> None:
    """A check asks the disk if two folders are the same; loading does not wait for a share that is not available."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    path = write("[provider.A]\nlocal_folder = 'photos'\n[provider.B]\nlocal_folder = 'link'\n")
    assert [mistake.key for mistake in load([path], ask_disk=True).mistakes] == ["provider.B.local_folder"]
    assert mistakes_of(path) == []


def test_an_operators_folder_is_no_providers(write: Write) -> None:
    """Operators may share a folder, but not a provider's folder."""
    path = write(
        "[provider.A]\nlocal_folder = 'a'\n[operator.x]\nlocal_folder = 'a'\n"
        "[operator.y]\nlocal_folder = 'b'\n[operator.z]\nlocal_folder = 'b'\n"
    )
    assert [key for key, _ in mistakes_of(path)] == ["operator.x.local_folder"]


@pytest.mark.parametrize("other", ["provider.B", "operator.x"])
def test_a_name_stands_for_one_folder(write: Write, other: str) -> None:
    """With one name for two folders, an undo could put a photo into the wrong folder."""
    path = write(
        f"[provider.A]\nlocal_folder = 'a'\nlocal_id = 'one'\n[{other}]\nlocal_folder = 'b'\nlocal_id = 'one'\n"
    )
    ((key, text),) = mistakes_of(path)
    assert key == f"{other}.local_id"
    assert "belongs to provider.A" in text


def test_operators_may_share_a_name(write: Write) -> None:
    """Operators may reach the same folder by different paths."""
    path = write(
        "[operator.x]\nlocal_folder = '/mnt/a'\nlocal_id = 'one'\n"
        "[operator.y]\nlocal_folder = 'P:/a'\nlocal_id = 'one'\n"
    )
    assert mistakes_of(path) == []


def test_a_home_that_is_not_known_here_is_no_mistake_of_another_setting(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a home folder, a path that starts there is reported with its key, and the rest is read."""
    monkeypatch.setattr(os.path, "expanduser", os.fspath)
    path = write(
        "[practice]\nzone = 'CANARY'\nazure_account = 'abc'\nrecords = 'sqlite:///~/clinic.db'\n"
        "azure_key = { file = '~/key' }\n"
    )
    assert [key for key, _ in mistakes_of(path)] == ["practice.zone", "practice.records"]
    assert ("practice.azure_key", "the file can't be read here") in warned(path)


# --- what is doubtful


def test_warnings_do_not_stop_loading(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check prints warnings, and loading ignores them."""
    monkeypatch.setenv("INTOUCH_ZOEN", "x")
    path = write(
        "[practice]\nazure_account = 'abc'\nazure_key = 'CANARY'\nrecords = 'postgresql://u:CANARY@h/d'\n"
        "[provider.A]\nazure_container = 'abc'\nazure_sas = { env = 'NOT_SET' }\n"
        "[provider.a]\nlocal_folder = 'x'\n"
        "[operator.a]\nlocations = ['azure']\ndropbox_folder = '/x'\n[operator.b]\n"
    )
    Settings.load(path)
    found = warned(path)
    assert [key for key, _ in found] == [
        "INTOUCH_ZOEN",
        "operator.a.locations",
        "practice.records",
        "practice.azure_key",
        "provider.A.azure_sas",
        "practice.zone",
        "practice.pattern",
        "operator.a.dropbox_folder",
        "operator.b.locations",
        "provider.a",
    ]
    texts = dict(found)
    assert texts["operator.a.locations"] == "azure is on, but provider.a has no azure_container"
    assert "not set here" in texts["provider.A.azure_sas"]
    assert "did you mean INTOUCH_ZONE?" in texts["INTOUCH_ZOEN"]
    assert "CANARY" not in str(found)


def test_a_good_file_has_no_warnings(write: Write) -> None:
    """The example of this module has no mistakes and no warnings."""
    path = write(GOOD.replace('[provider."10 B"]\nlocal_folder = "tenb"\n', ""))
    assert (mistakes_of(path), warned(path)) == ([], [])


def test_a_secret_from_the_environment_is_no_secret_in_a_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable may contain the secret itself."""
    monkeypatch.setenv("INTOUCH_AZURE_KEY", "CANARY")
    path = write(GOOD.replace('azure_key = { env = "CLINIC_KEY" }\n', ""))
    assert "practice.azure_key" not in dict(warned(path))
    assert Settings.load(path).practice.azure_key == Secret("CANARY")
