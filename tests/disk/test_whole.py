from __future__ import annotations

from pathlib import Path

from emasync.disk.interface import WholeFile
from emasync.disk.sink import LocalSink


def test_files_written_whole_arrive_byte_for_byte(root: Path, sink: LocalSink) -> None:
    bodies = {f"d/{number % 3}/x{number}": bytes([number]) * number * 1000 for number in range(20)}
    files = [
        WholeFile(f"p-{number}", (body[:7], memoryview(body)[7:]), len(body))
        for number, body in enumerate(bodies.values())
    ]
    batch = sink.write_whole(files)
    batch.sync()
    batch.close()
    assert batch.errors == [None] * 20
    assert sink.place_many([(f"p-{number}", path) for number, path in enumerate(bodies)]) == [None] * 20
    assert {path: (root / path).read_bytes() for path in bodies} == bodies
    assert list(sink.partials()) == []
