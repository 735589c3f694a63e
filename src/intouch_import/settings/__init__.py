"""The settings of a practice: from files, from environment variables, or made in code."""

from intouch_import.settings.secret_refs import SecretReference
from intouch_import.settings.sections import OperatorSettings, PracticeSettings, ProviderSettings
from intouch_import.settings.settings import Settings

__all__ = ["OperatorSettings", "PracticeSettings", "ProviderSettings", "SecretReference", "Settings"]
