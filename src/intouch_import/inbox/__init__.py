"""The list of files that wait, and what staff do with it."""

from intouch_import.inbox.inbox import Inbox
from intouch_import.inbox.rows import Job, Row
from intouch_import.inbox.watching import Changes, Pace, Watch

__all__ = ["Changes", "Inbox", "Job", "Pace", "Row", "Watch"]
