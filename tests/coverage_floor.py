"""Fail when the branch coverage of a package falls below its floor.

Usage: ``python tests/coverage_floor.py coverage.json``
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

FLOORS = {"plan": 95.0, "ledger": 95.0, "engine": 95.0, "model": 95.0, "manifest": 95.0}
"""Percent of lines and branches together, as coverage.py counts them."""


def coverage_by_package(report: Path) -> dict[str, float]:
    """Percent covered by package of ``emasync``."""
    covered: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for name, file in json.loads(report.read_text())["files"].items():
        package = Path(name).parts[Path(name).parts.index("emasync") + 1].removesuffix(".py")
        summary = file["summary"]
        covered[package] += summary["covered_lines"] + summary["covered_branches"]
        total[package] += summary["num_statements"] + summary["num_branches"]
    return {package: 100 * covered[package] / total[package] for package in total if total[package]}


def main(report: Path) -> int:
    """Print the table; 1 when a floor is broken."""
    found = coverage_by_package(report)
    broken = 0
    for package, percent in sorted(found.items()):
        floor = FLOORS.get(package)
        mark = "" if floor is None else f"   floor {floor:.0f}"
        if floor is not None and percent < floor:
            mark += "   TOO LOW"
            broken += 1
        print(f"{package:12} {percent:5.1f} %{mark}")  # noqa: T201 - a script
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
