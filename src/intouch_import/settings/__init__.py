"""What a practice sets: in files, in the environment, or in code."""

from intouch_import.settings.model import OperatorSettings, PracticeSettings, ProviderSettings, Settings
from intouch_import.settings.references import SecretReference

__all__ = ["OperatorSettings", "PracticeSettings", "ProviderSettings", "SecretReference", "Settings"]
