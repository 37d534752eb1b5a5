"""Benches against the loopback archive: budgets and caps as the server counts them, and sources that fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import emasync
from emasync.api.bench_load import Purse, Window, base_of, key_of
from emasync.api.benchmark import abench
from emasync.errors import InputError
from emasync.model.location import Location
from emasync.settings import MIB
from emasync.testing import Archive
from emasync.testing.clock import ManualClock

Archives = Callable[..., Archive]

LARGE = bytes(8 * MIB)
SMALL_BYTES = 4_096
SMALL = {f"bucket/small/{number:04d}": bytes(SMALL_BYTES) for number in range(400)}


def manifest_of(url: str, **policy: object) -> dict[str, Any]:
    hosts = {"127.0.0.1": policy} if policy else {}
    dataset = {"id": "d", "source": "bucket", "format": "raw", "url": url}
    return {"version": 1, "datasets": [dataset], "settings": {"hosts": hosts}}


def test_ranges_of_one_object(archive: Archives) -> None:
    server = archive({"bucket/large.bin": LARGE})

    report = emasync.bench(f"{server.url}/bucket/large.bin", budget_bytes=64 * MIB)

    (host,) = report.hosts
    assert (report.problem, host.kind, host.objects) == (None, "large", 1)
    assert host.best is not None
    assert host.best.first_byte_p50_s is not None
    ranges = [seen.range for seen in server.requests if seen.status == 206]
    assert "bytes=1048576-2097151" in ranges
    assert report.settings["hosts"][server.url.removeprefix("http://")]["part_size"].endswith("MiB")


def test_the_cap_of_the_policy_is_never_exceeded(archive: Archives) -> None:
    server = archive({"bucket/large.bin": LARGE, **SMALL}, latency_s=0.005)

    report = emasync.bench(manifest_of(f"{server.url}/bucket/", max_connections=3), budget_bytes=96 * MIB, time_s=4.0)

    assert {host.cap for host in report.hosts} == {3}
    assert max(step.setting.connections for host in report.hosts for step in host.steps) == 3
    assert server.load.peak_in_flight == 3
    assert server.load.peak_connections <= 3 + 1  # one of the listings', which is idle by then


def test_no_more_bytes_are_asked_for_than_the_budget_has(archive: Archives) -> None:
    server = archive({"bucket/large.bin": LARGE, **SMALL})
    budget_bytes = 6 * MIB

    report = emasync.bench(manifest_of(f"{server.url}/bucket/"), budget_bytes=budget_bytes)

    data = sum(step.bytes for host in report.hosts for step in host.steps)
    assert 0 < data <= report.bytes <= budget_bytes
    asked = [span_bytes(seen.range) for seen in server.requests if seen.status == 206]
    whole = sum(seen.status == 200 and seen.path.startswith("bucket/small/") for seen in server.requests)
    assert sum(asked) + whole * SMALL_BYTES <= budget_bytes
    assert any("want of bytes" in note for host in report.hosts for note in host.notes)


def span_bytes(text: str | None) -> int:
    first, _, last = (text or "").removeprefix("bytes=").partition("-")
    return int(last) - int(first) + 1


def test_small_objects_are_fetched_whole(archive: Archives) -> None:
    server = archive(SMALL)

    report = emasync.bench(f"{server.url}/bucket/small/", budget_bytes=4 * MIB)

    (host,) = report.hosts
    assert (host.kind, host.objects) == ("small", len(SMALL))
    assert host.best is not None
    assert host.best.bytes == host.best.requests * SMALL_BYTES
    assert not any(seen.range for seen in server.requests if seen.path.startswith("bucket/small/"))
    assert "part_size" not in report.settings["hosts"][server.url.removeprefix("http://")]


def test_a_server_that_fails_gives_a_problem_and_no_settings(archive: Archives) -> None:
    server = archive({"bucket/large.bin": LARGE}, faults={"bucket/large.bin": [{"status": 403}]})

    report = emasync.bench(f"{server.url}/bucket/large.bin", budget_bytes=32 * MIB)

    assert report.problem is not None
    assert report.settings == {}
    assert all(host.best is None for host in report.hosts)


def test_objects_that_cannot_be_had_are_errors_and_end_the_climb(archive: Archives) -> None:
    server = archive(SMALL, faults={"bucket/small/*": [{"status": 403}]})

    report = emasync.bench(f"{server.url}/bucket/small/", budget_bytes=32 * MIB)

    (host,) = report.hosts
    (step,) = host.steps
    assert step.errors >= 20
    assert report.problem is not None
    assert "403" in report.problem


def test_time_is_a_budget_too(archive: Archives) -> None:
    server = archive(SMALL, faults={"bucket/small/*": [{"stall_after": 0}]})

    async def main() -> emasync.BenchReport:
        clock = ManualClock()
        async with asyncio.TaskGroup() as group:
            bench = group.create_task(abench(manifest_of(f"{server.url}/bucket/"), time_s=30.0, clock=clock))
            await server.until(lambda _: any(seen.path.startswith("bucket/small/") for seen in server.requests))
            while not bench.done():
                clock.advance(0.5)
                await asyncio.sleep(0)
        return bench.result()

    report = asyncio.run(main())

    assert 1.0 <= report.seconds <= 31.0
    (host,) = report.hosts
    assert [step.bytes for step in host.steps] == [0]
    assert report.problem is not None


def test_nothing_is_left_behind(archive: Archives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server = archive(SMALL)

    emasync.bench(f"{server.url}/bucket/", budget_bytes=MIB)

    assert list(tmp_path.iterdir()) == []


def test_the_report_is_json_and_its_settings_belong_into_a_manifest(archive: Archives) -> None:
    server = archive({"bucket/large.bin": LARGE})

    document = json.loads(json.dumps(emasync.bench(f"{server.url}/bucket/", budget_bytes=32 * MIB).to_dict()))

    manifest = {**manifest_of(f"{server.url}/bucket/"), "settings": document["settings"]}
    policy = emasync.api.load(manifest).settings.policy(Location.parse(server.url))
    (best,) = (step for step in document["hosts"][0]["steps"] if step["best"])
    assert (policy.max_connections, policy.part_bytes) == (best["connections"], best["part_bytes"])


@pytest.mark.parametrize("source", ["ftp://host/x", "nowhere.yaml", "http://user:secret@host/x"])
def test_wrong_input_is_refused(source: str) -> None:
    with pytest.raises(InputError):
        emasync.bench(source)
    with pytest.raises(InputError):
        emasync.bench("s3://bucket", budget_bytes=0)


def test_a_share_ends_a_window() -> None:
    window = Window(Purse(100), left_bytes=4)

    assert window.admits(4, first=False)
    assert not window.ended.is_set()
    assert not window.admits(4, first=False)
    assert window.ended.is_set()
    assert window.purse.left_bytes == 96


def test_the_first_request_of_a_connection_goes_beyond_the_share_but_never_beyond_the_budget() -> None:
    window = Window(Purse(9), left_bytes=1)

    assert window.admits(5, first=True)
    assert not window.admits(5, first=True)
    assert window.purse.left_bytes == 4


@pytest.mark.parametrize("url", ["http://h/a%20b/c?d=e", "s3://bucket/a b/c", "gs://bucket/x"])
def test_keys_below_their_place(url: str) -> None:
    location = Location.parse(url)

    assert str(base_of(location)) + key_of(location) == str(location)
