"""A root with whatever files a test puts there, described without a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
from tests.hooks.metadata.tables import Root

from emasync.disk.sink import LocalSink
from emasync.hooks.interface import DatasetFacts, HookContext, HookReport
from emasync.hooks.metadata.hook import MetadataHook
from emasync.ledger.store import SqliteLedger
from emasync.model.clock import SystemClock
from emasync.model.events import ignore_event

Content = bytes | str | dict[str, Any] | list[Any]


def put(folder: Path, files: Mapping[str, Content]) -> None:
    """Write files; what is no text or bytes as JSON."""
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        place.write_bytes(data if isinstance(data, bytes) else orjson.dumps(data))


def run_hook(root: Path, *facts: DatasetFacts, hurry: Callable[[], bool] = lambda: False) -> HookReport:
    """Run the hook over datasets of a root, with a ledger that knows nothing."""
    state = root / ".emasync"
    ledger = SqliteLedger.open(state, root=root, clock=SystemClock())
    try:
        with closing(LocalSink(root)) as sink:
            context = HookContext(
                root=root,
                state_dir=state,
                sink=sink,
                ledger=ledger,
                datasets=facts,
                all_datasets=facts,
                on_event=ignore_event,
                hurry=hurry,
            )
            return MetadataHook().run(context)
    finally:
        ledger.close(clean=True)


def described(
    root: Path, files: Mapping[str, Content], originals: Mapping[str, Content] | None = None, **facts: Any
) -> Root:
    """Describe one dataset ``d`` of these files, and of documents kept beside it."""
    put(root / "d", files)
    put(root / "d.source-metadata", originals or {})
    run_hook(root, DatasetFacts(id="d", folder="d", **facts))
    return Root(root)
