"""From settings to opened sources: each location by itself, and nobody's folder in another's list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import ConfigError, SignInTimeout, SourceUnavailable
from intouch_import.inbox import Inbox
from intouch_import.secret import Secret
from intouch_import.settings import (
    OperatorSettings,
    PracticeSettings,
    ProviderSettings,
    SecretReference,
    Settings,
)
from intouch_import.settings import settings as opening
from intouch_import.settings.settings import OpenedSources
from intouch_import.sources.local import LocalSource

if TYPE_CHECKING:
    from pathlib import Path

    from intouch_import.sources import Source
    from miniature import Practice

AUTO = "10042_DRJ_20260131_142501.jpg"


class Asked:
    """A stand-in for `open_source`: it records the options, and raises the given failures."""

    def __init__(self, folder: Path, **failures: Exception) -> None:
        self.folder = folder
        self.failures = failures
        self.calls: dict[str, dict[str, Any]] = {}

    def __call__(self, url: str, /, **options: Any) -> Source:
        protocol, found, _ = url.partition("://")
        name = protocol if found else "local"
        self.calls[name] = {"url": url, **options}
        if name in self.failures:
            raise self.failures[name]
        folder = self.folder / name if found else url
        if found:
            folder.mkdir(exist_ok=True)
        return LocalSource(str(folder), provider=options["provider"], source_id=options.get("source_id"))


def settings_of(tmp_path: Path, *locations: str, **practice: Any) -> Settings:
    (tmp_path / "photos").mkdir(exist_ok=True)
    return Settings(
        practice=PracticeSettings(**{"azure_account": "clinic", "azure_key": Secret("CANARY"), **practice}),
        providers={
            "DRJ": ProviderSettings(
                azure_container="drjones",
                azure_folder="/a photo/50%",
                dropbox_app_key="dropbox-app",
                dropbox_folder="/provider",
                onedrive_app_id="onedrive-app",
            ),
            "DRK": ProviderSettings(),
        },
        operators={
            "reception": OperatorSettings(
                locations=locations, local_folder=str(tmp_path / "photos"), dropbox_folder="/apps/intouch"
            )
        },
    )


def test_each_location_is_opened_with_what_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each location is opened with the URL, provider, credentials and sign-in of the settings."""
    asked = Asked(tmp_path)
    monkeypatch.setattr(opening, "open_source", asked)
    settings = settings_of(
        tmp_path, "local", "onedrive", "dropbox", "azure", azure_endpoint="https://x.example"
    )
    sign_ins = {"dropbox": lambda: "t", "onedrive": lambda: "u"}
    opened = settings.open_sources(provider="DRJ", signin=sign_ins)
    assert (len(opened), opened.problems, opened.unopened) == (4, (), ())
    assert asked.calls == {
        "local": {"url": str(tmp_path / "photos"), "provider": None, "source_id": None},
        "onedrive": {"url": "onedrive:///", "provider": "DRJ", "signin": sign_ins["onedrive"]},
        "dropbox": {"url": "dropbox:///apps/intouch", "provider": "DRJ", "signin": sign_ins["dropbox"]},
        "az": {
            "url": "az://drjones/a%20photo/50%25",
            "provider": "DRJ",
            "account_name": "clinic",
            "account_key": Secret("CANARY"),
            "endpoint": "https://x.example",
        },
    }
    assert [source.location for source in opened] == ["local"] * 4
    assert opened[0].provider is None


