"""Facts without which a figure means nothing: machine, versions."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.contestants import program
from bench.standings import Where

PACKAGES = ("emasync", "aiohttp", "uvloop", "obstore", "crc32c")
PROGRAMS = {
    "curl": ["--version"],
    "aria2c": ["--version"],
    "s5cmd": ["version"],
    "rclone": ["version"],
    "nginx": ["-v"],
    "openssl": ["version"],
}


def machine(folders: Mapping[Where, Path]) -> dict[str, object]:
    """Processor, cores, memory, kernel, filesystem of each folder, and the day."""
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1),
        "kernel": platform.release(),
        "filesystems": {name: filesystem(path) for name, path in folders.items()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def cpu_model(text: str) -> str:
    """Processor named in ``/proc/cpuinfo``."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "CPU part"):
            return value.strip()
    return platform.machine()


def filesystem(path: Path) -> str:
    """Type of the filesystem that `path` lies on (stat(1), ``--file-system``)."""
    found = subprocess.run(["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def versions() -> dict[str, str]:
    """Version of each program and package that is here."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for name, options in PROGRAMS.items():
        path = program(name) or program(f"/usr/sbin/{name}")
        if path:
            said = subprocess.run([path, *options], capture_output=True, text=True, check=False)
            found[name] = (said.stdout or said.stderr).strip().splitlines()[0]
    return found


def revision(repository: Path) -> str:
    """Commit of the working copy, with a plus sign when it was changed since."""
    git = ["git", "-C", str(repository)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "status", "--porcelain", "src"], capture_output=True, text=True, check=False)
    return (commit.stdout.strip() or "unknown") + ("+" if changed.stdout.strip() else "")
