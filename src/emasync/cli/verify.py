"""``emasync verify``: files against ledger, and repair."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from emasync import api
from emasync.cli.options import Only
from emasync.cli.report import SHOWN_FAILURES, receipt_text
from emasync.model.amounts import megabytes

EXIT_FLAWED = 1


def verify(
    root: Annotated[Path, typer.Argument(help="The root of earlier runs.")],
    *,
    full: Annotated[bool, typer.Option("--full", help="Read all bytes; otherwise sizes, times and a sample.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Fetch what is bad again, and nothing else.")] = False,
    only: Only = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the files of a root with what was checked and placed; asks no server unless something is repaired.

    A quick look reads a sample, and all files that were changed when no run was under way. --full reads every byte.

    Exit codes: 0 all as it was placed, or mended; 1 something is bad, each file named; 2 there is no such root;
    4 a run is going on there, or the disk cannot be read.
    """
    report = api.verify(root, full=full, repair=repair, only=tuple(only or ()))
    document = report.to_dict()
    typer.echo(json.dumps(document) if as_json else report_text(document))
    if not report.ok:
        raise typer.Exit(EXIT_FLAWED)


def report_text(report: Mapping[str, Any]) -> str:
    """The report in some lines (Any: JSON)."""
    lines = [_dataset_line(dataset) for dataset in report["datasets"]]
    flaws = [flaw for dataset in report["datasets"] for flaw in dataset["flaws"]]
    lines += [f"  {flaw['kind']}: {flaw['message']}" for flaw in flaws[:SHOWN_FAILURES]]
    if len(flaws) > SHOWN_FAILURES:
        lines.append(f"  ... and more: all are in --json, the first 1,000 a dataset (shown: {SHOWN_FAILURES})")
    lines += [
        f"  tree: {tree['path']} has the checksum {tree['found']}, published is {tree['published']}: the archive's "
        "record speaks of other files than were fetched; run again with --refresh"
        for dataset in report["datasets"]
        for tree in dataset["trees"]
        if tree["found"] not in (None, tree["published"])
    ]
    if flaws and not report["reopened"]:
        lines.append("emasync verify --repair fetches these again, and nothing else")
    lines += [receipt_text(receipt) for receipt in report["receipts"]]
    lines += [
        f"{name}: its manifest is not where it was, or has changed; `emasync run` it to fetch what was bad"
        for name in report["unfetched"]
    ]
    return "\n".join(lines)


def _dataset_line(dataset: Mapping[str, Any]) -> str:
    bad = f"{dataset['flawed']:,} BAD" if dataset["flawed"] else "all good"
    return (
        f"{dataset['id']}: {dataset['objects']:,} objects, {megabytes(dataset['size_bytes'])}, "
        f"{megabytes(dataset['read_bytes'])} of them read: {bad}"
    )
