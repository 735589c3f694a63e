"""Two providers, one account: neither can list, open or remove the other's files, whatever is configured."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intouch_import.errors import ConfigError, InTouchImportError
from intouch_import.secret import Secret
from intouch_import.settings import OperatorSettings, PracticeSettings, ProviderSettings, Settings
from intouch_import.settings.check import Checks
from intouch_import.settings.sections import sections_by_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.model import SourceFile
    from intouch_import.sources import Source
    from services.azurite import Azurite

NAMES = ["a.jpg", "photos/b.jpg", "photos/sub/c.jpg", "Photos/d.jpg", "photo%73/e.jpg", "photos /f.jpg"]
NASTY = [
    "../{other}/a.jpg",
    "../../{other}/a.jpg",
    "..",
    ".",
    "",
    "/a.jpg",
    "/{other}/a.jpg",
    "photos/b.jpg",
    "sub/c.jpg",
    "..\\{other}\\a.jpg",
    "%2e%2e/{other}/a.jpg",
    "..%2f{other}%2fa.jpg",
    "?comp=list&container={other}",
    "a.jpg?x",
    "#",
    "https://{other}/a.jpg",
    "az://{other}/a.jpg",
    "a.jpg\0",
    "\n../{other}/a.jpg",
]
# Folders of Dr Jones, in the container of Dr Jones; Dr Kaur has /photos and the whole of another container.
FOLDERS = ["/", "/photos/sub", "/Photos", "/photo%73", "/nowhere", "/photosx", "/..."]


@pytest.fixture
def containers(azurite: Azurite) -> Iterator[tuple[Any, Any]]:
    """Two containers, each with the same names in it."""
    mine, other = (azurite.container(f"{who}-{uuid.uuid4().hex[:12]}") for who in ("drjones", "drkaur"))
    with mine, other:
        for container in (mine, other):
            for name in NAMES:
                container.upload_blob(name, f"{container.container_name}/{name}".encode())
        yield mine, other


def practice(azurite: Azurite, **providers: ProviderSettings) -> Settings:
    from services.azurite import ACCOUNT, KEY

    return Settings(
        practice=PracticeSettings(
            azure_account=ACCOUNT, azure_key=Secret(KEY), azure_endpoint=azurite.endpoint
        ),
        providers=providers,
        operators={"a": OperatorSettings(locations=("azure",))},
    )


def content_of(*containers: Any) -> dict[str, bytes]:
    return {
        f"{container.container_name}/{blob.name}": container.download_blob(blob.name).readall()
        for container in containers
        for blob in container.list_blobs()
    }


def attack(source: Source, names: list[str], versions: list[SourceFile]) -> set[bytes]:
    """Ask for everything under every name, with every version that is known; what was got."""
    import attrs

    got: set[bytes] = set()
    for name in names:
        with suppress(InTouchImportError):
            found = source.look(name)
            if found is not None:
                versions = [*versions, found]
        for version in versions:
            forged = attrs.evolve(version, name=name)
            with suppress(InTouchImportError), source.fetch(forged) as content, content.open() as stream:
                got.add(stream.read())
            with suppress(InTouchImportError):
                source.remove(forged, sha256="")
    return got


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_provider_reaches_another(azurite: Azurite, containers: tuple[Any, Any], folder: str) -> None:
    """By no name, and with versions of the other's files in hand: what is got and removed is one's own."""
    mine, other = containers
    settings = practice(
        azurite,
        DRJ=ProviderSettings(azure_container=mine.container_name, azure_folder=folder),
        DRK=ProviderSettings(azure_container=mine.container_name, azure_folder="/photos"),
        DRL=ProviderSettings(azure_container=other.container_name),
    )
    known = [
        file
        for one in ("DRK", "DRL")
        for source in settings.open_sources(provider=one)
        for file in source.scan()
        if file.kind.value == "file"
    ]
    assert len(known) == 2
    before = content_of(mine, other)
    prefix = f"{mine.container_name}{folder.rstrip('/')}/"
    own = {
        content
        for name, content in before.items()
        if name.startswith(prefix) and "/" not in name[len(prefix) :]
    }
    names = (
        [nasty.format(other=other.container_name) for nasty in NASTY] + NAMES + [file.name for file in known]
    )
    got: set[bytes] = set()
    for source in settings.open_sources(provider="DRJ"):
        listed: set[str] = set()
        with suppress(InTouchImportError):  # a folder that nothing lies in is none
            listed = {file.name for file in source.scan() if file.kind.value == "file"}
        assert {f"{prefix}{name}".encode() for name in listed} == own
        got |= attack(source, [*names, *listed], known)
    assert got == own
    after = content_of(mine, other)
    assert {content for name, content in before.items() if name not in after} <= own


def test_a_signature_of_one_container_opens_no_other(azurite: Azurite, containers: tuple[Any, Any]) -> None:
    """Least privilege: with the other's container configured by mistake, the service itself refuses."""
    mine, other = containers
    settings = practice(
        azurite,
        DRJ=ProviderSettings(
            azure_container=mine.container_name, azure_sas=Secret(azurite.sas(mine.container_name))
        ),
        DRK=ProviderSettings(
            azure_container=other.container_name, azure_sas=Secret(azurite.sas(mine.container_name))
        ),
    )
    (source,) = settings.open_sources(provider="DRJ")
    assert [file.name for file in source.scan() if file.kind.value == "file"] == ["a.jpg"]
    opened = settings.open_sources(provider="DRK")
    if opened.problems:
        return
    with pytest.raises(InTouchImportError):
        list(opened[0].scan())


# --- without a service: no two configurations come to one folder unless a check says so

CONTAINERS = st.one_of(
    st.sampled_from(["abc", "abd", "a-b-c"]), st.text(alphabet="ab-./\\%A ", min_size=1, max_size=6)
)
VIRTUAL = st.one_of(
    st.sampled_from(["/", "/p", "/p/", "/p/q", "//", "/p/../p", "/./p", "/p//q", "p", "/P", "/p%2f", "/%70"]),
    st.text(alphabet="/p.%2fq \\", min_size=1, max_size=8).map(lambda text: f"/{text}"),
)


def configured(container: str, folder: str) -> ProviderSettings | None:
    try:
        return ProviderSettings(azure_container=container, azure_folder=folder)
    except ConfigError:
        return None


@given(CONTAINERS, VIRTUAL, CONTAINERS, VIRTUAL)
def test_one_folder_has_one_owner(container: str, folder: str, other: str, other_folder: str) -> None:
    """Whatever two providers are given: it is refused, told as shared, or two different folders."""
    one, two = configured(container, folder), configured(other, other_folder)
    if one is None or two is None:
        return
    practice = PracticeSettings(azure_account="abc", azure_key=Secret("x"))
    mistakes = list(Checks(sections_by_name(practice, {"A": one, "B": two}, {}), {}).mistakes())
    same = (one.azure_container, one.azure_folder) == (two.azure_container, two.azure_folder)
    assert bool(mistakes) == same
    for provider in (one, two):
        assert provider.azure_container is not None
        assert "/" not in provider.azure_container
        segments = provider.azure_folder[1:].split("/") if provider.azure_folder != "/" else []
        assert not {"", ".", ".."} & set(segments)
        assert "\\" not in provider.azure_folder
