"""Finding what is stored, and reading it back."""

from __future__ import annotations

import secrets

from intouch_import.errors import RepositoryError
from intouch_import.testing.checks import Checks, expect, fails
from intouch_import.testing.repositories.bench import Records, bench, bytes_of, new, read, same, unique
from intouch_import.testing.samples import NOBODY

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)

_THOUSANDS = 5000


@CHECKS.promise("find_attachment answers for thousands of ids at once, and leaves out what is not stored.")
def thousands_are_found_at_once(records: Records) -> None:
    repository = records.open()
    items = [new() for _ in range(3)]
    stored = {attachment.import_id: repository.add(attachment, content) for attachment, content in items}
    unknown = [secrets.token_hex(20) for _ in range(_THOUSANDS)]
    first, second, third = stored
    asked = [first, *unknown[:2500], second, *unknown[2500:], third]
    for form in (asked, tuple(asked), set(asked), dict.fromkeys(asked).keys()):
        found = repository.find_attachment(form)
        expect(
            dict(found) == stored,
            f"of {len(asked):,} ids in a {type(form).__name__}, 3 of them stored, {len(found)} were found",
        )


@CHECKS.promise("find_attachment finds exactly the ids that are asked for.")
def import_ids_are_not_guessed(records: Records) -> None:
    repository = records.open()
    attachment, content = new()
    repository.add(attachment, content)
    one = attachment.import_id
    near = [one[:-1], f"{one}0", one.upper(), f" {one}", f"{one[:-1]}%", "%", "", "_" * 40]
    near = [text for text in near if text != one]
    expect(
        not repository.find_attachment(near), "something was found for an id that only resembles a stored one"
    )
    expect(not repository.find_attachment([]), "something was found when nothing was asked for")


@CHECKS.promise("find_attachment sees everything that anybody has committed.")
def what_others_stored_is_found(records: Records) -> None:
    here, there = records.open(), records.open()
    known, content = new()
    here.add(known, content)
    for first, second in ((here, there), (there, here)):
        attachment, content = new()
        expect(not second.find_attachment([attachment.import_id]), "something is stored that nobody stored")
        data = bytes_of(content)
        stored = first.add(attachment, content)
        found = second.find_attachment([known.import_id, attachment.import_id])
        expect(
            found.get(attachment.import_id) == stored,
            "what another workstation has stored meanwhile was not found",
        )
        same(found.get(known.import_id), known, "find_attachment")
        expect(read(second, stored.id) == data, "what another workstation has stored can't be read")


@CHECKS.promise("open_attachment reads from the start, as often and as many at once as it is asked to.")
def reading_starts_at_the_start(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(100_000, b"-") + b"end"
    attachment, content = new(data)
    stored = repository.add(attachment, content)
    with repository.open_attachment(stored.id) as first:
        head = first.read(10)
        with repository.open_attachment(stored.id) as second:
            expect(second.read(10) == data[:10], "a second reader did not begin at the start")
            expect(head + first.read(10) == data[:20], "two readers disturb each other")
        rest = bytearray()
        while part := first.read(7919):
            rest += part
        expect(bytes(head) + data[10:20] + bytes(rest) == data, "reading in pieces gave other bytes")
    expect(read(repository, stored.id) == data, "reading a second time gave other bytes")


@CHECKS.promise("open_attachment raises RepositoryError for what is not there.")
def what_is_not_there_is_told(records: Records) -> None:
    repository = records.open()
    for attachment_id in (
        secrets.token_hex(20),
        NOBODY * 3,
        "",
        "../../etc/passwd",
        "%",
        "' OR 1=1 --",
        "\u6f22",
    ):
        fails(
            RepositoryError,
            f"opening the attachment {attachment_id!a}",
            lambda: read(repository, attachment_id),
        )


@CHECKS.promise("open_attachment reads what is really stored now, not what is remembered.")
def reading_is_not_from_memory(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(5000, b"-")
    attachment, content = new(data)
    stored = repository.add(attachment, content)
    content.close()
    expect(read(repository, stored.id) == data, "other bytes came back than were stored")
    expect(read(records.open(), stored.id) == data, "other bytes came back after opening the records anew")
    if records.damage is None:
        return
    records.damage(stored.id)
    try:
        found = read(repository, stored.id)
    except RepositoryError:
        return  # it noticed by itself
    expect(found != data, "the stored bytes were damaged, and the undamaged ones came back")