def test_the_signature_of_a_provider_is_used_instead_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature opens one container; the key, which opens all, is not even read."""
    asked = Asked(tmp_path)
    monkeypatch.setattr(opening, "open_source", asked)
    monkeypatch.setenv("DRJ_SAS", "sv=1")
    settings = Settings(
        practice=PracticeSettings(
            azure_account="clinic", azure_key=SecretReference(kind="env", name="NOT_SET")
        ),
        providers={
            "DRJ": ProviderSettings(
                azure_container="drj", azure_sas=SecretReference(kind="env", name="DRJ_SAS")
            )
        },
        operators={"a": OperatorSettings(locations=("azure",))},
    )
    assert settings.open_sources().problems == ()
    assert asked.calls["az"]["sas_token"] == Secret("sv=1")
    assert "account_key" not in asked.calls["az"]


def test_a_providers_own_folder_is_the_providers(tmp_path: Path) -> None:
    """A provider's own folder has that provider; an operator's folder would be used first."""
    settings = Settings(
        providers={"DRJ": ProviderSettings(local_folder=str(tmp_path), local_id="shared-drj")},
        operators={"a": OperatorSettings(locations=("local",))},
    )
    with settings.open_sources() as opened:
        assert [(source.provider, source.source_id) for source in opened] == [("DRJ", "shared-drj")]


@pytest.mark.parametrize("dead", ["local", "onedrive", "dropbox", "az"])
@pytest.mark.parametrize(
    "failure",
    [
        SourceUnavailable("not reached"),
        SignInTimeout("nobody signed in"),
        RuntimeError("CANARY in a vendor's text"),
        ConfigError("no such thing"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_location_that_fails_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: str, failure: Exception
) -> None:
    """The others are opened; the failed one is a problem with its location and a message."""
    monkeypatch.setattr(opening, "open_source", Asked(tmp_path, **{dead: failure}))
    settings = settings_of(tmp_path, "local", "onedrive", "dropbox", "azure")
    opened = settings.open_sources(provider="DRJ", signin={"dropbox": str, "onedrive": str})
    assert len(opened) == 3
    (problem,) = opened.problems
    assert problem.location == ("azure" if dead == "az" else dead)
    assert "CANARY" not in f"{problem} {opened!r} {opened.unopened!r}"
    (unopened,) = opened.unopened
    assert unopened.may_open == (not isinstance(failure, ConfigError))


def test_all_may_fail(tmp_path: Path) -> None:
    """If all locations fail, each has a problem with its reason."""
    settings = Settings(
        practice=PracticeSettings(hosted=True),
        providers={"DRJ": ProviderSettings(dropbox_app_key="k", local_folder=str(tmp_path / "nowhere"))},
        operators={"a": OperatorSettings(locations=("local", "onedrive", "dropbox", "azure"))},
    )
    opened = settings.open_sources()
    assert len(opened) == 0
    assert [(one.location, one.text) for one in opened.problems] == [
        ("local", "the folder does not exist"),
        ("onedrive", "onedrive is on, but the provider has no onedrive_app_id"),
        ("dropbox", "Dropbox can't be used by a practice that is hosted in the vendor's cloud"),
        ("azure", "azure is on, but the provider has no azure_container"),
    ]


def test_dropbox_of_a_hosted_practice_is_refused_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropbox is refused for settings that are made in code, too."""
    asked = Asked(tmp_path)
    monkeypatch.setattr(opening, "open_source", asked)
    opened = settings_of(tmp_path, "dropbox", hosted=True).open_sources(
        provider="DRJ", signin={"dropbox": str}
    )
    assert asked.calls == {}
    assert not opened.unopened[0].may_open


@pytest.mark.parametrize(
    "practice",
    [
        {"azure_key": None},
        {"azure_account": None},
        {"azure_key": SecretReference(kind="env", name="CANARY_NOT_SET")},
    ],
)
def test_a_key_that_is_missing_is_a_problem_of_azure_alone(tmp_path: Path, practice: dict[str, Any]) -> None:
    """The problem names the setting, and not the place where the secret should be."""
    opened = settings_of(tmp_path, "azure", "local", **practice).open_sources(provider="DRJ")
    assert len(opened) == 1
    (problem,) = opened.problems
    assert "azure_" in problem.text
    assert "CANARY" not in problem.text


