"""Reports: one outcome per file, and counts that add up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.model import ContentCheck, Reason, State, printable
from intouch_import.secret import pseudonym

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.model import StoredAttachment

__all__ = ["LEDGER", "RECORDS", "Outcome", "Problem", "Report"]

RECORDS: Final = "records"
"""`Problem.location` of a problem of the patient records."""

LEDGER: Final = "ledger"
"""`Problem.location` of a problem of the ledger."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What happened to one file.

    Args:
        name: File name.
        source_id: Id of the source that has listed the file.
        state: What happened to the file.
        reason: Why; ``reason.text`` is a sentence.
        import_id: Import id of the file; None if it is ignored.
        attachment_id: The repository's id of the attachment, once the file is stored.
        retry_helps: Whether trying again later may succeed without a change by a person.
        content: The result of checking the bytes; None if they were not checked. It does not prevent the
            import of a file that a person has chosen.
        sha256: Digest of the bytes, if they were read.
        duplicate_of: Id of an attachment with the same bytes that was stored before: in another patient's
            record if there is one, else in this patient's.
        duplicate_elsewhere: Whether that attachment is in another patient's record.
        companions: After an undo or a reassignment: the outcomes of the files that belong to this one.
    """

    name: str = attrs.field(repr=pseudonym)
    source_id: str
    state: State
    reason: Reason
    import_id: str | None = None
    attachment_id: str | None = None
    retry_helps: bool = False
    content: ContentCheck | None = None
    sha256: str | None = None
    duplicate_of: str | None = None
    duplicate_elsewhere: bool = False
    companions: tuple[Outcome, ...] = ()

    @classmethod
    def about(
        cls, stored: StoredAttachment, state: State, reason: Reason, *, retry_helps: bool = False
    ) -> Outcome:
        """Return the outcome of a file that is, or was, in a record."""
        return cls(
            name=stored.name,
            source_id=stored.source_id,
            state=state,
            reason=reason,
            import_id=stored.import_id,
            attachment_id=stored.id,
            retry_helps=retry_helps,
            sha256=stored.sha256,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON values, with a printable name."""
        return {
            "name": printable(self.name),
            "source_id": self.source_id,
            "state": self.state.value,
            "reason": self.reason.value,
            "text": self.reason.text,
            "import_id": self.import_id,
            "attachment_id": self.attachment_id,
            "retry_helps": self.retry_helps,
            "content": None
            if self.content is None
            else {
                "kind": self.content.kind,
                "soundness": self.content.soundness.value,
                "doubt": self.content.doubt.value if self.content.doubt is not None else None,
                "text": self.content.text,
            },
            "sha256": self.sha256,
            "duplicate_of": self.duplicate_of,
            "duplicate_elsewhere": self.duplicate_elsewhere,
            **({"companions": [one.to_dict() for one in self.companions]} if self.companions else {}),
        }


@attrs.frozen(kw_only=True)
class Problem:
    """A location that failed, while the other locations continued; or the patient records, or the ledger.

    Args:
        source_id: Id of the source; empty if the problem is not about a source.
        location: Kind of the location; ``"records"`` for the patient records, ``"ledger"`` for the ledger.
        text: What happened, in a sentence without paths or names.
        retry_helps: Whether the next refresh may succeed without a change by a person.
        sign_in: Whether a person must sign in first.
    """

    source_id: str
    location: str
    text: str
    retry_helps: bool = True
    sign_in: bool = False


@attrs.frozen(kw_only=True)
class Report:
    """The result of a refresh or a save.

    Args:
        outcomes: One for every file that was listed (by a refresh) or chosen (for a save).
        problems: One for every location that failed, for the records and for the ledger.
        listed: Number of files that were listed or chosen.
    """

    outcomes: Sequence[Outcome] = ()
    problems: tuple[Problem, ...] = ()
    listed: int = 0
    _counted: Counter[State] = attrs.field(factory=Counter, init=False, eq=False)

    def _count(self, *states: State) -> int:
        if not self._counted and self.outcomes:
            states_of = getattr(self.outcomes, "states", None)
            self._counted.update(
                states_of() if states_of is not None else (outcome.state for outcome in self.outcomes)
            )
        return sum(self._counted[state] for state in states)

    @property
    def imported(self) -> int:
        """Number of files that are now in a patient's record, including those still in their source."""
        return self._count(State.IMPORTED, State.STORED)

    @property
    def stored(self) -> int:
        """Number of imported files that are still in their source; the next refresh removes them."""
        return self._count(State.STORED)

    @property
    def waiting(self) -> int:
        """Number of files that wait for a person, or are still arriving."""
        return self._count(State.WAITING)

    @property
    def ignored(self) -> int:
        """Number of entries that are neither photos nor documents."""
        return self._count(State.IGNORED)

    @property
    def failed(self) -> int:
        """Number of files that should have been imported and were not."""
        return self._count(State.FAILED)

    @property
    def closes(self) -> bool:
        """Whether the counts add up: listed = imported + waiting + ignored + failed."""
        return self.listed == self.imported + self.waiting + self.ignored + self.failed

    def __repr__(self) -> str:
        return f"<Report {self}>"

    def __str__(self) -> str:
        counts = f"{self.listed} listed = {self.imported} imported + {self.waiting} waiting"
        counts += f" + {self.ignored} ignored + {self.failed} failed"
        return counts + (f"; {len(self.problems)} problem(s)" if self.problems else "")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "listed": self.listed,
            "imported": self.imported,
            "stored_not_removed": self.stored,
            "waiting": self.waiting,
            "ignored": self.ignored,
            "failed": self.failed,
            "closes": self.closes,
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
            "problems": [attrs.asdict(problem) for problem in self.problems],
        }
