"""Patient records: the base class for hosts, and an implementation in SQL."""

from intouch_import.repositories.base import PatientRepository

__all__ = ["PatientRepository"]
