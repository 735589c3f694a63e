"""The ledger: an append-only record of who moved which file, when, from where, to which patient."""

from intouch_import.ledger.book import Ledger
from intouch_import.ledger.entry import Event, LedgerEntry
from intouch_import.ledger.opening import ledger_for

__all__ = ["Event", "Ledger", "LedgerEntry", "ledger_for"]
