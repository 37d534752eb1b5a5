"""Runs into the tree that flexiznam keeps, and the acquisition files for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.folders import files_below, run_within

from emasync.model.events import Event
from emasync.testing import Archive
from emasync.testing.aind import BUCKET, write_asset
from emasync.testing.stores import FolderStore

RAW = "exaSPIM_654308_2023-11-02_14-07-20"


class Flat:
    """A flat bucket in a folder, served."""

    def __init__(self, folder: Path, start: Callable[..., Archive]) -> None:
        self.bucket = folder / BUCKET
        self.bucket.mkdir(parents=True)
        self.archive = start(FolderStore(folder))
        self.events: list[Event] = []

    def manifest(self, assets: list[str], layout: dict[str, Any] | None = None, **entry: Any) -> dict[str, Any]:
        return {
            "version": 1,
            "mirrors": {f"s3://{BUCKET}": f"{self.archive.url}/{BUCKET}"},
            "settings": {"hosts": {"127.0.0.1": {"max_attempts": 2}}},
            "layout": {"kind": "flexiznam", "project": "aind_open", **(layout or {})},
            "datasets": [{"id": "d", "source": "aind", "assets": assets, **entry}],
        }

    def run(self, root: Path, assets: list[str], layout: dict[str, Any] | None = None, **entry: Any) -> Any:
        return run_within(self.manifest(assets, layout, **entry), root, on_event=self.events.append)


@pytest.fixture
def flat(archive: Callable[..., Archive], tmp_path: Path) -> Flat:
    return Flat(tmp_path / "served", archive)


def test_an_imaged_brain(flat: Flat, tmp_path: Path) -> None:
    write_asset(flat.bucket, RAW, tiles=1, levels=2)
    receipt = flat.run(tmp_path / "root", [RAW])
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    source = files_below(flat.bucket / RAW)
    brain = files_below(tmp_path / "root/flexiznam/raw/aind_open/654308/brain")
    sidecars = {path for path in source if "/" not in path}
    assert brain == {f"sidecars/{path}" if path in sidecars else path: data for path, data in source.items()}
