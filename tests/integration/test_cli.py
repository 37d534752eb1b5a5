"""The real command, as people and other programs start it."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below

from emasync.testing import Archive
from emasync.testing.memory import MemoryStore

DEADLINE_S = 60.0

SMALL = {f"d/{number:03d}.bin": bytes([number]) * (1000 + number) for number in range(20)}
LARGE = {"d/large.bin": bytes(range(256)) * 24_000}
EXPECTED = {path.removeprefix("d/"): data for path, data in {**SMALL, **LARGE}.items()}


def emasync(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emasync", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore({f"bucket/{path}": data for path, data in {**SMALL, **LARGE}.items()})


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two datasets of one bucket; where the bucket is asked for is the command line's to say."""
    path = tmp_path / "manifest.yaml"
    path.write_text(
        """
version: 1
root: data
settings:
  hosts:
    127.0.0.1: {part_size: 256KiB, max_connections: 4, give_up_after: 2s}
datasets:
  - {id: all, source: bucket, url: "s3://bucket/d"}
  - {id: one, source: bucket, url: "s3://bucket/d/007.bin"}
"""
    )
    return path


@pytest.fixture
def server(archive: Callable[..., Archive], store: MemoryStore) -> Archive:
    return archive(store)


def mirror(server: Archive) -> str:
    return f"s3://bucket={server.url}/bucket"


def check_complete(folder: Path) -> None:
    assert files_below(folder / "data" / "all") == EXPECTED
    assert files_below(folder / "data" / "one") == {"007.bin": SMALL["d/007.bin"]}


