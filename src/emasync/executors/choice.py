"""How many processes. Pure, but for the look at the machine.

A process pays where one is bound by its core and another core is free: small objects cost one engine about 50 us of
its core each, so one core moves 10,000 to 20,000 a second. ``auto`` therefore takes

- what the machine has to spare: its cores (those this process may use), less the load of the last minute, less one for
  the owner, who plans and keeps the ledger;
- not more than the sources can keep busy: a process for each eight connections that the policies allow, all origins of
  the manifest together;
- not more than eight: the ledger is one, and takes some 80,000 objects a second;

and if that is less than two, one engine in this process: with a single worker the ledger's core and the engine's are
two, but every object crosses a socket.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Literal

from emasync.errors import InputError

Workers = int | Literal["auto"]
ExecutorName = Literal["local", "processes"]

CONNECTIONS_A_WORKER = 8
MOST_WORKERS = 8


def spare_cores() -> float:
    """Cores that this process may use and that were idle over the last minute."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = 0.0
    with suppress(OSError):
        load = os.getloadavg()[0]
    return max(0.0, cores - load)


def auto_workers(spare: float, connections: int) -> int:
    """Workers that pay, by the rule above; 1 for none but this process.

    Parameters
    ----------
    spare : float
        Cores, see :func:`spare_cores`.
    connections : int
        Sum of ``max_connections`` over the origins.
    """
    found = min(int(spare + 0.5) - 1, connections // CONNECTIONS_A_WORKER, MOST_WORKERS)
    return max(1, found)


def choose(executor: ExecutorName | None, workers: Workers, *, spare: float, connections: int) -> int:
    """Number of worker processes; 0 for an engine in this process.

    Parameters
    ----------
    executor : {"local", "processes"} or None
        None: as the number of workers says.
    workers : int or "auto"
    spare, connections
        As :func:`auto_workers`.

    Raises
    ------
    InputError
        One process was asked for, and several.
    """
    if executor == "local":
        if workers not in (1, "auto"):
            raise InputError(f"workers: {workers} and executor local: one engine runs there; use executor processes")
        return 0
    count = auto_workers(spare, connections) if workers == "auto" else workers
    return count if executor == "processes" or count > 1 else 0
