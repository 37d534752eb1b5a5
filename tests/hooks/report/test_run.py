"""Runs leave a page, and a note of how they went."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.hooks.report.desk import Page
from tests.integration.folders import run_within

from emasync import api
from emasync.api.options import RunOptions
from emasync.hooks.run_notes import known_hooks, known_runs
from emasync.model.events import Event
from emasync.testing import Archive

OBJECTS = {f"data/{number}.bin": bytes([number]) * 100 for number in range(3)}


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
    url: "{archive(OBJECTS).url}/data"
    metadata: {{license: CC-BY-4.0, citation: "Doe et al. <2020>"}}
"""
    )
    return path


def test_a_run_leaves_a_page_and_one_that_found_all_in_its_place_leaves_it_as_it_is(
    manifest: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    events: list[Event] = []
    run_within(manifest, root, on_event=events.append)

    found = Page((root / "report.html").read_bytes())
    (run,) = known_runs(root / ".emasync")
    (told,) = [event.fields for event in events if event.fields.get("hook") == "report"]
    assert (told["written"], told["datasets"], told["arrays_shown"]) == (1, 1, 0)
    assert "3 objects, 300 B" in found.text
    assert "Licence CC-BY-4.0 M Cite as Doe et al. <2020> M" in found.text
    assert (run.bytes_fetched, run.samples[-1].received_bytes, run.samples[-1].placed_objects) == (300, 300, 3)
    assert [(host.origin, host.requests) for host in run.hosts] == [(run.hosts[0].origin, run.requests)]
    assert run.hosts[0].origin in found.text

    before = (root / "report.html").stat()
    run_within(manifest, root)
    assert (root / "report.html").stat().st_mtime_ns == before.st_mtime_ns
    assert known_runs(root / ".emasync") == (run,)


def test_a_short_run_does_not_wait_for_what_draws_charts(manifest: Path, tmp_path: Path) -> None:
    run = (
        "import sys, emasync; "
        f"assert emasync.run({str(manifest)!r}, root={str(tmp_path / 'root')!r}).ok; "
        "print([name for name in ('matplotlib', 'PIL') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True)
    assert (tmp_path / "root/report.html").exists()
    assert told.stdout == "[]\n"


def test_the_page_can_be_written_again_without_a_run(manifest: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    run_within(manifest, root)
    (root / "report.html").unlink()
    assert api.hook(root, "report").counts == {"written": 1, "datasets": 1, "arrays_shown": 0}
    assert known_hooks(root / ".emasync")["report"].counts == {"written": 1, "datasets": 1, "arrays_shown": 0}


def test_no_hooks_is_no_page_and_the_run_is_remembered_all_the_same(manifest: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    run_within(manifest, root, options=RunOptions(hooks=False))
    assert not (root / "report.html").exists()
    assert len(known_runs(root / ".emasync")) == 1
