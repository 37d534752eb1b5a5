"""Measurements that are no race: what one more object costs, what the guarantees cost, how long a start takes."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from statistics import median

from bench.cases import CASES
from bench.content import Dataset
from bench.contestants import NULL_RUN, Contestant, Job, curl, emasync, null_engine
from bench.measuring import free_environment
from bench.racing import Arena, Race, hold, tell
from bench.standings import RaceResult

START_LIMIT_S = 60.0


def marginal_cpu(arena: Arena, *, factor: float, rounds: int, time_limit_s: float, peer: bool) -> dict[str, float]:
    """Client CPU of one more 64 KiB object, microseconds, by contestant: figures named ``marginal_cpu_us ...``.

    Those of curl, too, if `peer`. A run over three times the objects minus a run over them: start and end of the
    program cancel out.
    """
    few, many = CASES["small64k"].scaled(factor), CASES["marginal"].scaled(factor)
    contestants = (emasync(), curl(32)) if peer else (emasync(),)
    cpu_s: dict[tuple[str, str], list[float]] = {}
    with arena.dataset(few) as less, arena.dataset(many) as more:
        for _ in range(rounds):
            for contestant in contestants:
                for case, dataset in ((few, less), (many, more)):
                    race = Race(case=case, contestants=(contestant,), rounds=1, time_limit_s=time_limit_s)
                    run, _ = arena.run(contestant, dataset, race)
                    tell(contestant, run)
                    if run.problem is None:
                        cpu_s.setdefault((contestant.name, case.name), []).append(run.cpu_s)
    found = {one: cost_us(cpu_s, one, less, more) for one in contestants}
    return {f"marginal_cpu_us {one.family}": value for one, value in found.items() if value is not None}


def cost_us(cpu_s: dict[tuple[str, str], list[float]], one: Contestant, less: Dataset, more: Dataset) -> float | None:
    """Microseconds an object, from the medians of the two jobs; None when one of them never succeeded."""
    short, long = cpu_s.get((one.name, less.name)), cpu_s.get((one.name, more.name))
    if not short or not long:
        return None
    return (median(long) - median(short)) / (len(more.names) - len(less.names)) * 1e6


def overhead(arena: Arena, *, factor: float, rounds: int, time_limit_s: float) -> tuple[RaceResult, float] | None:
    """A race against the engine without ledger, checksums and durability, and the share of time they take.

    None when there is no such engine beside this file, or one of the two failed.
    """
    if not NULL_RUN.exists():
        return None
    case = CASES["small64k"].scaled(factor)
    with arena.dataset(case) as dataset:
        race = Race(case=case, contestants=(emasync(), null_engine()), rounds=rounds, time_limit_s=time_limit_s)
        result = hold(arena, dataset, race)
    ours, null = (one.wall_s for one in result.standings)
    return (result, ours / null - 1) if ours and null else None


def start_up(arena: Arena, *, rounds: int) -> float | None:
    """Median seconds from the start of ``emasync run`` to the first byte of its first request; None: none came."""
    folder = arena.folders["tmpfs"] / "start"
    folder.mkdir()
    times_s = []
    for index in range(rounds + 1):
        inner = folder / str(index)
        inner.mkdir()
        if (waited_s := first_request_s(inner, arena.origin.authority)) is None:
            return None
        times_s.append(waited_s)
    return median(times_s[1:])  # the first one warms the page cache


def first_request_s(folder: Path, authority: Path) -> float | None:
    """Start ``emasync run`` against a socket that answers nothing; seconds until it asks, None when it does not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nothing = Dataset("small64k", folder, (), ())
        launch = emasync().launch(Job(nothing, f"http://127.0.0.1:{listener.getsockname()[1]}", folder, authority))
        quiet = subprocess.DEVNULL
        environment = free_environment(folder, authority)
        started_s = time.monotonic()
        process = subprocess.Popen(launch.command, cwd=folder, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            return time.monotonic() - started_s if asked(listener, process) else None
        finally:
            process.kill()
            process.wait()


def asked(listener: socket.socket, process: subprocess.Popen[bytes]) -> bool:
    """Wait for the first byte of the first request; False when the process ends without any."""
    listener.settimeout(0.1)
    for _ in range(int(START_LIMIT_S / 0.1)):
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            if process.poll() is not None:
                return False
        else:
            with connection:
                connection.settimeout(START_LIMIT_S)
                return bool(connection.recv(1))
    return False
