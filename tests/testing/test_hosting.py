"""The serving process, run in a thread to be looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest

from emasync.testing import hosting
from emasync.testing.faults import FaultBook
from emasync.testing.memory import MemoryStore
from emasync.testing.misbehaviour import FaultySite
from emasync.testing.serving import Serving
from emasync.testing.site import Site


@pytest.fixture
def child() -> Iterator[tuple[Connection, threading.Thread]]:
    ours, theirs = Pipe()
    serving = Serving(site=FaultySite(Site(store=MemoryStore({"b/k": b"1"}))))
    thread = threading.Thread(target=hosting._process_main, args=(serving, theirs))
    thread.start()
    assert ours.recv() > 0
    yield ours, thread
    ours.close()
    thread.join(20)
    theirs.close()
    assert not thread.is_alive()


def ask(pipe: Connection, command: str, *arguments: object) -> Any:
    pipe.send((command, arguments))
    return pipe.recv()


def test_commands(child: tuple[Connection, threading.Thread]) -> None:
    pipe, thread = child
    assert ask(pipe, "requests") == []
    assert ask(pipe, "counts") == {}
    assert ask(pipe, "load").in_flight == 0
    for command in ("reset", "hold", "release"):
        assert ask(pipe, command) is None
    assert ask(pipe, "set_faults", FaultBook({})) is None
    assert ask(pipe, "stop") == []
    thread.join(20)
    assert not thread.is_alive()


def test_it_ends_with_its_parent(child: tuple[Connection, threading.Thread]) -> None:
    pipe, thread = child
    pipe.close()
    thread.join(20)
    assert not thread.is_alive()


def test_it_ends_quietly_on_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hosting, "_serve", interrupted)
    ours, theirs = Pipe()
    serving = Serving(site=FaultySite(Site(store=MemoryStore())))
    hosting._process_main(serving, theirs)
    ours.close()
    theirs.close()


def test_a_server_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise OSError("no address")

    monkeypatch.setattr(hosting, "_serve", broken)
    with pytest.raises(OSError, match="no address"):
        hosting.ThreadHost(Serving(site=FaultySite(Site(store=MemoryStore()))))


def test_without_uvloop_the_standard_loop_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvloop", None)
    assert hosting._loop_factory() is None
    host = hosting.ThreadHost(Serving(site=FaultySite(Site(store=MemoryStore()))))
    assert host.close() == []
