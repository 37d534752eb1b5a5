"""What ``import emasync`` offers, and what it does not load."""

from __future__ import annotations

import subprocess
import sys

import emasync

HEAVY = ("aiohttp", "aiobotocore", "botocore", "numpy", "pydantic", "rich", "typer", "yaml", "zarr", "sqlite3")


def test_importing_the_package_loads_next_to_nothing() -> None:
    code = f"import sys, emasync; print([name for name in {HEAVY!r} if name in sys.modules])"

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(emasync, "nothing_of_that_name")
