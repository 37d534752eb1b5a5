"""Listing a million keys: page after page against in lanes, and beside a transfer.

``python bench/listing.py`` races both ways over a prefix whose pages take 30 ms each (:mod:`bench.wide`), in turns;
the medians of the rounds give the verdicts. ``--quick`` lists a tenth. Results go to ``bench/results/listing.json``
and ``.md``.

``--transfer`` measures a whole run instead: ``emasync run`` in a process of its own against a loopback archive in
another; it looks for the first final file, and stops the run (SIGINT) when the listing has ended or `--seconds` are
over.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import yaml

from emasync.testing import Archive
from emasync.testing.synthetic import SyntheticStore

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, this folder is no package

from bench.machine import machine, revision, versions
from bench.measuring import KEPT_VARIABLES
from bench.measuring import measure as run_measured
from bench.wide import SHAPES, digest_of, keys_of, wide

MEASURE = """
import resource, signal, subprocess, sys
signal.signal(signal.SIGINT, lambda *_: None)
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""

REPOSITORY = Path(__file__).resolve().parents[1]
CLIENT = REPOSITORY / "bench" / "clients" / "list_keys.py"
WAYS = ("sequential", "lanes")
PAGE_S = 0.03
LEAST_RATIO = 5.0
MOST_RSS_MIB = 300.0
TIME_LIMIT_S = 600.0
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One listing.

    Attributes
    ----------
    way : str
        One of :data:`WAYS`.
    listing_s, first_page_s, cpu_s : float
        The first two without the start of the process.
    peak_rss_mib : float
    requests : int
    load : float
        Mean number of processes that wanted a processor in the last minute.
    problem : str or None
        What is wrong with the keys.
    """

    way: str
    listing_s: float
    first_page_s: float
    cpu_s: float
    peak_rss_mib: float
    requests: int
    load: float
    problem: str | None = None


def main() -> None:
    """Measure, print, and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keys", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--shape", choices=sorted(SHAPES), action="append", help="of the keys; default: all of them")
    options.add_argument("--quick", action="store_true", help="a tenth of the keys")
    options.add_argument("--out", type=Path, default=REPOSITORY / "bench" / "results")
    options.add_argument("--transfer", action="store_true", help="measure a whole run")
    options.add_argument("--size", type=int, default=256, help="bytes of an object of a whole run")
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--to-the-end", action="store_true", help="fetch all of them")
    given = options.parse_args()
    if given.transfer:
        whole_run(given)
        return
    keys = given.keys // 10 if given.quick else given.keys
    races = {shape: race(shape, keys, given.rounds) for shape in given.shape or SHAPES}
    facts = {"revision": revision(REPOSITORY), "machine": machine({"disk": REPOSITORY}), "versions": versions()}
    write(given.out, "listing-quick" if given.quick else "listing", keys, races, facts)


def race(shape: str, keys: int, rounds: int) -> list[Listed]:
    """Both ways in turns, over one server."""
    expected = digest_of(keys_of(shape, keys))
    runs: list[Listed] = []
    with wide(shape, keys, PAGE_S) as url, tempfile.TemporaryDirectory(prefix="emasync-bench-") as folder:
        for number in range(rounds):
            for way in WAYS[:: -1 if number % 2 else 1]:
                runs.append(one(way, url, Path(folder), keys, expected))
                print(shape, runs[-1], flush=True)
    return runs


def one(way: str, url: str, folder: Path, keys: int, expected: str) -> Listed:
    """One listing in a process of its own."""
    result = folder / "result.json"
    environment = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES}
    command = [sys.executable, str(CLIENT), way, url, str(result)]
    run = run_measured(command, folder, environment, time_limit_s=TIME_LIMIT_S, sync=False)
    seen = json.loads(result.read_text()) if run.problem is None else {}
    whole = seen.get("digest") == expected and seen.get("ordered") and seen.get("keys") == keys
    return Listed(
        way=way,
        listing_s=round(seen.get("listing_s", run.wall_s), 2),
        first_page_s=round(seen.get("first_page_s", run.wall_s), 3),
        cpu_s=round(run.cpu_s, 2),
        peak_rss_mib=round(run.peak_rss_bytes / MIB, 1),
        requests=seen.get("requests", 0),
        load=round(os.getloadavg()[0], 1),
        problem=run.problem or (None if whole else "not the keys of the server in their order"),
    )


def verdicts(runs: Sequence[Listed]) -> Iterator[tuple[str, str, str, str]]:
    """Rows of what was asked for, the bound, what came, and whether that is enough."""
    problems = [run.problem for run in runs if run.problem]
    yield "keys complete and in order", "all", problems[0] if problems else "all", "not met" if problems else "met"
    times = {way: median(run.listing_s for run in runs if run.way == way) for way in WAYS}
    ratio = times["sequential"] / times["lanes"]
    text = f"{times['sequential']:.1f} s / {times['lanes']:.1f} s = {ratio:.1f} x"
    yield "page after page against lanes", f">= {LEAST_RATIO:g} x", text, "met" if ratio >= LEAST_RATIO else "not met"
    rss = max(run.peak_rss_mib for run in runs if run.way == "lanes")
    yield "peak memory", f"< {MOST_RSS_MIB:g} MiB", f"{rss:.0f} MiB", "met" if rss < MOST_RSS_MIB else "not met"


def write(out: Path, name: str, keys: int, races: Mapping[str, Sequence[Listed]], facts: Mapping[str, object]) -> None:
    """Write everything as JSON and the verdicts as Markdown; print them, too."""
    table = ["| keys | target | bound | measured | verdict |", "|---|---|---|---|---|"]
    table += [f"| {shape} | {' | '.join(row)} |" for shape, runs in races.items() for row in verdicts(runs)]
    loads = [run.load for runs in races.values() for run in runs]
    text = (
        f"# Listing of {keys:,} keys, pages of 1,000 that take {PAGE_S * 1000:g} ms\n\n"
        f"- emasync revision: {facts['revision']}\n- machine: {facts['machine']}\n"
        f"- load while measuring (processes that want a processor): {min(loads)} to {max(loads)}\n\n"
        + "\n".join(table)
        + "\n"
    )
    document = {"keys": keys, **facts, "races": {shape: [asdict(run) for run in runs] for shape, runs in races.items()}}
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (out / f"{name}.md").write_text(text)
    print(text)


def whole_run(given: argparse.Namespace) -> None:
    """Measure a run and print one JSON object (given: the parsed command line)."""
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
