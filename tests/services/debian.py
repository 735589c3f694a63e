"""Programs that tests drive and that no registry of Python has: the system's, else unpacked from Debian's packages.

Packages are unpacked into the cache of the user who runs the tests. That needs no rights, changes nothing of the
system, and runs no script of a package: nothing is started, and no port is opened.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import attrs

from services.cache import Unavailable, cached, run

__all__ = ["Programs", "find_programs"]

_ADMINISTRATORS = ("/usr/sbin", "/usr/local/sbin")  # not on everybody's path
# Not needed without a screen, and large.
_LEFT_OUT = ("usr/share/doc", "usr/share/icons", "usr/share/locale", "usr/share/man")
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <cachedir prefix="relative">fonts-cache</cachedir>
</fontconfig>
"""
# The last one is taken: Chromium's file in /usr/bin is a script that names the system's /usr/lib/chromium.
_WITHIN = ("usr/bin/{name}", "usr/sbin/{name}", "usr/lib/{name}/{name}")


@attrs.frozen
class Programs:
    """Programs that can be started.

    Args:
        paths: By name.
        root: Where the packages are unpacked; None for the system's own programs.
    """

    paths: dict[str, str]
    root: Path | None = attrs.field(default=None)

    def __getitem__(self, name: str) -> str:
        return self.paths[name]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that they need."""
        if self.root is None:
            return dict(os.environ)
        libraries = {str(path.parent): None for path in sorted(self.root.glob("**/lib*.so*"))}
        earlier = filter(None, [os.environ.get("LD_LIBRARY_PATH")])
        needed = {"LD_LIBRARY_PATH": os.pathsep.join([*libraries, *earlier])}
        if (perl := self.root / "usr/share/perl5").is_dir():
            needed["PERL5LIB"] = str(perl)
        if (self.root / "usr/share/fonts").is_dir():  # else the system has fonts, and its own settings
            needed["FONTCONFIG_FILE"] = str(self.root / "fonts.conf")
        return {**os.environ, **needed}

    def check(self, names: tuple[str, ...]) -> None:
        """Raise `Unavailable` if a program or a library is missing."""
        for name in names:
            if name not in self.paths:
                raise Unavailable(f"the packages of this system have no {name}")
            if Path(self.paths[name]).read_bytes()[:2] == b"#!":
                continue
            needs = run(["ldd", self.paths[name]], environment=self.environment).splitlines()
            if missing := [line.split()[0] for line in needs if "not found" in line]:
                raise Unavailable(f"{name} needs {' and '.join(missing)}")


def find_programs(*names: str, packages: tuple[str, ...]) -> Programs:
    """Find programs that belong together.

    Args:
        names: Of the programs.
        packages: Debian's packages that have them.

    Raises:
        Unavailable: This machine does not have all of them, and they can't be unpacked.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), *_ADMINISTRATORS))
    found = {name: where for name in names if (where := shutil.which(name, path=path))}
    if len(found) == len(names):
        return Programs(found)
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unavailable(f"there is no {' or '.join(names)} here, and no apt-get to fetch it")
    system = platform.freedesktop_os_release()
    cache = "-".join((packages[0], system["ID"], system.get("VERSION_ID", ""), platform.machine()))

    def within(root: Path) -> Programs:
        # What the system has is not unpacked.
        unpacked = {
            name: str(root / place.format(name=name))
            for name in names
            for place in _WITHIN
            if (root / place.format(name=name)).is_file()
        }
        return Programs({**found, **unpacked}, root)

    return within(
        cached(
            cache,
            lambda folder: _unpack(packages, folder),
            # A library of the system's may have been removed since they were unpacked.
            check=lambda folder: within(folder).check(names),
        )
    )


def _unpack(packages: tuple[str, ...], folder: Path) -> None:
    """Unpack packages, and those that they need and the system does not have."""
    state = folder.with_name("apt")
    for needed in ("state/lists/partial", "cache/archives/partial"):
        (state / needed).mkdir(parents=True)
    options = {
        "Dir::State": state / "state",  # apt's own state stays as it is
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": state / "cache",
        "Debug::NoLocking": "true",  # of the system's dpkg, from which nothing is wanted
        "APT::Sandbox::User": "root",  # else root's apt becomes a user who can't write here
        "Acquire::Retries": "1",
        "Acquire::http::Timeout": "30",
        "Acquire::https::Timeout": "30",
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    run([*apt, "update"])
    if not any((state / "state" / "lists").glob("*Packages*")):
        raise Unavailable(f"apt-get reached no repository to fetch {packages[0]} from")
    run([*apt, "install", "--download-only", "--yes", "--no-install-recommends", *packages])
    for package in sorted((state / "cache" / "archives").glob("*.deb")):
        run(["dpkg-deb", "--extract", str(package), str(folder)])
    for large in _LEFT_OUT:
        shutil.rmtree(folder / large, ignore_errors=True)
    (folder / "fonts.conf").write_text(_FONTS, "utf-8")
