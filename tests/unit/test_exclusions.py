"""Exclude patterns: which names of files and folders are never imported."""

from __future__ import annotations

import time

import pytest
from PIL import Image

from intouch_import import Inbox, Patient, Reason, migration, open_source
from intouch_import.errors import ConfigError
from intouch_import.exclusions import DEFAULT_EXCLUSIONS, Exclusions
from intouch_import.repositories.sql import SqlRepository
from intouch_import.settings import Settings

SKIPPED = [
    "#snapshot", "#recycle", "@Recycle", "@Recently-Snapshot", "@eaDir", "@EADIR", "~snapshot", "@tmp", ".snapshot",
    "FOUND.000", "found.017", "RECYCLED", "RECYCLER", "$RECYCLE.BIN", "System Volume Information", ".Trash-1000",
    ".Trashes", ".thumbnails", ".dropbox.cache", ".stfolder", ".stversions", ".sync", "lost+found", "__MACOSX",
    ".picasaoriginals", "LOST.DIR", "Network Trash Folder",
]  # fmt: skip
LEFT = [
    "Thumbs.db", "DESKTOP.INI", ".DS_Store", "._IMG_1.JPG", "Icon\r", "IMG_2.JPG:Zone.Identifier", "picasa.ini",
    "SYNOFILE_THUMB_M.jpg", ".trashed-1700000000-IMG_3.jpg", "sync.ffs_db", ".sync_f00.db-wal",
]  # fmt: skip
# Folders and files of practices: ids, names, dates, projects.
OF_PRACTICES = [
    "10042", "10042 - Marsh, Ada", "MARSH-ADA", "2019-05-02", "#10042", "@10042", "$10042", "~10042", "Found", "Foundation",
    "Found.Ada", "Recycle", "Recycling study", "Snapshot", "snapshots", "tmp", "temp", "Sync", "Trash", "Lost", "System",
    "Thumbnails", "DCIM", "100CANON", "100APPLE", "Backup", "old camera", "IMG_0001.JPG", "thumbs.jpg", "Icon.png",
    "desktop.jpg", "picasa.jpg", "sync.jpg", "10042_DRJ_20260131_142501.jpg",
]  # fmt: skip


@pytest.mark.parametrize("name", SKIPPED)
def test_folders_of_systems_are_skipped(name):
    """Folders that systems, storage servers, phones and sync programs make are skipped by default."""
    assert Exclusions().of_folder(name) is Reason.FOLDER_SKIPPED


@pytest.mark.parametrize("name", LEFT)
def test_files_of_systems_are_left_out(name):
    """Files of systems and other programs are left out by default."""
    assert Exclusions().of_file(name) is Reason.SYSTEM_FILE


@pytest.mark.parametrize("name", OF_PRACTICES)
def test_names_of_practices_are_not_excluded(name):
    """No default excludes a name that a practice could give to a folder or a photo."""
    assert Exclusions().of_folder(name) is None
    assert Exclusions().of_file(name) is None


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.bak", "IMG_1.BAK", True),
        ("*.bak", "IMG_1.bak.jpg", False),
        ("calibration-*", "Calibration-3.jpg", True),
        ("img_????_edited.jpg", "IMG_0001_edited.JPG", True),
        ("img_????_edited.jpg", "IMG_001_edited.JPG", False),
        ("*copy*of*", "A copy which is of it", True),
        ("*copy*of*", "of a copy", False),
        ("a*b*c?", "aXbYbZcc", True),
        ("a*b*c?", "aXbYc", False),
        ("Prüfung*", "PRÜFUNG 1.jpg", True),
        ("Pru\N{COMBINING DIAERESIS}fung*", "Pr\N{LATIN SMALL LETTER U WITH DIAERESIS}fung 2.jpg", True),
    ],
)
def test_patterns_compare_names(pattern, name, matches):
    """Letter case and the form of letters do not matter; a star stands for any text, ? for one character."""
    assert (Exclusions([pattern]).of_file(name) is Reason.EXCLUDED) is matches
    assert (Exclusions([f"{pattern}/"]).of_folder(name) is Reason.EXCLUDED) is matches
    assert Exclusions([pattern]).of_folder(name) is None


def test_own_patterns_settle_what_the_defaults_skip():
    """A name that a practice excludes itself has the reason `excluded`, also if a default excludes it too."""
    own = Exclusions(["@eaDir/", ".*/", "thumbs.db"])
    assert [own.of_folder("@eaDir"), own.of_folder(".picasaoriginals")] == [Reason.EXCLUDED] * 2
    assert own.of_file("Thumbs.db") is Reason.EXCLUDED
    assert own.of_folder("#recycle") is Reason.FOLDER_SKIPPED


def test_defaults_can_be_replaced():
    """Without the defaults, only the own patterns apply; hidden folders are skipped all the same."""
    own = Exclusions(["Old/"], defaults=False)
    assert [own.of_folder("@eaDir"), own.of_file("Thumbs.db")] == [None, None]
    assert own.of_folder(".Trashes") is Reason.FOLDER_SKIPPED
    assert Exclusions.from_dict(own.to_dict()) == own


