"""The list of files that wait, and what staff do with it."""

from intouch_import.inbox.inbox import Inbox
from intouch_import.inbox.rows import Row
from intouch_import.inbox.save_request import Duplicate, SaveRequest
from intouch_import.inbox.watch import Changes, Pace, Watch

__all__ = ["Changes", "Duplicate", "Inbox", "Pace", "Row", "SaveRequest", "Watch"]
