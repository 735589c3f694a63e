"""The ledger: append-only, who moved what, when, from where, to whom, with which outcome."""

from intouch_import.ledger.book import Ledger, ledger_for
from intouch_import.ledger.entry import Event, LedgerEntry

__all__ = ["Event", "Ledger", "LedgerEntry", "ledger_for"]
