"""The ledger: append-only, who moved what, when, from where, to whom, with which outcome."""

from intouch_import.ledger.book import Ledger
from intouch_import.ledger.entry import Event, LedgerEntry
from intouch_import.ledger.opening import ledger_for

__all__ = ["Event", "Ledger", "LedgerEntry", "ledger_for"]
