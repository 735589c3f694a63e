"""Which folders and files are never imported, by their names. Pure: names in, a reason out.

A pattern is a name, in upper or lower case. ``*`` stands for any text, ``?`` for one character. A pattern
that ends with ``/`` is for folders, any other pattern is for files. The work for one name is bounded by the
lengths of the name and the patterns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import ConfigError
from intouch_import.model import normal_form
from intouch_import.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DEFAULT_EXCLUSIONS", "Exclusions", "check_pattern"]

_MAX_LENGTH: Final = 200

DEFAULT_EXCLUSIONS: Final = (
    # Windows, and the disk checks of DOS.
    "$RECYCLE.BIN/", "RECYCLED/", "RECYCLER/", "System Volume Information/", "MSOCache/", "FOUND.0??/",
    "Thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "*:Zone.Identifier", "*.lnk",
    # macOS: on its own disks, and what it writes to network shares and into archives.
    ".Trash/", ".Trashes/", ".Spotlight-V100/", ".fseventsd/", ".TemporaryItems/", ".DocumentRevisions-V100/",
    ".AppleDouble/", ".AppleDB/", ".AppleDesktop/", "Network Trash Folder/", "Temporary Items/",
    "TheVolumeSettingsFolder/", "TheFindByContentFolder/", "__MACOSX/",
    ".DS_Store", "._*", ".localized", ".apdisk", ".VolumeIcon.icns", "Icon\r",
    # Linux desktops and file systems.
    ".Trash-*/", "lost+found/", ".thumbnails/", ".directory", ".nfs*", ".fuse_hidden*",
    # Storage servers: Synology, QNAP, Western Digital, NetApp, ZFS, Samba, Btrfs.
    "@eaDir/", "#recycle/", "#snapshot/", "@tmp/", "@sharebin/", "@SynoDrive/", ".SynologyWorkingDirectory/",
    "SYNOFILE_THUMB_*", "SYNOPHOTO_THUMB_*", "SYNOVIDEO_THUMB_*", "*@SynoEAStream", "*@SynoResource",
    "@Recycle/", "@Recently-Snapshot/", ".@__thumb/", ".@__comp/", ".@__qini/", ".@upload_cache/",
    ".streams/", ".wdmc/", ".wdcache/", "~snapshot/", ".snapshot/", ".snapshots/", ".zfs/", ".recycle/",
    # Phones and cameras.
    "LOST.DIR/", ".trashed-*", ".pending-*", ".nomedia",
    # Programs that synchronise folders: Dropbox, Syncthing, Resilio, Google Drive, Nextcloud, FreeFileSync.
    ".dropbox.cache/", ".dropbox", ".dropbox.attr", ".stfolder/", ".stversions/", ".stignore", ".sync/",
    ".tmp.driveupload/", ".tmp.drivedownload/", ".owncloudsync.log", ".sync_*",
    "sync.ffs_db", ".sync.ffs_db", "sync.ffs_lock",
    # Programs that show photos.
    "Picasa.ini", "ZbThumbnail.info",
)  # fmt: skip
"""The names that systems, storage servers, phones and programs give to their own folders and files."""


def check_pattern(pattern: str) -> str:
    """Return a pattern unchanged.

    Raises:
        ConfigError: It can't be used. The message does not repeat the pattern.
    """
    name = pattern.removesuffix("/")
    if not name.strip():
        raise ConfigError("an exclude pattern is empty")
    if len(name) > _MAX_LENGTH:
        raise ConfigError(f"an exclude pattern is longer than {_MAX_LENGTH} characters")
    if "/" in name or "\\" in name:
        raise ConfigError("an exclude pattern is one name, not a path; only a folder's pattern ends with /")
    if name[0] in "*?" and not set(name) - set("*?."):
        raise ConfigError("an exclude pattern consists of wildcards alone: it would exclude everything")
    return pattern


def _patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    given = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    if not all(isinstance(pattern, str) for pattern in given):
        raise ConfigError("exclude patterns are texts")
    return tuple(map(check_pattern, given))


@attrs.frozen
class Exclusions:
    """The patterns of folders and files that are not imported.

    Args:
        patterns: The patterns of the practice, such as ``"*.bak"`` or ``"Old exports/"``.
        defaults: Whether `DEFAULT_EXCLUSIONS` apply too. Hidden folders and files are never imported.

    Raises:
        ConfigError: A pattern can't be used.
    """

    patterns: tuple[str, ...] = attrs.field(default=(), converter=_patterns, repr=False)
    defaults: bool = attrs.field(default=True, kw_only=True)
    _own: _Compiled | None = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: _compiled(self.patterns) if self.patterns else None, takes_self=True
        ),
    )

    def of_folder(self, name: str) -> Reason | None:
        """Return why a folder is not looked into; None if it is."""
        folded = _folded(name)
        if self._own is not None and self._own.folders.match(folded):
            return Reason.EXCLUDED
        if name.startswith(".") or (self.defaults and _DEFAULTS.folders.match(folded)):
            return Reason.FOLDER_SKIPPED
        return None

    def of_file(self, name: str) -> Reason | None:
        """Return why a file is not imported, whatever it is; None if that depends on the file.

        Hidden files are not among them: `intouch_import.verdicts.screen` finds them.
        """
        folded = _folded(name)
        if self._own is not None and self._own.files.match(folded):
            return Reason.EXCLUDED
        if self.defaults and _DEFAULTS.files.match(folded):
            return Reason.SYSTEM_FILE
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the patterns as JSON values."""
        return {"patterns": list(self.patterns), "defaults": self.defaults}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Exclusions:
        """Make exclusions from what `to_dict` returned."""
        return cls(values["patterns"], defaults=values["defaults"])


