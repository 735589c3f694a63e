"""The list of files that wait, and what staff do with it."""

from intouch_import.inbox.inbox import Inbox
from intouch_import.inbox.rows import Job, Row

__all__ = ["Inbox", "Job", "Row"]
