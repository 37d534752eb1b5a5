"""An EMPIAR entry, from its API to whole files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.folders import files_below, run_within

from emasync.testing import Archive
from emasync.testing.empiar import EmpiarTwin


def manifest(url: str, **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "mirrors": EmpiarTwin.mirrors(url),
        "datasets": [{"id": "retina", "source": "empiar", "entry": 11759, **more}],
    }


def serve(archive: Any, twin: EmpiarTwin, *servers: frozenset[str], **more: Any) -> Archive:
    store = twin.store()
    started: Archive = archive(store, apps=twin.apps(store, *servers), **more)
    return started


def test_an_entry_arrives_whole_and_is_not_asked_for_again(archive: Any, tmp_path: Path) -> None:
    twin = EmpiarTwin()
    served = serve(archive, twin)
    receipt = run_within(manifest(served.url), tmp_path)
    assert receipt.failures == ()
    assert files_below(tmp_path / "retina") == {**twin.files, "11759.xml": twin.xml()}
    served.reset()
    again = run_within(manifest(served.url), tmp_path)
    assert again.ok
    assert served.requests == []
