"""The three sections of the settings: practice, providers and operators.

Add a setting here, and only here: `Settings.load`, ``intouch-import settings`` and the reference page read
these classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.filenames import DEFAULT_PATTERN
from intouch_import.settings import formats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intouch_import.secret import Secret
    from intouch_import.settings.formats import Format
    from intouch_import.settings.secret_refs import SecretReference

__all__ = [
    "SECTIONS",
    "OperatorSettings",
    "PracticeSettings",
    "ProviderSettings",
    "format_of",
    "sections_by_name",
]

_EXCLUDE: Final = (
    "Names of files, and of folders of an archive, that are never imported, besides the names that are "
    "excluded by default. * stands for any text, ? for one character; names of folders end with /."
)
_LOCAL_ID: Final = (
    "A name for that folder, the same on all workstations, in case they reach it by different paths. "
    "Never change it: import ids are derived from it."
)


def _setting(form: Format, meaning: str, example: str, *, default: Any = None, needs: str = "") -> Any:
    """Define one setting.

    Args:
        form: The format of its value.
        meaning: What it does, in a sentence or two, for the people who fill in the file.
        example: A value as it is written in TOML.
        default: The value if it is not set.
        needs: Another key of the same section, without which the setting makes no sense.
    """
    metadata = {"format": form, "meaning": meaning, "example": example, "needs": needs}
    return attrs.field(default=default, converter=form, repr=False, metadata=metadata)


def format_of(field: attrs.Attribute[Any]) -> Format:
    """Return the format of a setting's value."""
    form: Format = field.metadata["format"]
    return form


@attrs.frozen(kw_only=True)
class PracticeSettings:
    """The settings of the whole practice, which has one database of patient records.

    The fields are the keys of a settings file. They have the same meaning and take values of the same format.

    Raises:
        ConfigError: A value does not have that format. The message does not repeat the value.
    """

    zone: str | None = _setting(
        formats.ZONE,
        "The time zone of the practice, for the times in file names. The default is that of this computer.",
        '"Australia/Sydney"',
    )
    hosted: bool = _setting(
        formats.FLAG,
        "Whether the practice is hosted in the vendor's cloud. Dropbox is then refused.",
        "false",
        default=False,
    )
    pattern: str = _setting(
        formats.PATTERN,
        "How the capture app names its files. The default is ours, not the vendor's: check it against a real "
        "file.",
        f'"{DEFAULT_PATTERN}"',
        default=DEFAULT_PATTERN,
    )
    allowed_extensions: frozenset[str] | None = _setting(
        formats.EXTENSIONS,
        "The only extensions that may be imported, in upper or lower case. Files with other extensions wait "
        "in the list, with the reason. By default all are allowed. "
        f'"{formats.EXTERNAL_FILES}" means the list of the reference product.',
        f'["{formats.EXTERNAL_FILES}", ".heic"]',
    )
    exclude: tuple[str, ...] = _setting(formats.EXCLUDE, _EXCLUDE, '["*.bak", "Old exports/"]', default=())
    exclude_defaults: bool = _setting(
        formats.FLAG,
        "Whether the names are excluded that systems, storage servers and sync programs give to their own "
        "files and folders.",
        "true",
        default=True,
    )
    settle_s: float = _setting(
        formats.SECONDS,
        "How long the size and time of a file must stay the same before it counts as complete, in seconds.",
        "2.0",
        default=2.0,
    )
    records: Secret | SecretReference | None = _setting(
        formats.RECORDS,
        "The database of the reference patient records, for the command line. A host has its own records.",
        '"sqlite:///clinic.db"',
    )
    files: str | None = _setting(
        formats.FILES,
        "Where the reference patient records keep their files: a folder, or an fsspec URL. The default is a "
        "folder beside the SQLite database, named after it (clinic-files for clinic.db).",
        '"clinic-files"',
    )
    log_dir: str | None = _setting(
        formats.LOCAL_FOLDER,
        "The folder for logs of failed connections: MailCenter_Dropbox.log, MailCenter_OneDrive.log.",
        '"logs"',
    )
    azure_account: str | None = _setting(
        formats.ACCOUNT,
        "The storage account of the practice. Each provider has a container in it.",
        '"clinicphotos"',
    )
    azure_key: Secret | SecretReference | None = _setting(
        formats.SECRET,
        "The key of that account. It opens every container: an azure_sas for each provider is safer.",
        '{ env = "CLINIC_AZURE_KEY" }',
        needs="azure_account",
    )
    azure_identity: bool = _setting(
        formats.FLAG,
        "Use the Azure identity of this computer or user (azure-identity) instead of a key.",
        "false",
        default=False,
        needs="azure_account",
    )
    azure_endpoint: str | None = _setting(
        formats.ENDPOINT,
        "The address of the blob service, if it is not in the public cloud.",
        '"https://clinicphotos.blob.core.chinacloudapi.cn"',
    )


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """The settings of one provider (a doctor): the folders that contain only this provider's files.

    The fields work as in `PracticeSettings`.

    Raises:
        ConfigError: As in `PracticeSettings`.
    """

    azure_container: str | None = _setting(
        formats.CONTAINER, "The provider's own container in the practice's storage account.", '"drjones"'
    )
    azure_folder: str = _setting(
        formats.FOLDER,
        "The folder in that container. The default is the container itself.",
        '"/photos"',
        default="/",
        needs="azure_container",
    )
    azure_sas: Secret | SecretReference | None = _setting(
        formats.SECRET,
        "A shared access signature that can list, read, write and delete in this container only. It is used "
        "instead of the account's key.",
        '{ keyring = "intouch-azure/drjones" }',
        needs="azure_container",
    )
    onedrive_app_id: str | None = _setting(
        formats.WORD,
        "The App ID (client ID) that was registered for the provider's OneDrive.",
        '"11111111-2222-3333-4444-555555555555"',
    )
    onedrive_secret: Secret | SecretReference | None = _setting(
        formats.SECRET,
        "The secret of that app, if it has one.",
        '{ keyring = "intouch-onedrive/drjones" }',
        needs="onedrive_app_id",
    )
    onedrive_folder: str | None = _setting(
        formats.FOLDER,
        "The folder in the provider's OneDrive. The default is its root.",
        '"/images/intouch"',
        needs="onedrive_app_id",
    )
    dropbox_app_key: str | None = _setting(
        formats.WORD, "The key of the Dropbox app that the provider signs in to.", '"a1b2c3d4e5f6g7h"'
    )
    dropbox_folder: str | None = _setting(
        formats.FOLDER,
        "The folder in the provider's Dropbox. The default is its root.",
        '"/apps/intouch"',
        needs="dropbox_app_key",
    )
    local_folder: str | None = _setting(
        formats.LOCAL_FOLDER,
        "The provider's own local or network folder. A relative path starts at this file's folder.",
        '"photos/drjones"',
    )
    local_id: str | None = _setting(
        formats.WORD, _LOCAL_ID, '"practice-photos-drjones"', needs="local_folder"
    )

    exclude: tuple[str, ...] = _setting(
        formats.EXCLUDE,
        "Further names that are excluded in the folders of this provider.",
        '["calibration-*"]',
        default=(),
    )


