"""Deleting many files in one request: what the vendor asks for in place of many at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from intouch_import.errors import InTouchImportError
from intouch_import.sources.dropbox.account import Doubt, check_deleted, failed
from intouch_import.sources.dropbox.faults import Busy, Misunderstood, Refused, Unanswered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.model import SourceFile
    from intouch_import.sources.dropbox.account import Account

__all__ = ["delete_together"]

_FIRST_LOOK_S: Final = 0.02
_RARELY_S: Final = 2.0
_LONGEST_S: Final = 600.0


def delete_together(account: Account, files: Sequence[tuple[str, SourceFile]]) -> list[Exception | None]:
    """Delete one version of each file.

    Args:
        account: Where.
        files: Paths, and the files as they were listed.

    Returns:
        For each file None, or what `Account.delete` would have raised.
    """
    doubt = Doubt()
    ends: dict[int, Exception | None] = {}
    left = list(range(len(files)))

    def attempt() -> None:
        answers = _run_job(account, [files[number] for number in left], doubt)
        for number, answer in zip(list(left), answers, strict=True):
            refusal = _refusal(answer)
            if refusal is not None and refusal.says("too_many_write_operations"):
                continue  # not its turn yet: it is asked for again with the others that are left
            ends[number] = _end(account, *files[number], answer, refusal, doubt)
            del left[left.index(number)]
        if left:
            raise Busy

    try:
        account.ask(attempt)
    except InTouchImportError as exc:
        return [ends.get(number, exc) for number in range(len(files))]
    except (Unanswered, Busy, Refused, Misunderstood):
        # No job, or no end of it: each of those that are left by itself.
        doubt.cast = True
        for number in left:
            ends[number] = _alone(account, *files[number], doubt)
    return [ends[number] for number in range(len(files))]


def _run_job(account: Account, files: Sequence[tuple[str, SourceFile]], doubt: Doubt) -> list[Any]:
    """Ask for a job, and wait for its end.

    Returns:
        An answer per file, in order.
    """
    entries = [{"path": path, "parent_rev": file.version} for path, file in files]
    job = None
    try:
        said = account.client.call("files/delete_batch", {"entries": entries})
        ends_s, pause_s = time.monotonic() + _LONGEST_S, _FIRST_LOOK_S
        while isinstance(said, dict) and said.get(".tag") in {"async_job_id", "in_progress"}:
            job = said.get("async_job_id") or job
            if time.monotonic() > ends_s:
                raise Unanswered
            said = account.read("files/delete_batch/check", {"async_job_id": job})
            if isinstance(said, dict) and said.get(".tag") == "in_progress":
                time.sleep(pause_s)
                pause_s = min(_RARELY_S, 2 * pause_s)
    except (Unanswered, Busy):
        doubt.cast = True
        raise
    match said:
        case {".tag": "complete", "entries": list(answers)} if len(answers) == len(files):
            return answers
    doubt.cast = True
    raise Unanswered


def _refusal(answer: Any) -> Refused | None:
    match answer:
        case {".tag": "failure", "failure": dict(error)}:
            return Refused(error)
    return None


def _end(
    account: Account, path: str, file: SourceFile, answer: Any, refusal: Refused | None, doubt: Doubt
) -> Exception | None:
    try:
        if refusal is None:
            check_deleted(answer, file)
        else:
            unclear = Doubt()
            unclear.cast = doubt.cast or not refusal.says("path_lookup", "path_write")
            account.settle_deletion(path, file, refusal, unclear)
    except InTouchImportError as exc:
        return exc
    return None


def _alone(account: Account, path: str, file: SourceFile, doubt: Doubt) -> Exception | None:
    try:
        account.delete(path, file, doubt)
    except InTouchImportError as exc:
        return exc
    except (Unanswered, Busy, Refused, Misunderstood) as exc:
        return failed(exc, "whether the file is gone is not known")
    return None
