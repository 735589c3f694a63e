"""The list of files that wait, and what staff do with it."""

from intouch_import.inbox.doubts import Doubt, DoubtKind, Evidence, Severity
from intouch_import.inbox.duplicates import Duplicate
from intouch_import.inbox.inbox import Inbox
from intouch_import.inbox.rows import Row, RowGroup
from intouch_import.inbox.save_request import SaveRequest
from intouch_import.inbox.watch import Changes, Pace, Watch

__all__ = [
    "Changes",
    "Doubt",
    "DoubtKind",
    "Duplicate",
    "Evidence",
    "Inbox",
    "Pace",
    "Row",
    "RowGroup",
    "SaveRequest",
    "Severity",
    "Watch",
]