def test_events_are_lines_and_the_receipt_is_the_last(server: Archive, manifest: Path, tmp_path: Path) -> None:
    done = emasync("run", manifest, "--mirror", mirror(server), "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    events = events_of(done.stdout)
    for event in events:
        assert datetime.fromisoformat(event["time"]).utcoffset() is not None
    names = [event["event"] for event in events]
    assert names[-1] == "receipt"
    assert names.count("receipt") == 1
    assert "object_done" not in names
    assert {"dataset_started", "asset_planned", "plan_progress", "hook", "dataset_done"} <= set(names)
    ended = {event["dataset"]: event["status"] for event in events if event["event"] == "dataset_done"}
    assert ended == {"all": "complete", "one": "complete"}
    told = {key: value for key, value in events[-1].items() if key not in ("event", "time")}
    assert told == json.loads((tmp_path / "data" / "receipt.json").read_text())
    check_complete(tmp_path)


def test_each_object_is_told_of_on_demand(server: Archive, manifest: Path) -> None:
    done = emasync("run", manifest, "--mirror", mirror(server), "--json=objects", "--only", "all")
    assert done.returncode == 0
    objects = [event for event in events_of(done.stdout) if event["event"] == "object_done"]
    assert {event["destination"]: event["bytes"] for event in objects} == {
        f"all/{path}": len(data) for path, data in EXPECTED.items()
    }


def test_people_read_on_stderr(server: Archive, manifest: Path, tmp_path: Path) -> None:
    done = emasync("run", manifest, "--mirror", mirror(server), "--root", tmp_path / "else where")
    assert done.returncode == 0
    assert done.stdout == ""
    assert "all: complete, 21 objects" in done.stderr
    assert files_below(tmp_path / "else where" / "all") == EXPECTED
    assert not (tmp_path / "data").exists()


def test_quiet_prints_errors_only(server: Archive, store: MemoryStore, manifest: Path) -> None:
    done = emasync("run", manifest, "--mirror", mirror(server), "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    store.put("bucket/d/new.bin", b"new")
    server.set_faults({"bucket/d/new.bin": [{"forbidden": True}]})
    done = emasync("run", manifest, "--mirror", mirror(server), "--quiet", "--refresh")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert "access_denied" in line
    assert "s3://bucket/d/new.bin" in line


def test_only_runs_what_it_names(server: Archive, manifest: Path, tmp_path: Path) -> None:
    done = emasync("run", manifest, "--mirror", mirror(server), "--only", "one", "--json")
    assert done.returncode == 0
    assert [item["id"] for item in events_of(done.stdout)[-1]["datasets"]] == ["one"]
    assert not (tmp_path / "data" / "all").exists()
    wrong = emasync("run", manifest, "--only", "two")
    assert wrong.returncode == 2
    assert "--only two" in wrong.stderr
    assert "all, one" in wrong.stderr


def test_max_total_stops_before_and_a_larger_one_goes_on(server: Archive, manifest: Path, tmp_path: Path) -> None:
    done = emasync("run", manifest, "--mirror", mirror(server), "--max-total", "1MB", "--json")
    assert done.returncode == 4
    receipt = events_of(done.stdout)[-1]
    assert (receipt["event"], receipt["exit_code"]) == ("receipt", 4)
    assert "max_total is 1,000,000 bytes" in receipt["stopped"]
    assert json.loads((tmp_path / "data" / "receipt.json").read_text())["exit_code"] == 4
    assert emasync("run", manifest, "--mirror", mirror(server), "--max-total", "1GB").returncode == 0
    check_complete(tmp_path)


def test_sha256_goes_into_the_table(server: Archive, manifest: Path, tmp_path: Path) -> None:
    done = emasync("run", manifest, "--mirror", mirror(server), "--checksums", "sha256")
    assert done.returncode == 0
    header, *rows = (tmp_path / "data" / "checksums" / "all.tsv").read_text().splitlines()
    assert header.split("\t") == ["path", "size", "published", "computed", "verified"]
    table = {row.split("\t")[0]: row.split("\t") for row in rows}
    assert table.keys() == {f"all/{path}" for path in EXPECTED}
    for path, data in EXPECTED.items():
        columns = table[f"all/{path}"]
        assert columns[1] == str(len(data))
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" in columns[3].split(",")


def test_files_that_are_there_are_adopted_or_left_alone(server: Archive, manifest: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "all"
    folder.mkdir(parents=True)
    for path, data in EXPECTED.items():
        (folder / path).write_bytes(data if path != "001.bin" else b"mine")
    done = emasync("run", manifest, "--mirror", mirror(server), "--only", "all", "--json")
    assert done.returncode == 1
    failures = events_of(done.stdout)[-1]["datasets"][0]["failures"]
    assert {failure["kind"] for failure in failures} == {"destination_exists"}
    assert "--adopt" in failures[0]["message"]

    server.reset()
    done = emasync("run", manifest, "--mirror", mirror(server), "--only", "all", "--adopt", "--json")
    (dataset,) = events_of(done.stdout)[-1]["datasets"]
    assert (done.returncode, dataset["objects"]) == (1, len(EXPECTED) - 1)
    (failure,) = dataset["failures"]
    assert (failure["kind"], failure["location"]) == ("size_mismatch", "s3://bucket/d/001.bin")
    assert server.counts() == {}
    assert (folder / "001.bin").read_bytes() == b"mine"


def test_refresh_finds_what_is_new(server: Archive, store: MemoryStore, manifest: Path, tmp_path: Path) -> None:
    assert emasync("run", manifest, "--mirror", mirror(server)).returncode == 0
    store.put("bucket/d/new.bin", b"new")
    server.reset()
    again = emasync("run", manifest, "--mirror", mirror(server), "--json")
    assert events_of(again.stdout)[-1]["totals"]["requests"] == 0
    assert server.counts() == {}
    assert emasync("run", manifest, "--mirror", mirror(server), "--refresh").returncode == 0
    assert (tmp_path / "data" / "all" / "new.bin").read_bytes() == b"new"


def test_the_log_has_what_matters(server: Archive, manifest: Path, tmp_path: Path) -> None:
    server.set_faults({"bucket/d/003.bin": [{"missing": True}], "bucket/d/004.bin": [{"status": 500, "times": 1}]})
    log = tmp_path / "run.log"
    assert emasync("run", manifest, "--mirror", mirror(server), "--log-file", log, "--quiet").returncode == 1
    lines = log.read_text().splitlines()
    assert any(" ERROR " in line and "failed" in line and "s3://bucket/d/003.bin" in line for line in lines)
    assert any("retry" in line and "s3://bucket/d/004.bin" in line for line in lines)
    assert any("receipt" in line for line in lines)
    wrong = emasync("run", manifest, "--log-file", tmp_path / "no" / "folder" / "x.log")
    assert wrong.returncode == 2
    assert "--log-file" in wrong.stderr


# --- stopping -----------------------------------------------------------------------------------------------------


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command, going on in the background."""
    command = [sys.executable, "-m", "emasync", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_in_good_order(
    number: signal.Signals, archive: Callable[..., Archive], store: MemoryStore, manifest: Path, tmp_path: Path
) -> None:
    slow = archive(store, rate_bytes_per_s=300_000)
    with started("run", manifest, "--mirror", mirror(slow), "--json") as process:
        slow.wait_until(lambda load: load.bytes_sent > 500_000)
        process.send_signal(number)
        output, complaints = process.communicate(timeout=20)  # 2 s on an idle machine
    assert process.returncode == 3, complaints
    receipt = events_of(output)[-1]
    assert receipt["event"] == "receipt"
    assert "run again to resume" in receipt["stopped"]
    for path, data in files_below(tmp_path / "data" / "all").items():
        assert data == EXPECTED[path]

    done = emasync("status", tmp_path / "data", "--json")
    assert json.loads(done.stdout)["running"] is False
    fast = archive(store)
    resumed = emasync("run", manifest, "--mirror", mirror(fast), "--json")
    assert resumed.returncode == 0, resumed.stderr
    check_complete(tmp_path)
    assert slow.bytes_sent + fast.bytes_sent < sum(map(len, EXPECTED.values())) + 4 * (256 << 10) + 300_000


def test_status_looks_on_from_outside(
    archive: Callable[..., Archive], store: MemoryStore, manifest: Path, tmp_path: Path
) -> None:
    slow = archive(store, rate_bytes_per_s=300_000)
    with started("run", manifest, "--mirror", mirror(slow), "--json") as process:
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:  # the second one: a snapshot was written before
            seen += json.loads(line)["event"] == "progress"
            if seen == 4:
                break
        status = json.loads(emasync("status", tmp_path / "data", "--json").stdout)
        assert status["running"] is True
        assert {item["dataset"] for item in status["datasets"]} == {"all", "one"}
        assert "a run is going on" in emasync("status", tmp_path / "data").stdout
        second = emasync("run", manifest, "--mirror", mirror(slow))
        assert second.returncode == 4
        assert f"in use by process {process.pid}" in second.stderr
        process.kill()
        process.wait()
    assert json.loads(emasync("status", tmp_path / "data", "--json").stdout)["running"] is False


# --- looking ------------------------------------------------------------------------------------------------------


def test_a_plan_counts_and_writes_nothing(server: Archive, manifest: Path, tmp_path: Path) -> None:
    done = emasync("plan", manifest, "--mirror", mirror(server), "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["objects"] == len(EXPECTED) + 1
    assert plan["bytes"] == sum(map(len, EXPECTED.values())) + len(SMALL["d/007.bin"])
    assert list(tmp_path.iterdir()) == [manifest]
    asked = {seen.path.partition("/")[2] for seen in server.requests}
    assert asked & {f"d/{path}" for path in EXPECTED} == {"d/007.bin"}  # is it an object? its first byte tells
    tight = emasync("plan", manifest, "--mirror", mirror(server), "--max-total", "1kB")
    assert tight.returncode == 4
    assert "would not fit" in tight.stdout


def test_schema_is_json_schema() -> None:
    schema = json.loads(emasync("schema").stdout)
    assert "datasets" in schema["properties"]


def test_the_catalog_gives_manifests_that_are_ready(tmp_path: Path) -> None:
    listed = json.loads(emasync("catalog", "--json").stdout)["catalog"]
    rows = {row["name"]: row for row in listed}
    assert rows["epfl"]["voxel_size_zyx"] == [5.0, 5.0, 5.0]
    assert "489.0 MB  CC0-1.0" in emasync("catalog").stdout
    shown = emasync("catalog", "quickstart")
    assert "#   licence:      CC-BY-4.0" in shown.stdout
    assert "version: 1" in shown.stdout
    told = json.loads(emasync("catalog", "quickstart", "--json").stdout)
    assert told == {**rows["quickstart"], "manifest": told["manifest"]}
    assert shown.stdout.endswith(told["manifest"])
    unknown = emasync("catalog", "nothing")
    assert unknown.returncode == 2
    assert "quickstart" in unknown.stderr


def test_the_demonstration_needs_no_network(tmp_path: Path) -> None:
    done = emasync("demo", "--root", tmp_path / "demo", "--only", "openorganelle-nacc-2", "--only", "epfl", "--json")
    assert done.returncode == 0, done.stderr
    shown = {row["dataset"]: row for row in json.loads(done.stdout)["shown"]}
    assert shown.keys() == {"epfl-hippocampus", "nacc-2-s3", "nacc-2-box"}
    assert [row["problems"] for row in shown.values()] == [[], [], []]
    assert shown["epfl-hippocampus"]["verified"] == {"published": 1}
    assert Path(shown["nacc-2-box"]["look"]).read_bytes().startswith(b"\x89PNG")
    receipt = json.loads((tmp_path / "demo" / "openorganelle-nacc-2" / "receipt.json").read_text())
    assert [item["status"] for item in receipt["datasets"]] == ["complete"] * 2


def test_the_demonstration_in_words(tmp_path: Path) -> None:
    done = emasync("demo", "--root", tmp_path / "demo", "--only", "idr-9846137", "--faults", "20")
    assert done.returncode == 0, done.stderr
    assert "IDR " in done.stderr
    assert "identical" in done.stderr
    assert str(tmp_path / "demo") in done.stderr
    unknown = emasync("demo", "--only", "nothing")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("emasync: no manifest nothing; there are em-datasets, epfl")


@pytest.mark.parametrize("arguments", [(), ("run", "m.yaml", "--bogus"), ("status", "nowhere")])
def test_wrong_command_lines(arguments: tuple[str, ...]) -> None:
    done = emasync(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


NOTEBOOK = """
import asyncio, sys
import emasync

async def cell():
    receipt = emasync.run(sys.argv[1], root=sys.argv[2])
    print(receipt.ok)

asyncio.run(cell())
"""


def test_inside_a_running_loop(server: Archive, manifest: Path, tmp_path: Path) -> None:
    text = manifest.read_text().replace("version: 1", f'version: 1\nmirrors: {{"s3://bucket": "{server.url}/bucket"}}')
    manifest.write_text(text)
    command = [sys.executable, "-c", NOTEBOOK, str(manifest), str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.stdout == "True\n", done.stderr
    check_complete(tmp_path)