class _Matcher:
    """Patterns of one kind: whole names, beginnings and endings are compared at once, the others in turn."""

    def __init__(self, patterns: Iterable[str]) -> None:
        folded = {_folded(pattern) for pattern in patterns}
        simple = {one for one in folded if "?" not in one and one.count("*") <= 1}
        self._names = frozenset(one for one in simple if "*" not in one)
        self._starts = tuple(one[:-1] for one in simple if one.endswith("*"))
        self._ends = tuple(one[1:] for one in simple if one.startswith("*"))
        known = self._names | {f"{one}*" for one in self._starts} | {f"*{one}" for one in self._ends}
        self._others = tuple(folded - known)

        # Most names of a listing match nothing: one letter at each end shows it.
        self._first = frozenset(one[0] for one in self._starts)
        self._last = frozenset(one[-1] for one in self._ends)

    def match(self, folded: str) -> bool:
        return (
            folded in self._names
            or (folded[:1] in self._first and folded.startswith(self._starts))
            or (folded[-1:] in self._last and folded.endswith(self._ends))
            or (bool(self._others) and any(_matches(folded, pattern) for pattern in self._others))
        )


@attrs.frozen
class _Compiled:
    folders: _Matcher
    files: _Matcher


def _compiled(patterns: tuple[str, ...]) -> _Compiled:
    return _Compiled(
        folders=_Matcher(one.removesuffix("/") for one in patterns if one.endswith("/")),
        files=_Matcher(one for one in patterns if not one.endswith("/")),
    )


def _folded(name: str) -> str:
    """Return a name without the differences that file systems make: letter case, and composed letters."""
    return name.lower() if name.isascii() else normal_form("NFC", name.casefold())


def _matches(name: str, pattern: str) -> bool:
    """Return whether a name matches a pattern, in at most ``len(name) * len(pattern)`` steps."""
    at, place, star, begun = 0, 0, -1, 0
    while at < len(name):
        if place < len(pattern) and pattern[place] == "*":
            star, begun = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", name[at]):
            at, place = at + 1, place + 1
        elif star >= 0:  # the last star takes one more character; an earlier star never needs to
            begun += 1
            at, place = begun, star + 1
        else:
            return False
    return not pattern[place:].strip("*")


_DEFAULTS: Final = _compiled(DEFAULT_EXCLUSIONS)
