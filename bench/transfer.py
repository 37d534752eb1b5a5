"""Races emasync against the programs people use, over servers on this machine, and judges its targets.

``python bench/transfer.py`` holds the full programme (hours: use a quiet machine), ``--quick`` one of three minutes
that shows the direction. Needs nginx (``apt-get install nginx-light``) and openssl; peers that are not installed are
named, with the way to get them. Results go to ``bench/results/``: everything as JSON, tables as Markdown. A long day
may be cut in pieces: ``--case small64k``, then ``--case nacc2 --add``.

- All contestants of a race take turns; each round begins with another one. Medians count. Each run has a fresh folder
  and an environment without settings, credentials and proxies; its bytes are checked afterwards.
- emasync runs as a command, over the server's listing, with its ledger, checksums and durability. curl, aria2c and the
  scripts below ``bench/clients/`` get lists of URLs and need no listing.
- Before a run into memory as much memory as its files need is used and let go of, so that nobody pays for pages that
  a virtual machine had given back to its host.
- Peers run at their defaults and at the best settings we know. On disk, a ``sync`` at the end counts for them where the
  case says so: emasync's run is durable when it ends.
- Times of the slow servers (``objectstore``, ``ebi``) show scheduling: see :mod:`bench.shaped`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, this folder is no package

from bench.cases import CASES
from bench.contestants import missing_peers
from bench.machine import machine, revision, versions
from bench.origins import serve
from bench.racing import REPOSITORY, Arena, hold
from bench.schedule import Options, programme, time_limit_s
from bench.standings import Results, Where
from bench.targets import judge

from bench import extras, report

MEASUREMENTS = ("marginal", "overhead", "startup")


def main(arguments: list[str] | None = None) -> Results:
    """Measure, write the results, print the verdicts (arguments: the command line; None: that of this process)."""
    given = parser().parse_args(arguments)
    options = options_of(given)
    started_s = time.monotonic()
    with ExitStack() as stack:
        arena = open_arena(stack, given.shm, given.disk)
        results = Results(facts=facts_of(arena, options), scaled=options.quick or options.scale != 1)
        for family, remedy in missing_peers().items():
            print(f"{family} is not installed: {remedy}")
        if given.add:
            results.races, results.figures = report.read(given.out, name_of(options))
        try:
            run_all(arena, options, results, given.out)
        except KeyboardInterrupt:
            print("interrupted; what was measured so far:")
    print(f"\n{report.target_table(judge(results))}\n\n{time.monotonic() - started_s:.0f} s in total; see {given.out}")
    return results


def _leave(number: int, frame: FrameType | None) -> None:
    """Unwind, so that folders and servers go."""
    del frame
    raise SystemExit(128 + number)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*(name for name in CASES if name not in MEASUREMENTS), *MEASUREMENTS]
    given.add_argument("--quick", action="store_true", help="a subset, smaller, in three minutes")
    given.add_argument("--case", action="append", choices=names, default=[], help="may be repeated")
    given.add_argument("--only", default="", help="families of contestants, such as emasync,curl")
    given.add_argument("--rounds", type=int)
    given.add_argument("--where", choices=("tmpfs", "disk"))
    given.add_argument("--tls", action="store_true", help="TLS only")
    given.add_argument("--plain", action="store_true", help="plain HTTP only")
    given.add_argument("--scale", type=float, default=1.0, help="of objects, or of the size of few large ones")
    given.add_argument("--shm", type=Path, default=Path("/dev/shm"), help="a tmpfs")  # noqa: S108 - private folder inside
    given.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="a disk")  # noqa: S108 - as above
    given.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    given.add_argument("--add", action="store_true", help="keep earlier results of races that are not held now")
    return given


def options_of(given: argparse.Namespace) -> Options:
    """The command line as values."""
    both = given.tls == given.plain
    where: tuple[Where, ...] = (given.where,) if given.where else ("tmpfs", "disk")
    return Options(
        quick=given.quick,
        cases=tuple(given.case),
        only=tuple(name for name in given.only.split(",") if name),
        rounds=given.rounds,
        where=where,
        tls=(False, True) if both else (given.tls,),
        scale=given.scale,
    )


def open_arena(stack: ExitStack, shm: Path, disk: Path) -> Arena:
    """Server and folders; they go with `stack`."""
    fast, slow = (
        Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emasync-bench-", dir=place)))
        for place in (shm, disk)
    )
    return Arena(stack.enter_context(serve(fast / "origin")), {"tmpfs": fast, "disk": slow})


def facts_of(arena: Arena, options: Options) -> dict[str, object]:
    """What a reader must know beside the figures."""
    return {
        "programme": f"{'quick' if options.quick else 'full'}, scale {options.scale:g}",
        "emasync revision": revision(REPOSITORY),
        "machine": machine(arena.folders),
        "versions": versions(),
        "missing": missing_peers(),
    }


def name_of(options: Options) -> str:
    """Name of the results' files."""
    if options.scale != 1:
        return "scaled"
    return "quick" if options.quick else "transfer"


def run_all(arena: Arena, options: Options, results: Results, out: Path) -> None:
    """All races and measurements that are asked for; results are written after each."""
    name = name_of(options)
    for races in programme(options):
        with arena.dataset(races[0].case) as dataset:
            for race in races:
                how = "TLS" if race.tls else "plain"
                print(
                    f"{race.case.name}, {how}, {race.where}: {len(dataset.names)} objects, {dataset.total_bytes} bytes"
                )
                result = hold(arena, dataset, race)
                results.take(result)
                report.write(results, out, name)
    measure_extras(arena, options, results)
    report.write(results, out, name)


def measure_extras(arena: Arena, options: Options, results: Results) -> None:
    """What is no race."""
    rounds, limit_s = options.rounds_of("small64k"), time_limit_s(CASES["small64k"], quick=options.quick)
    scale = options.factor("marginal")
    if options.only and "emasync" not in options.only:
        return
    if options.wants("marginal"):
        print("marginal: the same objects once and three times")
        results.figures |= extras.marginal_cpu(
            arena, factor=scale, rounds=rounds, time_limit_s=limit_s, peer=not options.quick
        )
    if options.wants("overhead"):
        print("overhead: against the engine without guarantees")
        if (found := extras.overhead(arena, factor=scale, rounds=rounds, time_limit_s=limit_s)) is not None:
            results.figures["overhead"] = found[1]
            results.figures["overhead_null_wall_s"] = found[0].standings[1].wall_s or 0.0
    if options.wants("startup") and (waited_s := extras.start_up(arena, rounds=rounds)) is not None:
        results.figures["start_up_s"] = waited_s


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    main()
