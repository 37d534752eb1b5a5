"""Time to the first object, and weight of the run, over a listing of a million keys.

Runs ``emasync run`` in a process of its own against a loopback archive in another, looks for the first final file, and
stops the run (SIGINT) when the listing has ended or `--seconds` are over. ``python bench/listing.py --keys 1000000``
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from emasync.testing import Archive
from emasync.testing.synthetic import SyntheticStore

MEASURE = """
import resource, signal, subprocess, sys
signal.signal(signal.SIGINT, lambda *_: None)
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def main() -> None:
    """Measure and print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--keys", type=int, default=1_000_000)
    options.add_argument("--size", type=int, default=256)
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--to-the-end", action="store_true", help="fetch all of them")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="emasync-bench-") as folder:
        store = SyntheticStore(bucket="big", count=given.keys, size_bytes=given.size)
        with Archive.start(store, where="process", log_limit=1) as archive:
            print(json.dumps(measure(Path(folder), archive.url, given), indent=2))


def measure(folder: Path, url: str, given: argparse.Namespace) -> dict[str, object]:
    """One run (given: the parsed command line)."""
    manifest = folder / "manifest.yaml"
    datasets = [{"id": "d", "source": "bucket", "format": "raw", "url": "s3://big/"}]
    manifest.write_text(yaml.safe_dump({"version": 1, "mirrors": {"s3://big": f"{url}/big"}, "datasets": datasets}))
    root = folder / "root"
    command = [sys.executable, "-m", "emasync", "run", str(manifest), "--root", str(root), "--quiet"]
    started_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURE, *command], stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    first_s = wait_until(lambda: any((root / "d").rglob("*")) if (root / "d").is_dir() else False, started_s, process)
    snapshot = root / ".emasync" / "snapshot.json"
    listed_s = wait_until(lambda: snapshot.exists() and listed(snapshot), started_s, process, given.seconds)
    if not given.to_the_end and process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate()
    return {
        "machine": f"{platform.machine()}, {platform.processor() or 'cpu'}, Python {platform.python_version()}",
        "keys": given.keys,
        "first_object_s": first_s,
        "listing_done_s": listed_s,
        "wall_s": round(time.monotonic() - started_s, 1),
        "peak_rss_mib": round(int(out.split()[-1]) / 1024, 1),
        "exit_code": process.returncode,
        "state": json.loads(snapshot.read_text())["datasets"],
    }


def listed(snapshot: Path) -> bool:
    """Whether the plan is complete."""
    try:
        return bool(json.loads(snapshot.read_text()).get("planned"))
    except ValueError:
        return False


def wait_until(
    what: Callable[[], bool], started_s: float, process: subprocess.Popen[str], seconds: float = 600.0
) -> float | None:
    """Seconds from the start until ``what()`` is true; None when it never was."""
    while process.poll() is None and time.monotonic() - started_s < seconds:
        if what():
            return round(time.monotonic() - started_s, 2)
        time.sleep(0.01)
    return None


if __name__ == "__main__":
    main()
