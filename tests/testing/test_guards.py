"""The guards that all tests run under."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError

import emasync


async def test_blocking_calls_of_the_package_fail_in_a_loop() -> None:
    code = compile("time.sleep(0)", str(Path(emasync.__path__[0]) / "engine" / "somewhere.py"), "exec")
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        exec(code, {"time": time})  # noqa: S102  # code that claims to be the package's


def test_blocking_calls_without_a_loop_are_free() -> None:
    code = compile("time.sleep(0)", str(Path(emasync.__path__[0]) / "engine" / "somewhere.py"), "exec")
    exec(code, {"time": time})  # noqa: S102  # code that claims to be the package's


async def test_the_archive_may_block_in_its_own_thread(fixtures_folder: Path) -> None:
    from emasync.testing import FolderStore

    assert FolderStore(fixtures_folder).has_bucket("dm3")


def test_each_loop(each_loop: Callable[[Coroutine[Any, Any, Any]], Any], request: pytest.FixtureRequest) -> None:
    async def kind() -> str:
        return type(asyncio.get_running_loop()).__module__.partition(".")[0]

    assert each_loop(kind()) in request.node.name
