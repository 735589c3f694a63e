"""Ledger entries as standard audit events: what the standards ask for is there, and nothing is made up."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree as ET

import attrs
import pytest
from fhirclient.models.auditevent import AuditEvent

from intouch_import.ledger import Event, Ledger, LedgerEntry
from intouch_import.ledger.audit import AuditSystem, to_dicom, to_fhir

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = LedgerEntry(
    event=Event.STORED, at=datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), operator="reception",
    patient_id="10042", provider_id="DRJ", destination="images", import_id="1" * 40, attachment_id="A-7",
    location="azure", source_id="azure-1", name="photo.jpg", size_bytes=9, sha256="0" * 64, reason="chosen",
    seq=7, digest="d" * 64,
)  # fmt: skip
REASSIGNED = attrs.evolve(ENTRY, event=Event.REASSIGNED, from_patient_id="10043", reason="reassigned")
# Action, outcome, DICOM event.
MEANINGS = {
    Event.STORED: ("C", "0", "Import"),
    Event.MOVED: ("U", "0", "Import"),
    Event.NOT_REMOVED: ("U", "4", "Import"),
    Event.FAILED: ("C", "4", "Import"),
    Event.PUTTING_BACK: ("R", "0", "Export"),
    Event.NOT_PUT_BACK: ("R", "4", "Export"),
    Event.WITHDRAWN: ("D", "0", "Patient Record"),
    Event.REASSIGNING: ("U", "0", "Patient Record"),
    Event.REASSIGNED: ("U", "0", "Patient Record"),
    Event.NOT_REASSIGNED: ("U", "4", "Patient Record"),
    Event.MISSING: ("D", "4", "Patient Record"),
}


def entities(event: dict[str, Any], code: str) -> list[dict[str, Any]]:
    return [entity for entity in event["entity"] if entity["type"]["code"] == code]


# --- FHIR


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("bare", [False, True])
def test_every_event_is_a_valid_resource(event: Event, bare: bool) -> None:
    """A model of FHIR R4 that was made by others takes it, with all that an entry may hold and with the least."""
    entry = attrs.evolve(ENTRY, event=event)
    if bare:
        entry = LedgerEntry(event=event, at=ENTRY.at, import_id="1", location="local", source_id="s")
    resource = to_fhir(entry)
    assert AuditEvent(resource).as_json() == resource
    action, outcome, name = MEANINGS[event]
    assert (resource["action"], resource["outcome"], resource["type"]["display"]) == (action, outcome, name)
    assert resource["subtype"][0]["code"] == event.value
    assert sum(agent["requestor"] for agent in resource["agent"]) == 1


def test_a_resource_says_who_which_what_when_and_from_where() -> None:
    """As IHE's basic patterns want it: the person, the two ends, the patient and the object."""
    resource = to_fhir(ENTRY, system=AuditSystem(observer="Clinic", patient_ids="urn:oid:1.2.3"))
    assert resource["recorded"] == "2026-03-01T12:00:00.123+00:00"
    assert resource["outcomeDesc"] == "A person chose the patient."
    person, here, there = resource["agent"]
    assert person["who"]["identifier"]["value"] == "reception"
    assert person["type"]["coding"][0]["code"] == "IRCP"
    assert (here["who"]["display"], there["who"]["identifier"]["value"]) == ("Clinic", "azure-1")
    assert resource["source"]["observer"]["display"] == "Clinic"
    (patient,) = entities(resource, "1")
    assert patient["what"]["identifier"] == {"system": "urn:oid:1.2.3", "value": "10042"}
    assert patient["role"]["code"] == "1"
    (file,) = entities(resource, "2")
    assert (file["what"]["identifier"]["value"], file["what"]["type"], file["name"]) == (
        "1" * 40,
        "Media",
        "photo.jpg",
    )
    details = {detail["type"]: detail["valueString"] for detail in file["detail"]}
    assert details == {
        "attachment_id": "A-7", "provider_id": "DRJ", "destination": "images", "size_bytes": "9",
        "sha256": "0" * 64, "reason": "chosen", "ledger_seq": "7", "ledger_digest": "d" * 64,
    }  # fmt: skip