@attrs.frozen(kw_only=True)
class OperatorSettings:
    """The settings of one operator (a member of staff): the folders in this person's list.

    The fields work as in `PracticeSettings`.

    Raises:
        ConfigError: As in `PracticeSettings`.
    """

    locations: tuple[str, ...] = _setting(
        formats.LOCATIONS,
        f"Which locations are on, one or several: {', '.join(formats.LOCATION_NAMES)}.",
        '["local", "azure"]',
        default=(),
    )
    auto_import: bool = _setting(
        formats.FLAG,
        "Whether files whose names identify the patient are imported automatically.",
        "true",
        default=True,
    )
    local_folder: str | None = _setting(
        formats.LOCAL_FOLDER,
        "The local or network folder of this operator, used instead of the provider's. "
        "It may contain the files of all providers.",
        '"photos"',
    )
    local_id: str | None = _setting(formats.WORD, _LOCAL_ID, '"practice-photos"', needs="local_folder")
    onedrive_folder: str | None = _setting(
        formats.FOLDER, "The folder in OneDrive, used instead of the provider's.", '"/images/intouch"'
    )
    dropbox_folder: str | None = _setting(
        formats.FOLDER, "The folder in Dropbox, used instead of the provider's.", '"/apps/intouch"'
    )


SECTIONS: Final[Mapping[str, type[attrs.AttrsInstance]]] = {
    "practice": PracticeSettings,
    "provider": ProviderSettings,
    "operator": OperatorSettings,
}
"""The tables of a settings file. ``provider`` and ``operator`` contain one table for each id."""


def sections_by_name(
    practice: PracticeSettings,
    providers: Mapping[str, ProviderSettings],
    operators: Mapping[str, OperatorSettings],
) -> dict[str, attrs.AttrsInstance]:
    """Return all sections by dotted name: ``practice``, ``provider.DRJ``, ``operator.reception``."""
    return {
        "practice": practice,
        **{f"provider.{one}": section for one, section in providers.items()},
        **{f"operator.{one}": section for one, section in operators.items()},
    }
