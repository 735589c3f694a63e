"""Ledger entries as standard audit events: FHIR R4 ``AuditEvent``, and DICOM PS3.15 audit messages.

These are pure functions of an entry. Facts that are not in the ledger (network addresses, names of people,
the purpose) are omitted.

Sources: HL7 FHIR R4, AuditEvent; IHE ITI Basic Audit Log Patterns (BALP) 1.1 for the agents and entities of
an event about a patient; DICOM PS3.15, A.5.1 (the message) and A.5.3.6 (Import); RFC 3881 for the codes of
objects and ids.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import attrs

from intouch_import.ledger.entry import Event
from intouch_import.model import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.ledger.entry import LedgerEntry

__all__ = ["AuditSystem", "to_dicom", "to_fhir"]

_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_OURS: Final = "urn:intouch-import"
_FAILURE: Final = "4"  # minor failure: the file is where it was
_SUCCESS: Final = "0"
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@attrs.frozen(kw_only=True)
class AuditSystem:
    """Names that identify the practice's systems in audit events.

    Args:
        observer: Name of the reporting system.
        patient_ids: URI of the practice's patient numbers.
    """

    observer: str = "intouch-import"
    patient_ids: str = f"{_OURS}:patient-id"


@attrs.frozen
class _Kind:
    """An event in the codes of the standards."""

    code: str
    name: str
    action: str
    life_cycle: str
    failed: bool = False


_IMPORT: Final = ("110107", "Import")
_EXPORT: Final = ("110106", "Export")
_RECORD: Final = ("110110", "Patient Record")
# Action: create, read, update, delete. Life cycle (RFC 3881): 2 import, 3 amendment, 10 disclosure (used when
# the bytes leave the record), 14 logical deletion.
_KINDS: Final = {
    Event.STORED: _Kind(*_IMPORT, "C", "2"),
    Event.MOVED: _Kind(*_IMPORT, "U", "2"),
    Event.NOT_REMOVED: _Kind(*_IMPORT, "U", "2", failed=True),
    Event.FAILED: _Kind(*_IMPORT, "C", "2", failed=True),
    Event.PUTTING_BACK: _Kind(*_EXPORT, "R", "10"),
    Event.NOT_PUT_BACK: _Kind(*_EXPORT, "R", "10", failed=True),
    Event.WITHDRAWN: _Kind(*_RECORD, "D", "14"),
    Event.REASSIGNING: _Kind(*_RECORD, "U", "3"),
    Event.REASSIGNED: _Kind(*_RECORD, "U", "3"),
    Event.NOT_REASSIGNED: _Kind(*_RECORD, "U", "3", failed=True),
    Event.MISSING: _Kind(*_RECORD, "D", "14", failed=True),
}


def to_fhir(entry: LedgerEntry, *, system: AuditSystem | None = None) -> dict[str, Any]:
    """Return an entry as a FHIR R4 ``AuditEvent``, as JSON values.

    A reassignment has one entity for each patient. The position and the digest of the entry are details of
    the file's entity, so that the event can be compared with the ledger.
    """
    system = system or AuditSystem()
    kind = _KINDS[entry.event]
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "type": _coding(_DCM, kind.code, kind.name),
        "subtype": [_coding(f"{_OURS}:event", entry.event.value)],
        "action": kind.action,
        "recorded": _instant(entry),
        "outcome": _FAILURE if kind.failed else _SUCCESS,
        "agent": [*_fhir_agents(entry, system)],
        "source": {
            "observer": {"display": system.observer},
            "type": [_coding(f"{_TERMINOLOGY}/security-source-type", "4", "Application Server")],
        },
        "entity": [*_fhir_patients(entry, system), _fhir_file(entry, kind)],
    }
    if entry.reason:
        event["outcomeDesc"] = _sentence(entry.reason)
    return event


def _fhir_agents(entry: LedgerEntry, system: AuditSystem) -> Iterator[dict[str, Any]]:
    if entry.operator is not None:
        yield {
            "type": {
                "coding": [_coding(f"{_TERMINOLOGY}/v3-ParticipationType", "IRCP", "information recipient")]
            },
            "who": {"identifier": {"system": f"{_OURS}:operator", "value": entry.operator}},
            "requestor": True,
        }
    yield {
        "type": {"coding": [_coding(_DCM, "110152", "Destination Role ID")]},
        "who": {"display": system.observer},
        "requestor": entry.operator is None,
    }
    yield {
        "type": {"coding": [_coding(_DCM, "110153", "Source Role ID")]},
        "who": {
            "identifier": {"system": f"{_OURS}:source-id", "value": entry.source_id},
            "display": entry.location,
        },
        "requestor": False,
    }


def _fhir_patients(entry: LedgerEntry, system: AuditSystem) -> Iterator[dict[str, Any]]:
    for patient_id, described in (
        (entry.from_patient_id, "moved from this patient's record"),
        (entry.patient_id, "moved to this patient's record" if entry.from_patient_id is not None else None),
    ):
        if patient_id is None:
            continue
        entity: dict[str, Any] = {
            "what": {"type": "Patient", "identifier": {"system": system.patient_ids, "value": patient_id}},
            "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "1", "Person"),
            "role": _coding(f"{_TERMINOLOGY}/object-role", "1", "Patient"),
        }
        if described is not None:
            entity["description"] = described
        yield entity


def _fhir_file(entry: LedgerEntry, kind: _Kind) -> dict[str, Any]:
    details = [{"type": name, "valueString": value} for name, value in _details(entry)]
    entity: dict[str, Any] = {
        "what": {
            "type": "Media" if entry.destination == "images" else "DocumentReference",
            "identifier": {"system": f"{_OURS}:import-id", "value": entry.import_id},
        },
        "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "2", "System Object"),
        "role": _coding(f"{_TERMINOLOGY}/object-role", "4", "Domain Resource"),
        "lifecycle": _coding(f"{_TERMINOLOGY}/dicom-audit-lifecycle", kind.life_cycle),
    }
    # FHIR allows neither empty lists nor empty texts.
    if details:
        entity["detail"] = details
    if entry.name:
        entity["name"] = entry.name
    return entity


def to_dicom(entry: LedgerEntry, *, system: AuditSystem | None = None) -> str:
    """Return an entry as a DICOM audit message: an XML element ``AuditMessage`` without a declaration.

    The events *stored* and *moved* are *Import* (PS3.15, A.5.3.6), *putting back* is *Export*, *withdrawn*
    and reassignments are *Patient Record*.
    """
    system = system or AuditSystem()
    kind = _KINDS[entry.event]
    message = ET.Element("AuditMessage")
    identification = ET.SubElement(
        message,
        "EventIdentification",
        EventActionCode=kind.action,
        EventDateTime=_instant(entry),
        EventOutcomeIndicator=_FAILURE if kind.failed else _SUCCESS,
    )
    _code(identification, "EventID", kind.code, "DCM", kind.name)
    _code(identification, "EventTypeCode", entry.event.value, _OURS, entry.event.value.replace("_", " "))
    if entry.reason:
        ET.SubElement(identification, "EventOutcomeDescription").text = _sentence(entry.reason)
    _dicom_participants(message, entry, system)
    ET.SubElement(message, "AuditSourceIdentification", AuditSourceID=system.observer)
    for patient_id in (entry.from_patient_id, entry.patient_id):
        if patient_id is not None:
            _dicom_object(message, patient_id, ("1", "1"), "3", ("2", "Patient Number"))
    file = _dicom_object(
        message, f"{_OURS}:{entry.import_id}", ("2", "3"), kind.life_cycle, ("12", "URI"), name=entry.name
    )
    for name, value in _details(entry):
        encoded = base64.b64encode(value.encode("utf-8", "backslashreplace")).decode("ascii")
        ET.SubElement(file, "ParticipantObjectDetail", type=name, value=encoded)
    return ET.tostring(message, encoding="unicode")


def _dicom_participants(message: ET.Element, entry: LedgerEntry, system: AuditSystem) -> None:
    if entry.operator is not None:
        _participant(message, entry.operator, requestor=True)
    here = _participant(message, system.observer, requestor=entry.operator is None)
    _code(here, "RoleIDCode", "110152", "DCM", "Destination Role ID")
    source = _participant(message, entry.source_id, requestor=False, alias=entry.location)
    _code(source, "RoleIDCode", "110155", "DCM", "Source Media")
    media = ET.SubElement(source, "MediaIdentifier")
    _code(media, "MediaType", "110037", "DCM", "URI")


def _participant(message: ET.Element, user_id: str, *, requestor: bool, alias: str = "") -> ET.Element:
    attributes = {"UserID": _text(user_id), "UserIsRequestor": "true" if requestor else "false"}
    if alias:
        attributes["AlternativeUserID"] = _text(alias)
    return ET.SubElement(message, "ActiveParticipant", attributes)


def _dicom_object(
    message: ET.Element,
    object_id: str,
    type_and_role: tuple[str, str],
    life_cycle: str,
    id_type: tuple[str, str],
    *,
    name: str = "",
) -> ET.Element:
    element = ET.SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_text(object_id),
        ParticipantObjectTypeCode=type_and_role[0],
        ParticipantObjectTypeCodeRole=type_and_role[1],
        ParticipantObjectDataLifeCycle=life_cycle,
    )
    _code(element, "ParticipantObjectIDTypeCode", id_type[0], "RFC-3881", id_type[1])
    if name:
        ET.SubElement(element, "ParticipantObjectName").text = _text(name)
    return element


def _code(parent: ET.Element, tag: str, code: str, system: str, text: str) -> None:
    element = ET.SubElement(parent, tag)
    element.set("csd-code", code)
    element.set("codeSystemName", system)
    element.set("originalText", text)


def _details(entry: LedgerEntry) -> list[tuple[str, str]]:
    """Return the fields for which the standards have no place, with their names in the ledger."""
    values = {
        "attachment_id": entry.attachment_id,
        "provider_id": entry.provider_id,
        "destination": entry.destination,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256,
        "reason": entry.reason or None,
        "ledger_seq": entry.seq,
        "ledger_digest": entry.digest,
    }
    return [(name, str(value)) for name, value in values.items() if value is not None]


def _coding(system: str, code: str, display: str | None = None) -> dict[str, str]:
    return {"system": system, "code": code} | ({"display": display} if display is not None else {})


def _instant(entry: LedgerEntry) -> str:
    return entry.at.isoformat(timespec="milliseconds")


def _sentence(reason: str) -> str:
    """Return the sentence of a reason; return an unknown reason, from a newer version, unchanged."""
    try:
        return Reason(reason).text
    except ValueError:
        return reason


def _text(value: str) -> str:
    """Escape characters that XML does not allow. Only entries that are not from a ledger have them."""
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)