def test_a_whole_resource() -> None:
    """Every element of one event: nothing more than the standard and the entry give, and each in its place."""
    dcm, hl7 = "http://dicom.nema.org/resources/ontology/DCM", "http://terminology.hl7.org/CodeSystem"
    ours = "urn:intouch-import"
    assert to_fhir(ENTRY) == {
        "resourceType": "AuditEvent",
        "type": {"system": dcm, "code": "110107", "display": "Import"},
        "subtype": [{"system": f"{ours}:event", "code": "stored"}],
        "action": "C",
        "recorded": "2026-03-01T12:00:00.123+00:00",
        "outcome": "0",
        "outcomeDesc": "A person chose the patient.",
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": f"{hl7}/v3-ParticipationType",
                            "code": "IRCP",
                            "display": "information recipient",
                        }
                    ]
                },
                "who": {"identifier": {"system": f"{ours}:operator", "value": "reception"}},
                "requestor": True,
            },
            {
                "type": {"coding": [{"system": dcm, "code": "110152", "display": "Destination Role ID"}]},
                "who": {"display": "intouch-import"},
                "requestor": False,
            },
            {
                "type": {"coding": [{"system": dcm, "code": "110153", "display": "Source Role ID"}]},
                "who": {
                    "identifier": {"system": f"{ours}:source-id", "value": "azure-1"},
                    "display": "azure",
                },
                "requestor": False,
            },
        ],
        "source": {
            "observer": {"display": "intouch-import"},
            "type": [{"system": f"{hl7}/security-source-type", "code": "4", "display": "Application Server"}],
        },
        "entity": [
            {
                "what": {
                    "type": "Patient",
                    "identifier": {"system": f"{ours}:patient-id", "value": "10042"},
                },
                "type": {"system": f"{hl7}/audit-entity-type", "code": "1", "display": "Person"},
                "role": {"system": f"{hl7}/object-role", "code": "1", "display": "Patient"},
            },
            {
                "what": {
                    "type": "Media",
                    "identifier": {"system": f"{ours}:import-id", "value": "1" * 40},
                },
                "type": {"system": f"{hl7}/audit-entity-type", "code": "2", "display": "System Object"},
                "role": {"system": f"{hl7}/object-role", "code": "4", "display": "Domain Resource"},
                "lifecycle": {"system": f"{hl7}/dicom-audit-lifecycle", "code": "2"},
                "name": "photo.jpg",
                "detail": [
                    {"type": "attachment_id", "valueString": "A-7"},
                    {"type": "provider_id", "valueString": "DRJ"},
                    {"type": "destination", "valueString": "images"},
                    {"type": "size_bytes", "valueString": "9"},
                    {"type": "sha256", "valueString": "0" * 64},
                    {"type": "reason", "valueString": "chosen"},
                    {"type": "ledger_seq", "valueString": "7"},
                    {"type": "ledger_digest", "valueString": "d" * 64},
                ],
            },
        ],
    }


def test_a_reassignment_names_both_patients() -> None:
    """From whom and to whom, each as a patient of the event."""
    former, right = entities(to_fhir(REASSIGNED), "1")
    assert (former["what"]["identifier"]["value"], right["what"]["identifier"]["value"]) == ("10043", "10042")
    assert (former["description"], right["description"]) == (
        "moved from this patient's record",
        "moved to this patient's record",
    )
    ids = [
        one.get("ParticipantObjectID")
        for one in ET.fromstring(to_dicom(REASSIGNED)).iter("ParticipantObjectIdentification")
    ]
    assert ids[:2] == ["10043", "10042"]


def test_an_event_without_a_person_was_requested_by_the_system() -> None:
    """Nobody is named who was not told."""
    resource = to_fhir(
        attrs.evolve(ENTRY, operator=None, patient_id=None, destination="notes", reason="from later")
    )
    assert [agent["requestor"] for agent in resource["agent"]] == [True, False]
    assert entities(resource, "1") == []
    assert entities(resource, "2")[0]["what"]["type"] == "DocumentReference"
    assert resource["outcomeDesc"] == "from later"
    assert "outcomeDesc" not in to_fhir(attrs.evolve(ENTRY, reason=""))


