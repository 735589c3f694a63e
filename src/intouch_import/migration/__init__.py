"""Migrations: bring years of photos into patient records, from folders per patient, capture names, or a list.

Plan, review, run, certificate::

    from intouch_import import migration

    plan = migration.plan("/mnt/old-disk", migration.FolderRule("{patient} - {*}"), records, to="plan")
    plan.counts(by="reason")
    run = plan.run(records).wait()
    run.certificate.closes
"""

from intouch_import.media.clocks import CameraClock
from intouch_import.migration.certificate import Certificate, verify_certificate
from intouch_import.migration.clock_files import read_clocks
from intouch_import.migration.id_map import read_ids
from intouch_import.migration.limits import RunOptions
from intouch_import.migration.planning import plan
from intouch_import.migration.plans import Plan, open_plan
from intouch_import.migration.rows import PlanRow
from intouch_import.migration.rules import (
    AllOf,
    AnyOf,
    CaptureRule,
    FolderRule,
    ManifestRule,
    NameRule,
    PatientRule,
    Rule,
)
from intouch_import.migration.run import Run
from intouch_import.migration.walking import Archive

__all__ = [
    "AllOf",
    "AnyOf",
    "Archive",
    "CameraClock",
    "CaptureRule",
    "Certificate",
    "FolderRule",
    "ManifestRule",
    "NameRule",
    "PatientRule",
    "Plan",
    "PlanRow",
    "Rule",
    "Run",
    "RunOptions",
    "open_plan",
    "plan",
    "read_clocks",
    "read_ids",
    "verify_certificate",
]
