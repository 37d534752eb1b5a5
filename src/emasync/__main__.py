"""The program: ``python -m emasync``, and the command ``emasync``. A process of its own, that ends with it."""

from __future__ import annotations

import gc
import os
from typing import NoReturn

COLLECT_EVERY = 10_000
"""Objects between two searches for cycles. Python's 700 searches 200 times while the machinery is imported, a tenth of
the start; a run leaves next to no cycles behind."""


def program() -> NoReturn:
    """Run what the command line says, and leave with its exit code."""
    gc.set_threshold(COLLECT_EVERY)
    # pydantic would look for plug-ins of its own in every installed package: 200 files, on a network disk a second
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from emasync.cli.main import main  # noqa: PLC0415 - imports are most of what is searched

    try:
        main()
    finally:
        gc.freeze()  # what is left goes with the process: to look for cycles in all of it takes 0.07 s


if __name__ == "__main__":
    program()
