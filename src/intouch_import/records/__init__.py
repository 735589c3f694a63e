"""Records: prove that what was stored is still there, back it up, and check a backup that was restored."""

from intouch_import.records.verify import Finding, RecordsReport, accept_missing, verify_records
from intouch_import.repositories.stored_bytes import StoredBytes

__all__ = ["Finding", "RecordsReport", "StoredBytes", "accept_missing", "verify_records"]