def test_provider_and_operator_must_be_clear(tmp_path: Path) -> None:
    """If there are several providers, one must be named; unknown ids are refused and not repeated."""
    settings = settings_of(tmp_path, "local")
    with pytest.raises(ConfigError, match="say which provider"):
        settings.open_sources()
    for options in ({"provider": "CANARY"}, {"provider": "DRJ", "operator": "CANARY"}):
        with pytest.raises(ConfigError, match="of that id") as caught:
            settings.open_sources(**options)
        assert "CANARY" not in str(caught.value)
    with pytest.raises(ConfigError, match="say which operator"):
        Settings().open_sources()
    alone = Settings(operators={"a": OperatorSettings(locations=("local",), local_folder=str(tmp_path))})
    assert len(alone.open_sources()) == 1


def test_nothing_on_is_nothing_open() -> None:
    """An operator without locations has no sources, and that is not an error."""
    assert list(Settings(operators={"a": OperatorSettings()}).open_sources()) == []


def test_opened_sources_are_a_sequence(tmp_path: Path) -> None:
    """A host can use them like a list of sources."""
    sources = tuple(LocalSource(str(tmp_path), source_id=name) for name in ("a", "b"))
    opened = OpenedSources(sources=sources)
    assert (len(opened), opened[0], opened[:1], list(opened)) == (2, sources[0], sources[:1], list(sources))


@pytest.mark.parametrize("location", ["dropbox", "onedrive"])
def test_a_sign_in_is_made_for_the_providers_app(tmp_path: Path, location: str) -> None:
    """If the host has no sign-in, people sign in to the app in the settings, separately for each provider."""
    from intouch_import.signin import SignIn

    pytest.importorskip(f"intouch_import.{location}")

    folder = opening._Opening(
        practice=PracticeSettings(),
        provider_id="DRJ",
        provider=settings_of(tmp_path).providers["DRJ"],
        operator=OperatorSettings(),
        signin={},
        options={},
    )
    made = folder._sign_in(location, "a1b2c3d4e5f6g7h")
    assert isinstance(made, SignIn)
    assert made.server.client_id == "a1b2c3d4e5f6g7h"
    assert made.server.service == location


@pytest.mark.parametrize("fails", [False, True])
def test_failed_connections_have_log_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """R15: locations that people sign in to are logged in the folder of the settings; they open even if that fails."""
    asked: list[str] = []

    def begin(folder: str) -> None:
        asked.append(folder)
        if fails:
            raise ConfigError("can't be written")

    monkeypatch.setattr(opening, "log_to_directory", begin)
    monkeypatch.setattr(opening, "open_source", Asked(tmp_path))
    settings = settings_of(tmp_path, "local", "dropbox", log_dir="logs")
    assert len(settings.open_sources(provider="DRJ", signin={"dropbox": str})) == 2
    assert asked == ["logs"]


# --- an inbox of settings


def test_an_inbox_obeys_its_settings(practice: Practice, tmp_path: Path) -> None:
    """The inbox uses the zone, pattern, extensions, operator and automatic import of the settings."""
    practice.photo(AUTO)
    practice.photo("IMG_1.bmp")
    settings = Settings(
        practice=PracticeSettings(
            zone="Australia/Sydney",
            settle_s=0,
            allowed_extensions=[".jpg"],  # type: ignore[arg-type]
            records=Secret(practice.url),
            files=str(practice.files),
        ),
        operators={
            "reception": OperatorSettings(
                locations=("local",), local_folder=str(practice.photos), auto_import=False
            )
        },
    )
    inbox = Inbox.from_settings(settings)
    report = inbox.refresh()
    assert {outcome.name: outcome.reason.value for outcome in report.outcomes} == {
        AUTO: "auto_import_off",
        "IMG_1.bmp": "extension_not_allowed",
    }
    assert (str(inbox.zone), inbox.operator) == ("Australia/Sydney", "reception")
    imported = Inbox.from_settings(settings, auto_import=True).refresh()
    assert imported.imported == 1


def test_settings_without_records_need_a_repository(tmp_path: Path) -> None:
    """Without records in the settings, and without a repository of the host, the message says so."""
    settings = Settings(operators={"a": OperatorSettings()})
    with pytest.raises(ConfigError, match="names no records"):
        Inbox.from_settings(settings)