# --- DICOM


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("bare", [False, True])
def test_every_event_is_an_audit_message(event: Event, bare: bool) -> None:
    """The elements and attributes that PS3.15 A.5.1 requires, in its order, every code with its three parts."""
    entry = attrs.evolve(ENTRY, event=event)
    if bare:
        entry = LedgerEntry(event=event, at=ENTRY.at, import_id="1", location="local", source_id="s")
    message = ET.fromstring(to_dicom(entry))
    order = [
        "EventIdentification",
        "ActiveParticipant",
        "AuditSourceIdentification",
        "ParticipantObjectIdentification",
    ]
    places = [order.index(element.tag) for element in message]
    assert places == sorted(places)
    assert set(places) == set(range(4))
    action, outcome, name = MEANINGS[event]
    identification = message[0]
    assert (identification.get("EventActionCode"), identification.get("EventOutcomeIndicator")) == (
        action,
        outcome,
    )
    assert identification.get("EventDateTime") == "2026-03-01T12:00:00.123+00:00"
    assert identification[0].tag == "EventID"
    assert identification[0].get("originalText") == name
    for tag in ("EventID", "EventTypeCode", "RoleIDCode", "MediaType", "ParticipantObjectIDTypeCode"):
        for code in message.iter(tag):
            assert {"csd-code", "codeSystemName", "originalText"} == set(code.keys())
    participants = list(message.iter("ActiveParticipant"))
    assert all(one.get("UserID") for one in participants)
    assert [one.get("UserIsRequestor") for one in participants].count("true") == 1
    assert [code.get("csd-code") for code in message.iter("RoleIDCode")] == ["110152", "110155"]
    assert len(list(message.iter("MediaIdentifier"))) == 1
    for one in message.iter("ParticipantObjectIdentification"):
        assert one.get("ParticipantObjectID")
        assert one.get("ParticipantObjectTypeCode") in {"1", "2"}


def test_an_import_message_holds_what_the_entry_holds() -> None:
    """The person, the source, the patient's number and the file, with its digests as details in base 64."""
    message = ET.fromstring(to_dicom(ENTRY, system=AuditSystem(observer="Clinic")))
    person, here, there = message.iter("ActiveParticipant")
    assert (person.get("UserID"), here.get("UserID")) == ("reception", "Clinic")
    assert (there.get("UserID"), there.get("AlternativeUserID")) == ("azure-1", "azure")
    source = message.find("AuditSourceIdentification")
    assert source is not None
    assert source.get("AuditSourceID") == "Clinic"
    patient, file = message.iter("ParticipantObjectIdentification")
    assert (patient.get("ParticipantObjectID"), patient[0].get("originalText")) == ("10042", "Patient Number")
    assert file.findtext("ParticipantObjectName") == "photo.jpg"
    details = {
        detail.get("type"): base64.b64decode(detail.get("value") or "").decode()
        for detail in file.iter("ParticipantObjectDetail")
    }
    assert details["sha256"] == "0" * 64
    assert details["ledger_digest"] == "d" * 64


WHOLE_MESSAGE = """\
<AuditMessage>
  <EventIdentification EventActionCode="U" EventDateTime="2026-03-01T12:00:00.123+00:00" EventOutcomeIndicator="4">
    <EventID csd-code="110110" codeSystemName="DCM" originalText="Patient Record" />
    <EventTypeCode csd-code="not_reassigned" codeSystemName="urn:intouch-import" originalText="not reassigned" />
    <EventOutcomeDescription>The file is still in its previous record.</EventOutcomeDescription>
  </EventIdentification>
  <ActiveParticipant UserID="reception" UserIsRequestor="true" />
  <ActiveParticipant UserID="intouch-import" UserIsRequestor="false">
    <RoleIDCode csd-code="110152" codeSystemName="DCM" originalText="Destination Role ID" />
  </ActiveParticipant>
  <ActiveParticipant UserID="azure-1" UserIsRequestor="false" AlternativeUserID="azure">
    <RoleIDCode csd-code="110155" codeSystemName="DCM" originalText="Source Media" />
    <MediaIdentifier>
      <MediaType csd-code="110037" codeSystemName="DCM" originalText="URI" />
    </MediaIdentifier>
  </ActiveParticipant>
  <AuditSourceIdentification AuditSourceID="intouch-import" />
  <ParticipantObjectIdentification ParticipantObjectID="10043" ParticipantObjectTypeCode="1" \
ParticipantObjectTypeCodeRole="1" ParticipantObjectDataLifeCycle="3">
    <ParticipantObjectIDTypeCode csd-code="2" codeSystemName="RFC-3881" originalText="Patient Number" />
  </ParticipantObjectIdentification>
  <ParticipantObjectIdentification ParticipantObjectID="10042" ParticipantObjectTypeCode="1" \
ParticipantObjectTypeCodeRole="1" ParticipantObjectDataLifeCycle="3">
    <ParticipantObjectIDTypeCode csd-code="2" codeSystemName="RFC-3881" originalText="Patient Number" />
  </ParticipantObjectIdentification>
  <ParticipantObjectIdentification ParticipantObjectID="urn:intouch-import:1111" ParticipantObjectTypeCode="2" \
ParticipantObjectTypeCodeRole="3" ParticipantObjectDataLifeCycle="3">
    <ParticipantObjectIDTypeCode csd-code="12" codeSystemName="RFC-3881" originalText="URI" />
    <ParticipantObjectName>photo.jpg</ParticipantObjectName>
    <ParticipantObjectDetail type="attachment_id" value="QS03" />
    <ParticipantObjectDetail type="destination" value="aW1hZ2Vz" />
    <ParticipantObjectDetail type="size_bytes" value="OQ==" />
    <ParticipantObjectDetail type="reason" value="bm90X3JlYXNzaWduZWQ=" />
    <ParticipantObjectDetail type="ledger_seq" value="Nw==" />
  </ParticipantObjectIdentification>
</AuditMessage>"""


