"""Plan, status and receipt as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emasync.model.amounts import megabytes

SHOWN_FAILURES = 10


def receipt_text(receipt: Mapping[str, Any]) -> str:
    """The receipt in some lines (Any: JSON)."""
    lines = [_dataset_line(dataset) for dataset in receipt["datasets"]]
    failures = [failure for dataset in receipt["datasets"] for failure in dataset["failures"]]
    lines += [f"  {failure['kind']}: {failure['message']}" for failure in failures[:SHOWN_FAILURES]]
    if len(failures) > SHOWN_FAILURES:
        lines.append(f"  ... and {len(failures) - SHOWN_FAILURES} more: see receipt.json")
    totals = receipt["totals"]
    lines.append(
        f"{totals['objects']:,} objects on disk, {megabytes(totals['bytes_fetched'])} fetched in "
        f"{totals['wall_s']:.1f} s with {totals['requests']:,} requests ({totals['retries']:,} retries)"
    )
    if receipt.get("stopped"):
        lines.append(f"stopped: {receipt['stopped']}")
    return "\n".join(lines)


def _dataset_line(dataset: Mapping[str, Any]) -> str:
    verified = dataset["verified"]
    checked = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in verified.items() if count)
    extra = "".join(
        f", {dataset[name]:,} {word}"
        for name, word in (("failed", "failed"), ("absent", "left out by the publisher"), ("unwanted", "unwanted"))
        if dataset.get(name)
    )
    extra += f", {len(dataset['missing']):,} missing and accepted" if dataset.get("missing") else ""
    counts = f"{dataset['objects']:,} objects, {megabytes(dataset['bytes'])}"
    status = dataset["status"] + (" (metadata only)" if dataset.get("metadata_only") else "")
    return f"{dataset['id']}: {status}, {counts} (verified: {checked or 'none'}){extra}"


def status_text(status: Mapping[str, Any]) -> str:
    """The snapshot in some lines (Any: JSON)."""
    running = "a run is going on" if status.get("running") else "no run is going on"
    lines = [f"{running}; as of {status.get('time', 'unknown')}"]
    for dataset in status.get("datasets", ()):
        objects = dataset["objects"]
        counts = ", ".join(f"{count:,} {state}" for state, count in objects.items() if count)
        lines.append(f"{dataset['dataset']}: {counts or 'nothing yet'}")
    return "\n".join(lines)


def plan_text(plan: Mapping[str, Any]) -> str:
    """The preview in some lines (Any: JSON)."""
    lines = [f"{plan['objects']:,} objects, {megabytes(plan['bytes'])}"]
    if plan.get("unknown_sizes"):
        lines[0] += f" and {plan['unknown_sizes']:,} objects of unknown size"
    lines += [f"{host}: {count:,} requests" for host, count in plan["hosts"].items()]
    if plan.get("longest_path"):
        lines.append(f"longest path: {plan['longest_path']}")
    if plan.get("clashes"):
        lines.append(f"{plan['clashes']:,} names collide with others")
    failures = plan.get("failures", ())
    lines += [f"{failure['kind']}: {failure['message']}" for failure in failures[:SHOWN_FAILURES]]
    if len(failures) > SHOWN_FAILURES:
        lines.append(f"... and {len(failures) - SHOWN_FAILURES} more: see --json")
    if plan.get("lock"):
        lines.append(f"locked: {plan['lock']}")
    if plan.get("problem"):
        lines.append(f"would not fit: {plan['problem']}")
    return "\n".join(lines)
