"""What belongs together: properties of every folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from intouch_import.media.companions import CompanionFacts, find_companions, is_sidecar, names_to_read

stems = st.sampled_from(
    ["IMG_1234", "IMG_E1234", "IMG_O1234", "img_1234", "IMG_1234(1)", "IMG_1234-edited", "PXL_20260131_120000123.MP",
     "PXL_20260131_120000123", "GX010001", "GL010001", "IMG_20260131_120000_BURST001_COVER",
     "IMG_20260131_120000_BURST002", "a" * 46, "a" * 47, "\u00e9", "e\u0301"]
)  # fmt: skip
endings = st.sampled_from(
    [".HEIC", ".jpg", ".JPG", ".MOV", ".mp4", ".MP", ".DNG", ".CR2", ".AAE", ".xmp", ".CR2.xmp", ".json", ".jpg.json",
     ".jpg(1).json", ".jpg.supplemental-metadata.json", ".jpg.supplemen.json", ".thm", ".LRV", ".pdf", "", "."]
)  # fmt: skip
names = st.builds(str.__add__, stems, endings) | st.text(min_size=1, max_size=12)
times = st.sampled_from([0, 3, 9, 3600, 86_400 * 40]).map(
    lambda after_s: datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=after_s)
)
facts = st.none() | st.builds(
    CompanionFacts,
    taken_at=st.lists(times, max_size=2).map(tuple),
    device=st.sampled_from([None, "a", "b"]),
    content_id=st.sampled_from([None, None, "A1", "B2"]),
    burst_id=st.sampled_from([None, None, None, "C3"]),
    document_id=st.sampled_from([None, None, "D4", "E5"]),
    owner_name=st.sampled_from([None, "IMG_1234.JPG", "a" * 60 + ".jpg"]),
)
folders = st.dictionaries(names, facts, max_size=14)


@settings(max_examples=60)
@given(folders, st.randoms(use_true_random=False))
def test_every_file_is_in_one_group_in_any_order(
    files: dict[str, CompanionFacts | None], chance: object
) -> None:
    """The groups have every file once; the order of the files changes nothing; no group has two content ids."""
    found = find_companions(files)
    shuffled = sorted(files)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    again = find_companions({name: files[name] for name in shuffled})

    assert sorted(name for group in found.groups for name in group.names) == sorted(files)
    assert again.groups == found.groups
    assert again.possible == found.possible
    for group in found.groups:
        known = [files[name] for name in group.names]
        assert len({one.content_id for one in known if one is not None and one.content_id}) < 2 or any(
            is_sidecar(name) for name in group.names
        )
        assert not group.parts or not is_sidecar(group.owner)
        assert all(found.group_of(name) is group for name in group.names)
    for possible in found.possible:
        assert found.group_of(possible.name) is not found.group_of(possible.other)


@settings(max_examples=60)
@given(folders)
def test_reading_ends(files: dict[str, CompanionFacts | None]) -> None:
    """After every file that is asked for was read, at most twice, nothing more is asked for."""
    read = dict.fromkeys(files)
    for _round in range(3):
        wanted = names_to_read(read)
        read |= {name: files[name] or CompanionFacts() for name in wanted}
    assert names_to_read(read) == []
