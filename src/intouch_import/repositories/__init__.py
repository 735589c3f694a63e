"""Patient records: what a host implements, and the reference implementation in SQL."""

from intouch_import.repositories.base import PatientRepository

__all__ = ["PatientRepository"]
