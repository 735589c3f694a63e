"""The settings of a practice, its providers and its operators.

The classes are what `Settings.load`, ``intouch-import settings`` and the reference page are made from: a
setting is added here, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.filenames import DEFAULT_PATTERN
from intouch_import.secret import Secret
from intouch_import.settings import fields
from intouch_import.settings.secret_refs import SecretReference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from intouch_import.settings.fields import Rule

__all__ = [
    "SECTIONS",
    "OperatorSettings",
    "PracticeSettings",
    "ProviderSettings",
    "rule_of",
]

SecretSetting = Secret | SecretReference  # resolved at run time by typed-settings


def _setting(rule: Rule, meaning: str, example: str, *, default: Any = None) -> Any:
    """One setting.

    Args:
        rule: What its value must be.
        meaning: What it is for, in a sentence or two, for people who fill in the file.
        example: A value, as it is written in TOML.
        default: What holds when it is not set.
    """
    return attrs.field(
        default=default, converter=rule, metadata={"rule": rule, "meaning": meaning, "example": example}
    )


def rule_of(field: attrs.Attribute[Any]) -> Rule:
    """What the value of a setting must be."""
    rule: Rule = field.metadata["rule"]
    return rule


@attrs.frozen(kw_only=True, repr=False)
class PracticeSettings:
    """What holds for the practice as a whole: one database of patient records.

    The fields are the keys of a settings file, and mean what they mean there. Each takes a value of the same
    form.

    Raises:
        ConfigError: A value is not of that form. It is not repeated in the message.
    """

    zone: str | None = _setting(
        fields.ZONE,
        "The time zone of the practice, in which capture names are read. This machine's by default.",
        '"Australia/Sydney"',
    )
    hosted: bool = _setting(
        fields.FLAG,
        "Whether the practice is hosted in the vendor's cloud. Dropbox is then refused.",
        "false",
        default=False,
    )
    pattern: str = _setting(
        fields.PATTERN,
        "How the capture app names its files. The default is ours, not the vendor's: check it against a real "
        "file.",
        f'"{DEFAULT_PATTERN}"',
        default=DEFAULT_PATTERN,
    )
    allowed_extensions: frozenset[str] | None = _setting(
        fields.EXTENSIONS,
        "The only extensions that may be imported, in any letter case; files with others wait in the list, "
        "with the reason. All are allowed by default. "
        f'"{fields.EXTERNAL_FILES}" stands for the list of the reference product.',
        f'["{fields.EXTERNAL_FILES}", ".heic"]',
    )
    settle_s: float = _setting(
        fields.SECONDS,
        "How long a file must keep its size and time to count as arrived, in seconds.",
        "2.0",
        default=2.0,
    )
    records: SecretSetting | None = _setting(
        fields.RECORDS,
        "The database of the reference patient records, for the command line. A host has records of its own.",
        '"sqlite:///clinic.db"',
    )
    files: str | None = _setting(
        fields.FILES,
        "Where the reference patient records keep their files: a folder, or an fsspec URL.",
        '"clinic-files"',
    )
    log_dir: str | None = _setting(
        fields.LOCAL_FOLDER,
        "The folder for logs of failed connections: MailCenter_Dropbox.log, MailCenter_OneDrive.log.",
        '"logs"',
    )
    azure_account: str | None = _setting(
        fields.ACCOUNT,
        "The storage account of the practice. Each provider has a container in it.",
        '"clinicphotos"',
    )
    azure_key: SecretSetting | None = _setting(
        fields.SECRET,
        "The key of that account. It opens every container: a provider's own azure_sas is the safer choice.",
        '{ env = "CLINIC_AZURE_KEY" }',
    )
    azure_identity: bool = _setting(
        fields.FLAG,
        "Use the identity that this machine or person has with Azure (azure-identity) instead of a key.",
        "false",
        default=False,
    )
    azure_endpoint: str | None = _setting(
        fields.ENDPOINT,
        "The address of the blob service, if it is not the public cloud's.",
        '"https://clinicphotos.blob.core.chinacloudapi.cn"',
    )

    def __repr__(self) -> str:
        return "<PracticeSettings>"


@attrs.frozen(kw_only=True, repr=False)
class ProviderSettings:
    """What belongs to one provider, the doctor: places that only this provider's files come from.

    The fields are as in `PracticeSettings`.

    Raises:
        ConfigError: Likewise.
    """

    azure_container: str | None = _setting(
        fields.CONTAINER, "The provider's own container in the practice's storage account.", '"drjones"'
    )
    azure_folder: str = _setting(
        fields.FOLDER,
        "The folder in that container; the container itself by default.",
        '"/photos"',
        default="/",
    )
    azure_sas: SecretSetting | None = _setting(
        fields.SECRET,
        "A shared access signature that may list, read, write and delete in this container alone. It is used "
        "instead of the account's key.",
        '{ keyring = "intouch-azure/drjones" }',
    )
    onedrive_app_id: str | None = _setting(
        fields.WORD,
        "The App ID (client id) that was registered for the provider's OneDrive.",
        '"11111111-2222-3333-4444-555555555555"',
    )
    onedrive_secret: SecretSetting | None = _setting(
        fields.SECRET, "The secret of that app, if it has one.", '{ keyring = "intouch-onedrive/drjones" }'
    )
    onedrive_folder: str | None = _setting(
        fields.FOLDER, "The folder in the provider's OneDrive; its root by default.", '"/images/intouch"'
    )
    dropbox_app_key: str | None = _setting(
        fields.WORD, "The key of the Dropbox app that the provider signs in to.", '"a1b2c3d4e5f6g7h"'
    )
    dropbox_folder: str | None = _setting(
        fields.FOLDER, "The folder in the provider's Dropbox; its root by default.", '"/apps/intouch"'
    )
    local_folder: str | None = _setting(
        fields.LOCAL_FOLDER,
        "The provider's own local or network folder. A relative path starts at this file's folder.",
        '"photos/drjones"',
    )
    local_id: str | None = _setting(
        fields.WORD,
        "A name for that folder that all workstations agree on, if they reach it by different paths. "
        "Keep it for good: import ids are derived from it.",
        '"practice-photos-drjones"',
    )

    def __repr__(self) -> str:
        return "<ProviderSettings>"


@attrs.frozen(kw_only=True, repr=False)
class OperatorSettings:
    """What belongs to one operator, a member of staff: where this person's list comes from.

    The fields are as in `PracticeSettings`.

    Raises:
        ConfigError: Likewise.
    """

    locations: tuple[str, ...] = _setting(
        fields.LOCATIONS,
        f"Which locations are on, several at once: {', '.join(fields.LOCATION_NAMES)}.",
        '["local", "azure"]',
        default=(),
    )
    auto_import: bool = _setting(
        fields.FLAG,
        "Whether files whose names say whose they are are imported without a person.",
        "true",
        default=True,
    )
    local_folder: str | None = _setting(
        fields.LOCAL_FOLDER,
        "The local or network folder of this operator, used instead of the provider's. "
        "It is nobody's in particular: files of every provider may lie in it.",
        '"photos"',
    )
    local_id: str | None = _setting(
        fields.WORD,
        "A name for that folder that all workstations agree on, if they reach it by different paths. "
        "Keep it for good: import ids are derived from it.",
        '"practice-photos"',
    )
    onedrive_folder: str | None = _setting(
        fields.FOLDER, "The folder in OneDrive, used instead of the provider's.", '"/images/intouch"'
    )
    dropbox_folder: str | None = _setting(
        fields.FOLDER, "The folder in Dropbox, used instead of the provider's.", '"/apps/intouch"'
    )

    def __repr__(self) -> str:
        return "<OperatorSettings>"


SECTIONS: Final[Mapping[str, type[attrs.AttrsInstance]]] = {
    "practice": PracticeSettings,
    "provider": ProviderSettings,
    "operator": OperatorSettings,
}
"""The tables of a settings file. ``provider`` and ``operator`` hold a table for each id."""
