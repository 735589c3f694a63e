"""Files of one move that have the same bytes as each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intouch_import.copies import Copy
from intouch_import.model import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intouch_import.moving.jobs import Job

__all__ = ["doubt_rivals", "follow", "name_twins", "one_of_each"]


def doubt_rivals(jobs: Iterable[Job]) -> None:
    """Files with the same bytes that name several patients: whose they are is for a person to say."""
    named: dict[str, set[str]] = {}
    claims = [job for job in jobs if job.order.automatic]
    for job in claims:
        named.setdefault(job.digest, set()).add(job.order.patient_id)
    for job in claims:
        if len(named[job.digest]) > 1:
            job.is_copy(Copy(attachment_id=None, elsewhere=True, doubt=Reason.DUPLICATE_ELSEWHERE))


def one_of_each(jobs: Iterable[Job]) -> tuple[list[Job], list[Job]]:
    """Files to be stored now, and those that nobody looked at and whose bytes one before them has."""
    now: list[Job] = []
    later: list[Job] = []
    seen: set[str] = set()
    for job in jobs:
        (later if job.order.automatic and job.digest in seen else now).append(job)
        seen.add(job.digest)
    return now, later


def follow(first: Iterable[Job], later: Iterable[Job]) -> None:
    """What became of a file becomes of others with its bytes; only where it failed, they are tried."""
    before = {job.digest: job for job in first}
    for job in later:
        leader = before[job.digest]
        if leader.stored is not None:
            job.is_copy(Copy(attachment_id=leader.stored.id, elsewhere=False, doubt=Reason.DUPLICATE))
        elif leader.copy is not None:
            job.is_copy(leader.copy)


def name_twins(jobs: Iterable[Job]) -> None:
    """Files with the same bytes that a person saved together: each but the first is a copy of it."""
    first: dict[str, Job] = {}
    for job in jobs:
        leader = first.setdefault(job.digest, job)
        if leader is not job and leader.stored is not None and job.copy is None:
            elsewhere = leader.order.patient_id != job.order.patient_id
            job.copy = Copy(attachment_id=leader.stored.id, elsewhere=elsewhere, doubt=Reason.DUPLICATE)
