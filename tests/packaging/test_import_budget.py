"""What ``import intouch_import`` may cost."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = frozenset(
    {
        *("PIL", "sqlalchemy", "alembic", "attr", "attrs", "fsspec"),
        *("click", "rich"),
        *("adlfs", "azure", "dropbox", "dropboxdrivefs", "msgraphfs", "msal", "paramiko", "psycopg"),
        *("requests", "httpx", "aiohttp", "urllib3", "asyncio", "ssl"),
    }
)
BACKENDS = HEAVY - {"attr", "attrs"}


def _loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    child = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    return {name.partition(".")[0] for name in json.loads(child.stdout)}


def test_importing_the_package_loads_nothing_heavy() -> None:
    """A host that imports the package and does not use it pays for no database, picture or backend."""
    assert not _loaded_by("import intouch_import") & HEAVY


@pytest.mark.parametrize("name", ["classify", "CaptureNaming", "PatientRepository", "Report", "SourceError"])
def test_light_names_stay_light(name: str) -> None:
    """The pure names, and the class that a host implements, load no backend either."""
    loaded = _loaded_by(f"from intouch_import import {name}")
    assert "intouch_import" in loaded
    assert not loaded & BACKENDS


def test_opening_a_local_folder_loads_no_network_client() -> None:
    """A local folder needs neither the package of another location nor the database."""
    loaded = _loaded_by("import intouch_import; intouch_import.open_source('.')")
    assert not loaded & (BACKENDS - {"asyncio", "fsspec"})
