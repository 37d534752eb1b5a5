"""``emasync prune``: removes what a manifest no longer wants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from emasync import api
from emasync.cli.report import SHOWN_FAILURES
from emasync.model.amounts import megabytes

EXIT_CHANGED = 1


def prune(
    root: Annotated[Path, typer.Argument(help="The root of earlier runs.")],
    manifest: Annotated[Path, typer.Argument(help="The YAML manifest that it was planned for last.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the same, change nothing.")] = False,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Dataset to remove whatever manifest it came from; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Remove objects that the manifest no longer wants, where they are still what was written. Asks no server.

    A dataset that the manifest does not name goes if it came from this manifest file and no other manifest used with
    the root names it; else it stays and is named, until --drop names it.

    Exit codes: 0 done; 1 something stays because somebody changed it, each file named; 2 the root was planned for
    something else last, or the command line is wrong; 4 a run is going on there, or the disk cannot be changed.
    """
    report = api.prune(root, manifest, dry_run=dry_run, drop=tuple(drop or ()))
    document = report.to_dict()
    typer.echo(json.dumps(document) if as_json else report_text(document))
    if not report.ok:
        raise typer.Exit(EXIT_CHANGED)


def report_text(report: Mapping[str, Any]) -> str:
    """The report in some lines (Any: JSON)."""
    verb = "would be removed" if report["dry_run"] else "removed"
    lines = [_dataset_line(dataset, verb) for dataset in report["datasets"]]
    changed = [name for dataset in report["datasets"] for name in dataset["changed_files"]]
    lines += [f"  changed by somebody, stays: {name}" for name in changed[:SHOWN_FAILURES]]
    if len(changed) > SHOWN_FAILURES:
        lines.append(f"  ... and more: all are in --json, the first 1,000 a dataset (shown: {SHOWN_FAILURES})")
    lines += [f"{name}: stays: {why} (--drop {name} removes it)" for name, why in report["kept"].items()]
    return "\n".join(lines or ["nothing to remove"])


def _dataset_line(dataset: Mapping[str, Any], verb: str) -> str:
    name = dataset["id"] or "files that nobody stands for"
    what = f"{dataset['objects']:,} objects, {megabytes(dataset['size_bytes'])} {verb}"
    documents = f", {dataset['documents']:,} rewritten documents" if dataset["documents"] else ""
    whole = " (all of it)" if dataset["dropped"] else ""
    return f"{name}{whole}: {what}{documents}"
