"""What a start does not wait for: modules that are imported where they are needed, and not before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emasync.cli.commands import COMMANDS

NOT_FOR_HELP = (
    *("aiohttp", "anyio", "numpy", "sqlite3", "uvloop", "yaml", "zarr"),
    *(
        "emasync.api.moving",
        "emasync.engine",
        "emasync.ledger",
        "emasync.manifest",
        "emasync.testing",
        "emasync.transport",
    ),
)

NOT_FOR_A_RAW_BUCKET = (
    "entry_points.txt",  # a file, not a module: plug-ins are looked for where a built-in will not do
    *("aiobotocore", "aiohttp", "botocore", "defusedxml", "fsspec", "msgspec", "numcodecs", "numpy", "rich", "zarr"),
    *("emasync.executors.processes", "emasync.formats", "emasync.hooks.report", "emasync.manifest.archives"),
    *("emasync.manifest.schema", "emasync.plan.select", "emasync.testing", "emasync.volume", "multiprocessing"),
)

ASKED = """
import os, socket, sys, threading

opened = []
sys.addaudithook(lambda event, arguments: event == "open" and opened.append(os.path.basename(str(arguments[0]))))
listener = socket.create_server(("127.0.0.1", 0))

def tell():
    connection, _ = listener.accept()
    connection.recv(1)
    os.write(2, "\\n".join([*sorted(sys.modules), *set(opened).intersection(["entry_points.txt"])]).encode())
    os._exit(0)

threading.Thread(target=tell, daemon=True).start()
url = f"http://127.0.0.1:{listener.getsockname()[1]}/bucket/"
source = {"bucket": f"format: raw\\n    url: {url}", "web": f"files: [{{url: {url}a.bin}}]"}[sys.argv[1]]
with open("manifest.yaml", "w") as file:
    file.write(f"version: 1\\ndatasets:\\n  - id: d\\n    source: {sys.argv[1]}\\n    {source}\\n")

from emasync.__main__ import program
sys.argv = ["emasync", "run", "manifest.yaml", "--root", "data", "--quiet"]
program()
"""
"""A run that ends at its first request, and says which modules it had imported by then."""

HELPED = """
import sys
from emasync.cli.main import main
try:
    main(["run", "--help"])
finally:
    print(*sorted(sys.modules), sep="\\n", file=sys.stderr)
"""


ENDED = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count() > 0, gc.get_threshold()[0] > 700, file=sys.stderr))
from emasync.__main__ import program
sys.argv = ["emasync", "--version"]
program()
"""
"""A process that says, as it ends, how its garbage collector stands."""


def modules_of(code: str, *arguments: str, folder: Path) -> set[str]:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True, timeout=60)
    return set(done.stderr.split())


def test_help_does_not_wait_for_what_it_does_not_use(tmp_path: Path) -> None:
    imported = modules_of(HELPED, folder=tmp_path)

    assert "emasync.cli.run" in imported
    assert not imported.intersection(NOT_FOR_HELP)


def test_a_command_does_not_wait_for_the_others(tmp_path: Path) -> None:
    imported = modules_of(HELPED, folder=tmp_path)

    assert imported.isdisjoint(f"emasync.cli.{name}" for name in COMMANDS if name != "run")


def test_the_collector_searches_neither_start_nor_end(tmp_path: Path) -> None:
    assert modules_of(ENDED, folder=tmp_path) == {"True"}


@pytest.mark.parametrize("source", ["bucket", "web"])
def test_the_first_request_does_not_wait_for_what_comes_later(source: str, tmp_path: Path) -> None:
    imported = modules_of(ASKED, source, folder=tmp_path)

    assert f"emasync.sources.{source}" in imported
    assert not imported.intersection(NOT_FOR_A_RAW_BUCKET)
