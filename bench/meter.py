"""Runs one command and writes down what it took: ``python -I -S meter.py RESULT TIMEOUT_S SYNC LOG COMMAND...``.

A process of its own, and a small one: a child's peak memory is never counted below that of the process it came from
(Linux carries it over exec), and the times of all descendants come with ``wait4``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from types import FrameType


def main(result: str, timeout_s: float, log: str, command: list[str], *, sync: bool) -> None:
    """Run `command` in a process group of its own; kill the group after `timeout_s` seconds."""
    ended_by: list[int] = []
    running: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        ended_by.append(number)
        for group in running:
            os.killpg(group, signal.SIGKILL)

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    started_s = time.monotonic()
    pid = os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, out, 2),
        ],
        setpgroup=0,
    )
    running.append(pid)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    _, status, usage = os.wait4(pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    ended_s = time.monotonic()
    if sync:
        os.sync()
    facts = {
        "wall_s": ended_s - started_s,
        "sync_s": time.monotonic() - ended_s if sync else 0.0,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "exit_code": os.waitstatus_to_exitcode(status),
        "timed_out": signal.SIGALRM in ended_by,
    }
    with open(result, "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib would double this process
        json.dump(facts, file)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[4], sys.argv[5:], sync=sys.argv[3] == "1")
