"""What hooks are told of a root, and how they are run: with the run, later, and not at all."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import ClassVar

import orjson
import pytest
from tests.integration.folders import run_within
from typer.testing import CliRunner

from emasync import api
from emasync.api.hooking import known_facts
from emasync.cli.main import app
from emasync.errors import ErrorKind, InputError, SourceError
from emasync.hooks.interface import HookContext, HookReport, SeriesFacts
from emasync.hooks.run_notes import known_hooks
from emasync.model.events import Event
from emasync.model.task import State
from emasync.testing import Archive

OBJECTS = {f"data/{number}.bin": bytes([number]) * 100 for number in range(3)}


class CountingHook:
    """A plug-in's hook: counts what was placed, and writes it down."""

    seen: ClassVar[list[HookContext]] = []

    def run(self, context: HookContext) -> HookReport:
        CountingHook.seen.append(context)
        placed = sum(1 for one in context.datasets for _ in context.ledger.rows(dataset=one.id, state=State.PLACED))
        context.sink.write_document("counted.json", orjson.dumps({"placed": placed}))
        return HookReport(counts={"placed": placed}, notes=("one thing was passed over",))


class FailingHook:
    def run(self, context: HookContext) -> HookReport:
        raise SourceError("this hook always fails", location=context.datasets[0].id)


@pytest.fixture
def plug_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hooks of other packages; the failing one comes first."""
    CountingHook.seen.clear()
    points = EntryPoints(
        EntryPoint(name, f"{__name__}:{kind.__name__}", "emasync.hooks")
        for name, kind in (("failing", FailingHook), ("counting", CountingHook))
    )

    def entry_points(*, group: str) -> EntryPoints:
        return points.select(group=group)

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


@pytest.fixture
def manifest(archive: Callable[..., Archive], tmp_path: Path) -> Path:
    path = tmp_path / "manifest.yaml"
    path.write_text(
        f"""
version: 1
datasets:
  - id: d
    source: bucket
    format: raw
    role: labels
    url: "{archive(OBJECTS).url}/data"
    series: {{pattern: "*.bin", spacing: 50}}
    metadata: {{voxel_size: [50, 8, 8], unit: nanometer, stain: osmium}}
"""
    )
    return path


@pytest.mark.usefixtures("plug_ins")
def test_hooks_run_after_the_bytes_are_down_and_one_that_fails_fails_alone(manifest: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    receipt = api.run(manifest, root=tmp_path / "root", on_event=events.append)

    assert receipt.ok
    assert orjson.loads((tmp_path / "root/counted.json").read_bytes()) == {"placed": 3}
    told = [event.fields for event in events if event.event in ("hook", "warning") and "hook" in event.fields]
    assert {"hook": "counting", "placed": 3, "notes": ["one thing was passed over"]} in told
    assert {"hook": "failing", "message": "hook failing: this hook always fails"} in told
    kept = known_hooks(tmp_path / "root/.emasync")
    assert kept["counting"] == HookReport(counts={"placed": 3}, notes=("one thing was passed over",))
    assert kept["failing"].notes == ("this hook always fails",)


class BrokenHook:
    def run(self, context: HookContext) -> HookReport:
        raise ZeroDivisionError("nobody foresaw this")


@pytest.mark.usefixtures("plug_ins")
def test_what_nobody_foresaw_in_a_hook_is_not_the_runs_failure(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FailingHook, "run", BrokenHook.run)
    events: list[Event] = []

    receipt = api.run(manifest, root=tmp_path / "root", on_event=events.append)

    assert receipt.ok
    (told,) = [str(event.fields["message"]) for event in events if event.fields.get("hook") == "failing"]
    assert told.startswith("hook failing: ZeroDivisionError: nobody foresaw this; ")
    assert "Traceback" in caplog.text
    assert (tmp_path / "root/counted.json").is_file()


@pytest.mark.usefixtures("plug_ins")
def test_a_hook_is_told_what_the_manifest_says(manifest: Path, tmp_path: Path) -> None:
    run_within(manifest, tmp_path / "root")

    (facts,) = CountingHook.seen[0].datasets
    assert (facts.id, facts.folder, facts.source, facts.role, facts.format) == ("d", "d", "bucket", "labels", "raw")
    assert facts.location.endswith("/data")
    assert facts.series == SeriesFacts(pattern="*.bin", spacing=50, unit="nanometer")
    assert facts.metadata == {"voxel_size": [50, 8, 8], "unit": "nanometer", "stain": "osmium"}
    assert known_facts(tmp_path / "root") == (facts,)


@pytest.mark.usefixtures("plug_ins")
def test_a_hook_runs_again_without_manifest_server_or_ledger(manifest: Path, tmp_path: Path) -> None:
    run_within(manifest, tmp_path / "root")
    manifest.unlink()

    report = api.hook(tmp_path / "root", "counting")

    assert report.counts == {"placed": 3}
    with pytest.raises(SourceError, match="always fails"):
        api.hook(tmp_path / "root", "failing")
    with pytest.raises(InputError, match="no dataset x; there are d"):
        api.hook(tmp_path / "root", "counting", only=["x"])


@pytest.mark.usefixtures("plug_ins")
def test_no_hooks_runs_none_and_still_writes_receipt_and_checksums(manifest: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = CliRunner().invoke(app, ["run", str(manifest), "--root", str(root), "--no-hooks", "--quiet"])

    assert done.exit_code == 0
    assert CountingHook.seen == []
    assert not (root / "d.source-metadata").exists()
    assert (root / "receipt.json").is_file()
    assert (root / "checksums/d.tsv").is_file()


def test_a_root_without_facts_says_what_to_do(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no emasync state") as caught:
        api.hook(tmp_path, "index")
    assert caught.value.kind is ErrorKind.INPUT
