"""One measured run of one program, and whether its bytes are right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.content import Dataset

METER = Path(__file__).with_name("meter.py")
SAMPLE_FILES = 64
SAMPLE_WINDOWS = 16
WINDOW_BYTES = 1 << 20
LOG_CHARS = 600
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "PYTHONPATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run took.

    Attributes
    ----------
    wall_s : float
        From the start of the process to its end.
    sync_s : float
        Of a ``sync`` after it; 0 where none was asked for.
    cpu_s : float
        User and system time of the process and all its children.
    peak_rss_bytes : int
        Of its largest process.
    problem : str or None
        Why the run does not count; None: all bytes are there.
    timed_out : bool
    """

    wall_s: float
    sync_s: float
    cpu_s: float
    peak_rss_bytes: int
    problem: str | None = None
    timed_out: bool = False


def measure(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, time_limit_s: float, sync: bool
) -> Run:
    """Run a command under the meter.

    Parameters
    ----------
    command : sequence of str
    folder : Path
        For the meter's notes and the command's output; it is the working directory, too.
    environment : mapping of str to str
        All of it.
    time_limit_s : float
        The command's process group is killed after this long.
    sync : bool
        Time a ``sync`` after the run.
    """
    result, log = folder / "meter.json", folder / "output.log"
    meter = [sys.executable, "-I", "-S", str(METER), str(result), str(time_limit_s), str(int(sync)), str(log)]
    process = subprocess.Popen([*meter, *command], cwd=folder, env=environment, stdin=subprocess.DEVNULL)
    try:
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()  # it ends what it runs
            process.wait()
    facts = json.loads(result.read_text())
    exit_code = facts.pop("exit_code")
    said = log.read_text(errors="replace")[-LOG_CHARS:].strip()
    problem = None if exit_code == 0 else f"exit code {exit_code}: {said}"
    if facts["timed_out"]:
        problem = f"not done in {time_limit_s:g} s"
    return Run(**facts, problem=problem)


def touch_memory(path: Path, size_bytes: int) -> None:
    """Use as much memory as a run's files will, and let go of it.

    A virtual machine gives free memory back to its host within seconds, and the first touch afterwards costs up to ten
    times a usual one: who runs after a pause would pay for it.

    Parameters
    ----------
    path : Path
        In a tmpfs; gone afterwards.
    size_bytes : int
    """
    block = bytes(WINDOW_BYTES)
    with path.open("wb", buffering=0) as file:
        for _ in range(-(-size_bytes // WINDOW_BYTES)):
            file.write(block)
    path.unlink()


def check(dataset: Dataset, folder: Path) -> str | None:
    """What is wrong with the files of a run; None when nothing is.

    Number and sizes of all files are compared, and the CRC-32 of a sample.

    Parameters
    ----------
    dataset : Dataset
    folder : Path
        Where the objects should lie, under their names.
    """
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)} if folder.is_dir() else {}
    expected = dict(zip(dataset.names, dataset.sizes, strict=True))
    if sizes != expected:
        missing, strange = len(expected.keys() - sizes.keys()), sorted(sizes.keys() - expected.keys())[:3]
        return (
            f"expected {len(expected)} files and {sum(expected.values())} bytes, got {len(sizes)} and "
            f"{sum(sizes.values())}; {missing} are missing, strange ones: {strange}"
        )
    step = max(1, len(dataset.names) // SAMPLE_FILES)
    for name in dataset.names[::step]:
        if checksum(folder / name) != checksum(dataset.folder / name):
            return f"{name}: not the bytes of the server"
    return None


def checksum(path: Path) -> int:
    """CRC-32 of a file, of windows spread over it when it is large."""
    size_bytes = path.stat().st_size
    value = 0
    with path.open("rb") as file:
        for start in windows(size_bytes):
            file.seek(start)
            value = zlib.crc32(file.read(WINDOW_BYTES), value)
    return value


def windows(size_bytes: int) -> list[int]:
    """Where windows of :data:`WINDOW_BYTES` begin: all over a small file, :data:`SAMPLE_WINDOWS` of a large one."""
    if size_bytes <= SAMPLE_WINDOWS * WINDOW_BYTES:
        return list(range(0, size_bytes, WINDOW_BYTES))
    last = size_bytes - WINDOW_BYTES
    return [last * index // (SAMPLE_WINDOWS - 1) for index in range(SAMPLE_WINDOWS)]


def free_environment(home: Path, authority: Path) -> dict[str, str]:
    """Environment in which no program finds settings, credentials or proxies of this user.

    Parameters
    ----------
    home : Path
        An empty folder.
    authority : Path
        Certificate that all programs trust.
    """
    kept = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES}
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "TMPDIR": str(home),
        "SSL_CERT_FILE": str(authority),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "us-east-1",
    }
