"""Servers, real files and guards that all tests may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from emasync.testing import Archive
from emasync.testing.peers import MotoS3, Nginx, ProgramMissingError


@pytest.fixture
def archive() -> Iterator[Callable[..., Archive]]:
    """Archive.start, with archives closed at the end of the test."""
    with ExitStack() as stack:

        def start(*args: object, **options: object) -> Archive:
            return stack.enter_context(Archive.start(*args, **options))  # type: ignore[arg-type]  # checked by Archive.start

        yield start


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx over an empty folder: put files below ``nginx.root``, in a folder of your own."""
    try:
        server = Nginx(tmp_path_factory.mktemp("nginx"))
    except ProgramMissingError as missing:
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture(scope="session")
def moto_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoS3]:
    """moto's S3 server without buckets: ``moto_s3.put(bucket, key, data)``, in a bucket of your own."""
    try:
        server = MotoS3(tmp_path_factory.mktemp("moto"))
    except ProgramMissingError as missing:
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture(scope="session")
def fixtures_folder() -> Path:
    """Folder of real files beside the checkout."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "fixtures"
    if not folder.is_dir():
        pytest.skip(f"no real files at {folder}")
    return folder


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fail a test whose event loop calls something that blocks, from this package's code.

    A module that must block (and says why) overrides this fixture.
    """
    guard = BlockBuster(["emasync"], excluded_modules=["emasync.testing"])
    # a thread that said it is done is joined: microseconds
    guard.functions["threading.Lock.acquire"].can_block_in("emasync/ledger/thread.py", {"aclose"})
    # the coverage tracer counts under a lock of its own, wherever it happens to be
    guard.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", {"lock_data"})
    guard.functions["threading.Lock.acquire"].can_block_in("uvloop/loop.pyx", {"shutdown_default_executor"})
    # small files are written and renamed where they arrive: on a filesystem that is fast enough, that is the loop
    for name, function in guard.functions.items():
        if name.startswith("os.") or name == "threading.Lock.acquire":
            function.can_block_in("emasync/disk/whole.py", {"write"})
            function.can_block_in("emasync/engine/sealing.py", {"place_small"})
    guard.activate()
    try:
        yield guard
    finally:
        guard.deactivate()


@pytest.fixture(params=["asyncio", "uvloop"])
def each_loop(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine on the standard loop and on uvloop: ``each_loop(main())`` in a test that is not async."""
    factory = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(work)

    return run
