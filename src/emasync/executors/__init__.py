"""Where engines run: in this process (``local``), or in supervised processes of their own (``processes``).

One process owns root, lock and ledger: it plans, recovers, sweeps, and deals out tasks and connections. The engines of
``processes`` move what they are dealt (law 12):

====================  =========================================================================================
``processes.py``      the executor: recovery first, then workers until nothing is left; restarts
``child.py``          one spawned process: an inherited socket pair, no pickle, its last words
``owner.py``          the owner's side of one worker: answers it from the ledger, knows what it holds
``worker.py``         the program of a worker: an engine whose ledger is at the other end of the socket
``proxy.py``          the worker's ledger and upkeep: named calls only
``channel.py``        frames in, messages out: ``frames.py`` the bytes, ``messages.py`` and ``values.py`` the values
``employment.py``     one life of a worker as the owner sees it; ``aftermath.py`` what one that died left
``epochs.py``         one order of epochs over several committers
``leases.py``         how much of what is left one worker may hold
``shares.py``         a limit divided among processes: never more in use than there is; ``hosts.py`` for each origin
``tenancy.py``        a process's part in limits it shares
``choice.py``         how many processes
====================  =========================================================================================
"""
