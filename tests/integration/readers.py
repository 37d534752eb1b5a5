"""What tests of readers share: a run against a twin, and the folder it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.folders import run_within

from emasync.testing.archive_twin import ArchiveTwin

HASTY = {"127.0.0.1": {"max_attempts": 2}}


def fetched(twin: ArchiveTwin, root: Path, **dataset: Any) -> Path:
    """Fetch one dataset, named ``d``, from a twin by a whole run; gives the folder."""
    with twin.serve() as archive:
        manifest = {
            "version": 1,
            "mirrors": twin.mirrors(archive.url),
            "settings": {"hosts": HASTY},
            "datasets": [{"id": "d", **dataset}],
        }
        receipt = run_within(manifest, root)
    assert receipt.failures == ()
    assert receipt.exit_code == 0
    return root / "d"
