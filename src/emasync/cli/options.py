"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Mirror = Annotated[list[str] | None, typer.Option(help="FROM=TO: ask TO instead of FROM; may be repeated.")]
Only = Annotated[list[str] | None, typer.Option(help="Dataset id; may be repeated.")]
MaxBandwidth = Annotated[str | None, typer.Option(help="Such as 200MB/s.")]
MaxTotal = Annotated[str | None, typer.Option(help="Pause (exit 4) before more is wanted, such as 2TB.")]
Workers = Annotated[str | None, typer.Option(help="Processes that fetch: a number, or auto.")]
Checksums = Annotated[str | None, typer.Option(help="published, sha256 (compute it for everything too) or size.")]
Refresh = Annotated[bool, typer.Option("--refresh", help="List sources again, to find what changed.")]
Adopt = Annotated[bool, typer.Option("--adopt", help="Check and take over files that are there already.")]
NoHooks = Annotated[bool, typer.Option("--no-hooks", help="Write receipt and checksums only.")]
AllowPrivate = Annotated[
    bool,
    typer.Option("--allow-private", help="What others wrote may name loopback and private addresses and local paths."),
]
EventsJson = Annotated[
    bool, typer.Option("--json", help="NDJSON events on stdout; --json=objects for each object too.")
]
ObjectsJson = Annotated[bool, typer.Option("--json-objects", hidden=True)]
LogFile = Annotated[Path | None, typer.Option(help="Write the log there.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