@pytest.mark.parametrize("pattern", ["", " ", "/", "*", "*/", "*.*", "?*", "a/b", "a\\b", "x" * 201, 5])
def test_patterns_that_exclude_everything_are_refused(pattern):
    """A pattern that is no name, or that would exclude every name, is a mistake in the settings."""
    with pytest.raises(ConfigError, match="exclude"):
        Exclusions([pattern])


def test_one_text_is_one_pattern():
    """A single pattern may be given without a list, and is not read as its letters."""
    assert Exclusions("*.bak").patterns == ("*.bak",)


def test_hostile_names_take_no_time():
    """The time for one name grows with its length only, whatever stars a pattern has."""
    hostile = Exclusions(["*a" * 90 + "b"])
    begun = time.perf_counter()
    assert hostile.of_file("a" * 255) is None
    assert time.perf_counter() - begun < 1


def test_an_excluded_file_is_ignored_in_the_list(tmp_path):
    """An inbox lists an excluded file as ignored, with the reason, and counts it."""
    (tmp_path / "calibration-1.jpg").write_bytes(b"x")
    records = SqlRepository.open("sqlite://", files=str(tmp_path / ".files"))
    with Inbox(records, open_source(tmp_path, exclude=["calibration-*"]), settle_s=0) as inbox:
        report = inbox.refresh()
        assert [(row.name, row.reason) for row in inbox.rows if row.verdict.reason is Reason.EXCLUDED] == [
            ("calibration-1.jpg", Reason.EXCLUDED)
        ]
    assert report.closes
    assert report.ignored == 2  # the folder of the records, too


def test_settings_exclude_names_in_all_folders_of_a_provider(tmp_path):
    """The patterns of the practice and of the provider apply to the sources that the settings open."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "clinic.toml").write_text(
        """
        practice.exclude = ["*.bak"]
        practice.exclude_defaults = false
        provider.DRJ = {local_folder = "photos", exclude = ["calibration-*"]}
        operator.reception.locations = ["local"]
        """
    )
    with Settings.load(tmp_path / "clinic.toml").open_sources() as (source,):
        assert source.exclusions == Exclusions(["*.bak", "calibration-*"], defaults=False)


def test_a_plan_does_not_look_into_excluded_folders(tmp_path):
    """A plan has one row for a folder that is not looked into, and lists nothing in it.

    A folder that the caller excluded is settled; one that a default excludes is an open point.
    """
    for folder in ("", "@eaDir/", "FOUND.000/", "Old exports/", "Old exports/deeper/"):
        (tmp_path / "archive" / "1001" / folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (len(folder), 9, 9)).save(
            tmp_path / "archive" / "1001" / folder / "IMG_1.jpg"
        )
    records = SqlRepository.open(f"sqlite:///{tmp_path}/clinic.db", files=str(tmp_path / "files"))
    records.add_patient(Patient(id="1001", name="A"))
    made = {}
    for number, exclude in enumerate([["old EXPORTS/"], ["old exports/", "@eadir/", "found.0*/"]]):
        archive, rule = tmp_path / "archive", migration.FolderRule("{patient}")
        plan = migration.plan(
            archive, rule, records, to=tmp_path / f"plan{number}", mode="copy", zone="UTC", exclude=exclude
        )
        rows = {row.path: row.reason for row in plan.rows()}
        made[number] = (rows, plan.run(records).wait().certificate)
    rows, certificate = made[0]
    assert rows == {
        "1001/IMG_1.jpg": Reason.FOLDER_NAME,
        "1001/Old exports": Reason.EXCLUDED,
        "1001/@eaDir": Reason.FOLDER_SKIPPED,
        "1001/FOUND.000": Reason.FOLDER_SKIPPED,
    }
    assert "2 hidden or system folders" in str(certificate.open_points)
    rows, certificate = made[1]
    assert list(rows.values()).count(Reason.EXCLUDED) == 3
    assert certificate.closes
    assert {"outcome": "ignored", "reason": "excluded", "text": Reason.EXCLUDED.text, "files": 3} in (
        certificate.values["reasons"]
    )


def test_an_archive_that_was_opened_with_patterns_is_planned_with_them(tmp_path):
    """The patterns of an opened source apply to a plan of it, and the plan can be run again without them."""
    (tmp_path / "archive" / "Old").mkdir(parents=True)
    records = SqlRepository.open(f"sqlite:///{tmp_path}/clinic.db", files=str(tmp_path / "files"))
    options = {"exclude": ["old/"]}
    sources = [open_source(tmp_path / "archive", **options), migration.Archive(tmp_path / "archive", options)]
    for number, source in enumerate(sources):
        plan = migration.plan(source, migration.PatientRule("1"), records, to=tmp_path / str(number))
        assert [row.reason for row in plan.rows()] == [Reason.EXCLUDED]
        assert plan.header.exclude == {"patterns": ["old/"], "defaults": True}
        assert migration.open_plan(tmp_path / str(number)).header.archive is not None


def test_defaults_are_valid():
    """Every default is a pattern that a practice could write, and there is none twice."""
    assert Exclusions(DEFAULT_EXCLUSIONS).patterns == DEFAULT_EXCLUSIONS
    assert len({one.lower() for one in DEFAULT_EXCLUSIONS}) == len(DEFAULT_EXCLUSIONS)
