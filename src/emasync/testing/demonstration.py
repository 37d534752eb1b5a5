"""What ``emasync demo`` shows: every shipped manifest, run by the real code against the loopback twins of archives."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emasync import api
from emasync.errors import InputError
from emasync.manifest.load import parse_manifest
from emasync.manifest.manifest import Manifest
from emasync.model.receipt import DatasetReceipt, Receipt
from emasync.sources.catalog import shipped_manifests
from emasync.sources.catalog_entry import CatalogEntry
from emasync.testing.shipped.stand_in import StandIn, stand_in
from emasync.testing.shipped.truth import Truth
from emasync.testing.shipped.weather import PATIENCE, bad_weather

PICTURED = "nacc-2-box"
"""Dataset that one plane is drawn of."""

PICTURE = "demo-block.png"

BLOCK = 128
"""Side of the block that is shown, voxels; smaller where the volume is smaller."""

RUNS = 5
"""Most runs of one manifest: after bad weather a user runs it again, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What came of one dataset of one manifest.

    Attributes
    ----------
    manifest, dataset : str
    archive, what : str
        For people.
    objects, size_bytes : int
        On disk.
    verified : dict of str to int
        Objects by how the run verified them.
    problems : tuple of str
        What differs from the twin, and what failed; empty when all is well.
    look : Path
        One thing to look at.
    shows : str
        What it shows.
    """

    manifest: str
    dataset: str
    archive: str
    what: str
    objects: int
    size_bytes: int
    verified: dict[str, int]
    problems: tuple[str, ...]
    look: Path
    shows: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON (Any: its values)."""
        return {**asdict(self), "look": str(self.look)}


def demonstrate(root: Path, *, only: Sequence[str] = (), faults_percent: float = 0.0) -> Iterator[Shown]:
    """Run the shipped manifests against their twin, each into a folder of its own, and compare what lies there.

    Parameters
    ----------
    root : Path
    only : sequence of str
        Names of manifests; empty for all.
    faults_percent : float
        Requests in a hundred that meet a fault.

    Raises
    ------
    InputError
        `only` names a manifest that there is not.
    """
    entries = chosen(only)
    with stand_in() as made, made.twin.serve() as archive:
        for entry in entries:
            archive.set_faults(bad_weather(faults_percent) if faults_percent else {})
            receipt = run_again(read_shipped(entry, made, archive.url), root / entry.name)
            yield from _shown(entry.name, root / entry.name, receipt, made)


def chosen(only: Sequence[str]) -> list[CatalogEntry]:
    """Shipped manifests by name, in the catalogue's order.

    Raises
    ------
    InputError
        A name that there is not.
    """
    entries = [entry for entry in shipped_manifests() if not only or entry.name in only]
    if unknown := sorted(set(only) - {entry.name for entry in entries}):
        known = ", ".join(entry.name for entry in shipped_manifests())
        raise InputError(f"no manifest {', '.join(unknown)}; there are {known}")
    return entries


def read_shipped(entry: CatalogEntry, made: StandIn, url: str) -> Manifest:
    """A shipped manifest, to be asked of the archive at `url` in the place of the true ones."""
    manifest = parse_manifest(made.adapted(entry.text), file=f"{entry.name}.yaml", environ=os.environ)
    settings = replace(manifest.settings, mirrors=made.twin.mirrors(url), hosts={"127.0.0.1": PATIENCE})
    return replace(manifest, settings=settings)


def run_again(manifest: Manifest, root: Path) -> Receipt:
    """Run a manifest until it is complete, :data:`RUNS` times at most; gives the last receipt."""
    for _ in range(RUNS):
        receipt = api.run(manifest, root=root)
        if receipt.ok:
            break
    return receipt


def _shown(name: str, root: Path, receipt: Receipt, made: StandIn) -> Iterator[Shown]:
    for dataset in receipt.datasets:
        truth = made.truths[dataset.id]
        failed = [f"{failure.kind}: {failure.message}" for failure in dataset.failures]
        problems = (*failed, *truth.differences(root / dataset.id))
        yield _row(name, root, dataset, truth, problems)


def _row(name: str, root: Path, dataset: DatasetReceipt, truth: Truth, problems: tuple[str, ...]) -> Shown:
    look, shows = root / dataset.id / truth.look, truth.shows
    if dataset.id == PICTURED and not problems:
        look, shows = write_picture(root), "one plane of the box, drawn from the downloaded chunks"
    return Shown(
        manifest=name,
        dataset=dataset.id,
        archive=truth.archive,
        what=truth.what,
        objects=dataset.objects,
        size_bytes=dataset.bytes,
        verified={way: count for way, count in asdict(dataset.verified).items() if count},
        problems=problems,
        look=look,
        shows=shows,
    )


def write_picture(root: Path) -> Path:
    """Read one block of the downloaded box and write its middle plane as a PNG file; gives its path."""
    import zarr  # noqa: PLC0415 - heavy, and only the demo reads blocks here

    multiscales: Any  # JSON of our own writer
    (folder,) = (path.parent for path in (root / PICTURED).rglob(".zattrs") if "multiscales" in path.read_text())
    multiscales = zarr.open_group(folder, mode="r").attrs["multiscales"]
    array = zarr.open_array(folder / multiscales[0]["datasets"][0]["path"], mode="r")
    block = np.asarray(array[tuple(slice(0, BLOCK) for _ in range(3))])
    path = root / PICTURE
    path.write_bytes(png(stretch(block[block.shape[0] // 2])))
    return path


def stretch(plane: NDArray[Any]) -> NDArray[np.uint8]:
    """Stretch a plane (y, x) of any number type between its 1st and 99th percentile to 0..255."""
    low, high = (float(value) for value in np.percentile(plane, (1, 99)))
    scaled = (plane.astype(np.float64) - low) / (high - low or 1.0)
    return (np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def png(plane: NDArray[np.uint8]) -> bytes:
    """A grey picture as a PNG file (PNG specification, third edition, sections 5 and 11.2).

    Parameters
    ----------
    plane : ndarray of uint8, shape (y, x)
    """
    height, width = plane.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in plane)  # filter type 0 before each row
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, data) for name, data in chunks)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
