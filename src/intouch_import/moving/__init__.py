"""The move: from a source into a patient's record. The only room that may remove a source file (in `steps`).

For every file, in this order, and never one step before the one above it has succeeded::

    fetch    read the pinned version, hashing                    (in threads)
    check    is the content what the name says, and whole?       only automatic imports wait
    compare  are these bytes in a record already?                in the transaction that stores
    store    repository.add, idempotent on the import id         one transaction a batch
    verify   read back what was stored, compare digests          (in threads)
    ledger   "stored"                                            one write a batch
    remove   only if the version is still the one that was read  (in threads)
    ledger   "moved"                                             one write a batch

A crash between any two steps leaves the file in its source or verified in the repository, mostly both;
the next refresh finds its import id stored and finishes here, with the same steps.
"""

from intouch_import.moving.jobs import Order
from intouch_import.moving.mover import Mover
from intouch_import.moving.steps import remove_pinned

__all__ = ["Mover", "Order", "remove_pinned"]
