"""Run as a program: hostile files, each indexed and read to its end in a process with little time and memory.

Prints a line of JSON a file: what came of it, and what it took. A process that dies is told by its status.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from tests.hooks.index.places import run_hook

import emasync
from emasync.errors import EmasyncError
from emasync.formats.json_document import parse_object
from emasync.hooks.interface import DatasetFacts
from emasync.model.geometry import Box
from emasync.testing.tiff import ArrayPages, strip_stack
from emasync.testing.tiff_directory import ASCII, Entry
from emasync.volume.index import open_index
from emasync.volume.volume import Volume

MOST_BYTES: Final = 512 << 20
MOST_PROCESSOR_S: Final = 2
SLAB_BYTES: Final = 16 << 20
PIXELS: Final = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)

IMPORTED: Final = ("emasync.api.reading", "emasync.formats.tiff.format", "imagecodecs")
"""Once, and not in each process."""

Outcome = dict[str, Any]


def read_copy(source: Path, root: Path) -> Outcome:
    """A file, or a tree, of a dataset whose run is forgotten."""
    target = root / "d" / source.name
    target.parent.mkdir(parents=True)
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    return read_all(root)


def read_half(source: Path, root: Path) -> Outcome:
    """The first half of a healthy file."""
    target = root / "d" / source.name
    target.parent.mkdir(parents=True)
    target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    return read_all(root)


def read_xml(source: Path, root: Path) -> Outcome:
    """A document as the OME-XML of a TIFF file: its elements are called as there."""
    text = source.read_bytes()
    for name in (b"root", b"bomb"):
        text = text.replace(b"<" + name, b"<OME").replace(b"</" + name, b"</OME")
    stack = strip_stack(ArrayPages(PIXELS), lambda page: () if page else [Entry(270, ASCII, text.strip() + b"\0")])
    (root / "d").mkdir(parents=True)
    (root / "d/a.ome.tif").write_bytes(stack.read(0, 1 << 20))
    return read_all(root)


def read_documents(source: Path, _: Path) -> Outcome:
    """Documents of all formats of trees; the whole folder has the time of one file."""
    found = {}
    for path in sorted(source.glob("*.json")):
        try:
            parse_object(path.name, path.read_bytes())
            found[path.name] = "object"
        except EmasyncError as error:
            found[path.name] = str(error.kind)
    return {"notes": [], "read": found}


def read_all(root: Path) -> Outcome:
    """Every array of a dataset, to its end; an error of another kind goes on to the top."""
    run_hook(root, DatasetFacts(id="d", folder="d"))
    index, found = open_index(root, "d"), {}
    for entry in index.entries():
        try:
            volume = emasync.open_volume(root, "d", entry.asset, entry.path, entry.scale)
            for box in slabs(volume):
                volume.read(box.start, box.shape)
            found[f"{entry.asset}#{entry.path}"] = "voxels"
        except EmasyncError as error:
            found[f"{entry.asset}#{entry.path}"] = str(error.kind)
    return {"notes": list(index.notes), "read": found or {"": refusal(root)}}


def refusal(root: Path) -> str:
    """What who opens a dataset without arrays is told."""
    try:
        emasync.open_volume(root, "d")
    except EmasyncError as error:
        return str(error.kind)
    return "voxels"


def slabs(volume: Volume) -> Iterator[Box]:
    """Parts of a volume that are read one after the other, none larger than it must be."""
    low, high = volume.bounds.start, volume.bounds.stop
    if not low:
        yield volume.bounds
        return
    row_bytes = volume.dtype.itemsize
    for first, last in zip(low[1:], high[1:], strict=True):
        row_bytes *= last - first
    step = max(1, SLAB_BYTES // max(1, row_bytes))
    for at in range(low[0], high[0], step):
        yield Box((at, *low[1:]), (min(at + step, high[0]), *high[1:]))


READERS: Final[dict[str, Callable[[Path, Path], Outcome]]] = {
    "copy": read_copy,
    "half": read_half,
    "xml": read_xml,
    "documents": read_documents,
}


def confined(reader: str, source: Path, root: Path) -> Outcome:
    """What came of one file, in a forked process."""
    answers, answer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(answers)
        try:
            limit()
            found = READERS[reader](source, root)
        except BaseException as error:  # noqa: BLE001 - told to the test, which fails of it
            found = {"foreign": f"{type(error).__name__}: {error}"}
        children_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        os.write(answer, json.dumps(found | {"children_bytes": children_kib << 10}).encode())
        os._exit(0)
    os.close(answer)
    with os.fdopen(answers, "rb") as pipe:
        told = pipe.read()
    _, status, used = os.wait4(process, 0)
    took = {"status": status, "bytes": used.ru_maxrss << 10, "processor_s": used.ru_utime + used.ru_stime}
    return {"file": source.name, **took, **(json.loads(told) if told else {})}


def limit() -> None:
    """Of this process, and of those that it starts."""
    taken_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken_bytes + MOST_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_PROCESSOR_S,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Lines of standard input: a reader, a tab, a path."""
    scratch = Path(sys.argv[1])
    for module in IMPORTED:
        import_module(module)
    for number, line in enumerate(sys.stdin):
        reader, _, path = line.rstrip("\n").partition("\t")
        sys.stdout.write(json.dumps(confined(reader, Path(path), scratch / str(number))) + "\n")


if __name__ == "__main__":
    main()