def test_a_location_that_comes_back_is_listed(practice: Practice, tmp_path: Path) -> None:
    """A share that was not mounted at the start is opened by the first refresh after it is mounted."""
    share = tmp_path / "share"
    settings = Settings(
        practice=PracticeSettings(zone="UTC", settle_s=0),
        providers={"DRJ": ProviderSettings(local_folder=str(share))},
        operators={"a": OperatorSettings(locations=("local", "azure"))},
    )
    inbox = Inbox.from_settings(settings, repository=practice.records())
    for _ in range(2):
        report = inbox.refresh()
        assert [problem.location for problem in report.problems] == ["local", "azure"]
        assert (report.listed, report.closes) == (0, True)
    share.mkdir()
    practice.photo(AUTO, folder=share)
    report = inbox.refresh()
    assert (report.imported, [problem.location for problem in report.problems]) == (1, ["azure"])
    assert [one.location for one in inbox.unopened] == ["azure"]
    assert inbox.scan()[0].location == "azure"


def test_a_folder_that_is_open_already_is_not_opened_twice(practice: Practice, tmp_path: Path) -> None:
    """If two locations are the same folder, the second one is not opened, and its problem says why."""
    late = tmp_path / "late"
    settings = Settings(
        providers={"DRJ": ProviderSettings(local_folder=str(late), local_id="one")},
        operators={"a": OperatorSettings(locations=("local",))},
    )
    unopened = settings.open_sources().unopened
    inbox = practice.inbox(practice.source(source_id="one"), unopened=unopened)
    assert len(inbox.refresh().problems) == 1
    late.mkdir()
    (problem,) = inbox.refresh().problems
    assert "twice" in problem.text
    assert len(inbox.sources) == 1


# --- extensions that are not allowed


def test_a_file_that_is_not_allowed_waits_in_sight(practice: Practice) -> None:
    """The file is not imported automatically and can't be saved; it is listed, and stays in its folder."""
    from intouch_import.errors import SelectionError

    name = AUTO.replace(".jpg", ".JFIF")
    practice.photo(name)
    inbox = practice.inbox(allowed_extensions={".jpg"})
    report = inbox.refresh()
    assert (report.waiting, report.ignored, report.closes) == (1, 0, True)
    (row,) = inbox.rows
    assert row.reason.value == "extension_not_allowed"
    with pytest.raises(SelectionError, match="does not allow"):
        inbox.prepare([row], patient="10042")
    browsed = inbox.browse(practice.photos, patient="10042")
    assert [one.reason.value for one in browsed.rows] == ["extension_not_allowed"]
    assert practice.left() == [name]


def test_an_interrupted_move_is_finished_though_it_is_not_allowed_now(practice: Practice) -> None:
    """A move that was begun is finished: somebody decided about the file before."""
    from intouch_import.errors import NotRemoved

    def refuse(*_: object, **__: object) -> None:
        raise NotRemoved("no")

    practice.photo(AUTO)
    records = practice.records()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalSource, "remove", refuse)
        assert practice.inbox(records=records).refresh().stored == 1
    assert practice.inbox(records=records, allowed_extensions={".pdf"}).refresh().imported == 1
    assert practice.left() == []


def test_settings_made_in_code_have_one_owner_for_each_folder(tmp_path: Path) -> None:
    """Settings that are made in code are refused if two providers have the same folder."""
    from intouch_import.errors import SettingsError

    folder = str(tmp_path)
    for providers, operators in (
        (
            {
                "A": ProviderSettings(azure_container="abc", azure_folder="/p"),
                "B": ProviderSettings(azure_container="abc", azure_folder="/p/"),
            },
            {},
        ),
        ({"A": ProviderSettings(local_folder=folder)}, {"a": OperatorSettings(local_folder=f"{folder}/.")}),
    ):
        with pytest.raises(SettingsError, match=r"belongs to provider\.A") as caught:
            Settings(providers=providers, operators=operators)
        assert folder not in str(caught.value)
