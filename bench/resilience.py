"""Measures what trouble costs: silent requests, storms of refusals, capped request rates, checks, repair, digests.

``python bench/resilience.py`` takes a quarter of an hour on a quiet machine, ``--quick`` some minutes (smaller, said
so). Needs nginx and openssl. Results go to ``bench/results/resilience.json`` and ``.md``; ``--case NAME`` measures one
of them and keeps the others' figures.

- ``stalls``: 2 % of the answers stop somewhere for ever. Each may cost the silence that is borne, on one connection of
  many: wall <= that without them + 1.2 p n D / C + D, of n requests over C connections with a stall time-out D.
- ``storm``: for three seconds all is refused with Retry-After; goodput is back within 10 s after the last one.
- ``capped``: a server that takes 200 requests a second; of those sent once the limit is found few are refused.
- ``verify``: ``verify --full`` against a loop that reads and hashes and does nothing else, the same algorithm, as many
  threads; what opening and closing a root takes is told apart.
- ``repair``: what is fetched for one flipped bit, by the server's count.
- ``md5``: a transfer whose MD5 is published, against the slower one of a transfer without and ``openssl md5``;
  from a server on the same cores, and over a line of 120 MB/s.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, this folder is no package

from bench.machine import machine, revision, versions
from bench.racing import REPOSITORY
from bench.resilience_files import md5, repair, verify
from bench.resilience_servers import capped, stalls, storm
from bench.standings import Results
from bench.targets import Target, figure, verdict_on
from bench.transfer import open_arena

from bench import report

CASES = {"stalls": stalls, "storm": storm, "capped": capped, "verify": verify, "repair": repair, "md5": md5}
PART_MIB = 8

TARGETS = (
    Target("small objects, 2 % of the answers stall: wall against the bound", "<=", 1.0, figure("stalls small")),
    Target("ranges, 2 % of the answers stall: wall against the bound", "<=", 1.0, figure("stalls ranges")),
    Target("goodput from 10 s after a storm on, of that before", ">=", 95, figure("storm recovered", 100), "%"),
    Target("refused requests at a capped server, once the limit is found", "<=", 2, figure("capped wasted", 100), "%"),
    Target("verify --full of 4 GiB, speed of the bare loop", ">=", 0.9, figure("verify large")),
    Target("verify --full of 20,000 x 64 KiB, speed of the bare loop", ">=", 0.9, figure("verify small")),
    Target("fetched again for one flipped bit", "<=", PART_MIB, figure("repair fetched_mib"), "MiB"),
    Target("4 GiB with a published MD5, wall against the slower of its parts", "<=", 1.1, figure("md5 ratio")),
    Target("the same over a line of 120 MB/s", "<=", 1.1, figure("md5 over a line ratio")),
)


def main(arguments: list[str] | None = None) -> Results:
    """Measure, write the results, print the verdicts (arguments: the command line; None: that of this process)."""
    given = parser().parse_args(arguments)
    name = "resilience-quick" if given.quick else "resilience"
    began_s = time.monotonic()
    with ExitStack() as stack:
        arena = open_arena(stack, given.shm, given.disk)
        facts = {
            "programme": "quick, smaller" if given.quick else "full",
            "emasync revision": revision(REPOSITORY),
            "machine": machine(arena.folders),
            "versions": versions(),
        }
        results = Results(facts=facts, scaled=given.quick)
        if given.case:
            results.figures = earlier(given.out / f"{name}.json")
        for case, measured in CASES.items():
            if not given.case or case in given.case:
                print(f"{case}:", flush=True)
                results.figures |= measured(arena, quick=given.quick)
                write(results, given.out, name)
    print(f"\n{table(results)}\n\n{time.monotonic() - began_s:.0f} s in total; see {given.out}")
    return results


def parser() -> argparse.ArgumentParser:
    """The command line."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--quick", action="store_true", help="smaller, in some minutes")
    given.add_argument("--case", action="append", choices=list(CASES), default=[], help="may be repeated")
    given.add_argument("--shm", type=Path, default=Path("/dev/shm"), help="a tmpfs")  # noqa: S108 - private folder inside
    given.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="a disk")  # noqa: S108 - as above
    given.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    return given


def earlier(path: Path) -> dict[str, float]:
    """Figures of earlier results; none where there are none."""
    return dict(json.loads(path.read_text())["figures"]) if path.exists() else {}


def table(results: Results) -> str:
    """Targets with verdicts."""
    return report.target_table([verdict_on(one, one.measured(results), scaled=results.scaled) for one in TARGETS])


def write(results: Results, folder: Path, name: str) -> None:
    """Write ``name.json`` and ``name.md`` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"facts": dict(results.facts), "figures": results.figures}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    facts = "\n".join(f"- {fact}: {report.flat(value)}" for fact, value in results.facts.items())
    rows = "\n".join(f"| {fact} | {value:.4g} |" for fact, value in results.figures.items())
    parts = ["# What trouble costs", facts, "## Targets", table(results), "## Figures"]
    (folder / f"{name}.md").write_text("\n\n".join([*parts, f"| figure | value |\n|---|---|\n{rows}"]) + "\n")


if __name__ == "__main__":
    main()