def test_a_whole_message() -> None:
    """Every element and attribute of one event, each in its place."""
    entry = attrs.evolve(
        REASSIGNED, event=Event.NOT_REASSIGNED, reason="not_reassigned", import_id="1111", provider_id=None,
        sha256=None, digest=None,
    )  # fmt: skip
    message = ET.fromstring(to_dicom(entry))
    ET.indent(message)
    assert ET.tostring(message, encoding="unicode") == WHOLE_MESSAGE


def test_an_alias_and_a_name_that_are_empty_are_left_out() -> None:
    """An attribute or an element without a value says less than none."""
    entry = attrs.evolve(ENTRY, location="", name="", operator=None)
    message = ET.fromstring(to_dicom(entry))
    assert [one.get("AlternativeUserID") for one in message.iter("ActiveParticipant")] == [None, None]
    assert [one.get("UserIsRequestor") for one in message.iter("ActiveParticipant")] == ["true", "false"]
    assert message.find(".//ParticipantObjectName") is None
    assert "name" not in entities(to_fhir(entry), "2")[0]


def test_what_xml_has_no_place_for_is_escaped() -> None:
    """As Python writes it, so that it can be told from other characters; what XML can hold stays as it is."""
    text = "\0\x1f\ud800\ufffe \t\n\ufffd\ud7ff\ue000\N{GRINNING FACE}"
    (name,) = ET.fromstring(to_dicom(attrs.evolve(ENTRY, name=text))).iter("ParticipantObjectName")
    assert name.text == "\\x00\\x1f\\ud800\\ufffe \t\n\ufffd\ud7ff\ue000\N{GRINNING FACE}"


@pytest.mark.parametrize("text", ["<&>\"'", "a\nb\0c", "Ren\udce9", "\ufffe", "\N{GRINNING FACE}"])
def test_text_of_any_kind_is_written(text: str) -> None:
    """Both forms can be read back, whatever a name or an id is made of."""
    entry = attrs.evolve(ENTRY, name=text, operator=text, patient_id=text, source_id=text, attachment_id=text)
    assert ET.fromstring(to_dicom(entry)).tag == "AuditMessage"
    assert json.loads(json.dumps(to_fhir(entry)))["entity"][-1]["name"] == text


# --- the export


def test_an_export_has_a_line_for_every_entry(tmp_path: Path) -> None:
    """In each form; without persons, if it is to leave the practice."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    secret = attrs.evolve(
        REASSIGNED, name="SECRET\n1", patient_id="SECRET2", from_patient_id="SECRET3", operator="SECRET4",
    )  # fmt: skip
    ledger.append([secret, attrs.evolve(secret, event=Event.WITHDRAWN)])
    for form in ("json", "fhir", "dicom"):
        lines = list(ledger.export(form=form))
        assert len(lines) == 2
        assert all("\n" not in line and "SECRET2" in line and "SECRET3" in line for line in lines)
        assert "SECRET" not in "".join(ledger.export(form=form, support=True))
    assert AuditEvent(json.loads(next(ledger.export(form="fhir", support=True)))).outcome == "0"


@pytest.mark.parametrize("form", ["json", "fhir", "dicom"])
def test_an_export_can_be_read_by_people(tmp_path: Path, form: Literal["json", "fhir", "dicom"]) -> None:
    """Letters of any language stand as they are."""
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.append([attrs.evolve(ENTRY, name="Łódź 写真.jpg", seq=None, digest=None)])
    (line,) = ledger.export(form=form)
    assert "Łódź 写真.jpg" in line
