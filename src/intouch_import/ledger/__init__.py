"""The ledger: an append-only record of who moved which file, when, from where, to which patient."""

from intouch_import.ledger.book import Ledger, ledger_for
from intouch_import.ledger.entry import Event, LedgerEntry

__all__ = ["Event", "Ledger", "LedgerEntry", "ledger_for"]
