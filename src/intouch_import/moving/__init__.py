"""The move: from a source into a patient's record. Only this package may remove a source file (in `steps`).

For every file, in this order; a step begins only when the step above it has succeeded::

    fetch    read the pinned version, hashing                    (in threads)
    check    is the content what the name says, and whole?       only automatic imports wait
    compare  are these bytes in a record already?                in the transaction that stores
    store    repository.add, idempotent on the import id         one transaction per batch
    verify   read back what was stored, compare digests          (in threads)
    ledger   "stored"                                            one write per batch
    remove   only if the version is still the one that was read  (in threads)
    ledger   "moved"                                             one write per batch

A crash between any two steps leaves the file in its source, or verified in the repository, or both. The next
refresh finds its import id stored, and finishes the move with the same steps.
"""

from intouch_import.moving.file_move import MoveOrder
from intouch_import.moving.mover import Mover

__all__ = ["MoveOrder", "Mover"]
