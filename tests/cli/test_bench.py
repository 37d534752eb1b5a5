"""``emasync bench``: a table and settings for people, one object for programs, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from emasync.cli.bench import bench_text
from emasync.cli.main import main
from emasync.manifest.load import manifest_from_object
from emasync.model.location import Location
from emasync.testing import Archive

Archives = Callable[..., Archive]

OBJECTS = {"bucket/large.bin": bytes(4 << 20), **{f"bucket/{number}": bytes(1_000) for number in range(50)}}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["bench", *arguments])
    told = capsys.readouterr()
    return int(left.value.code or 0), told.out, told.err


def test_a_table_and_settings_to_paste(archive: Archives, capsys: pytest.CaptureFixture[str]) -> None:
    server = archive(OBJECTS)

    code, out, err = run(capsys, f"{server.url}/bucket/", "--budget", "32MiB", "--time", "20s")

    assert code == 0
    assert "first byte p50" in out
    assert "1 connections" in err
    block = yaml.safe_load("settings:" + out.partition("settings:")[2])
    dataset = {"id": "d", "source": "bucket", "url": f"{server.url}/bucket/"}
    loaded = manifest_from_object({"version": 1, "datasets": [dataset], **block})
    row = block["settings"]["hosts"][server.url.removeprefix("http://")]
    assert loaded.settings.policy(Location.parse(server.url)).max_connections == row["max_connections"]


def test_one_object_for_programs(archive: Archives, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    server = archive(OBJECTS)
    manifest = tmp_path / "manifest.yaml"
    dataset = f"{{id: d, source: bucket, format: raw, url: '{server.url}/bucket/'}}"
    manifest.write_text(f"version: 1\ndatasets: [{dataset}]\n")

    code, out, err = run(capsys, str(manifest), "--budget", "32MiB", "--json")

    assert (code, err) == (0, "")
    document = json.loads(out)
    assert set(document) == {"source", "hosts", "bytes", "seconds", "settings", "failures", "problem"}
    assert document["source"] == str(manifest)
    assert document["bytes"] <= 32 << 20
    assert [host["kind"] for host in document["hosts"]] == ["large", "small"]
    for host in document["hosts"]:
        assert set(host) == {"origin", "kind", "objects", "max_connections", "steps", "notes"}
        assert sum(step["best"] for step in host["steps"]) == 1
        for step in host["steps"]:
            assert {"connections", "part_bytes", "goodput_bytes_per_s", "requests_per_s"} < set(step)
            assert {"first_byte_p50_s", "first_byte_p95_s", "errors", "retries", "bytes", "seconds"} < set(step)


def test_nothing_to_measure_is_said(archive: Archives, capsys: pytest.CaptureFixture[str]) -> None:
    server = archive({"bucket/x": b""})

    code, out, _ = run(capsys, f"{server.url}/nowhere/")

    assert code == 1
    assert "nothing could be measured" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Missing argument"),
        (("nowhere.yaml",), "nowhere.yaml"),
        (("ftp://host/x",), "expected s3://"),
        (("s3://bucket", "--budget", "much"), "much"),
        (("s3://bucket", "--budget", "0"), "more than zero"),
        (("s3://bucket", "--time", "0s"), "0s"),
        (("s3://bucket", "--only", "other"), "no such dataset"),
    ],
)
def test_wrong_command_lines(arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)

    assert code == 2
    assert says in out + err


def test_local_files_have_no_settings() -> None:
    document: dict[str, Any] = {"hosts": [], "failures": [], "problem": None, "bytes": 1, "seconds": 1.0}

    assert "settings:" not in bench_text({**document, "settings": {}})
