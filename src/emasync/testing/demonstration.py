"""What ``emasync demo`` shows: volumes made on the spot, served by the loopback archive, fetched by the real code."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emasync.testing.archive import Archive
from emasync.testing.stores import FolderStore
from emasync.testing.volumes import write_multipage_tiff, write_ome_zarr_04, write_ome_zarr_05_sharded

BUCKET = "demo"

PICTURE = "demo-block.png"

BLOCK = 128
"""Side of the block that is shown, voxels; smaller where the volume is smaller."""


@contextmanager
def serve_demo() -> Iterator[dict[str, Any]]:
    """Generate the volumes, serve them on loopback, and give the manifest that fetches them (Any: YAML values)."""
    with TemporaryDirectory(prefix="emasync-archive-") as folder:
        bucket = Path(folder) / BUCKET
        bucket.mkdir()
        write_ome_zarr_04(bucket / "em.zarr")
        write_ome_zarr_05_sharded(bucket / "lightsheet.zarr")
        write_multipage_tiff(bucket / "stack.tif")
        with Archive.start(FolderStore(Path(folder))) as archive:
            yield demo_manifest(archive.url)


def demo_manifest(url: str) -> dict[str, Any]:
    """A manifest over the three volumes (Any: YAML values).

    Parameters
    ----------
    url : str
        Of the archive; asked instead of the canonical bucket.
    """
    source = f"s3://{BUCKET}"
    return {
        "version": 1,
        "mirrors": {source: f"{url}/{BUCKET}"},
        "datasets": [
            {"id": "em", "source": "bucket", "url": f"{source}/em.zarr"},
            {"id": "lightsheet", "source": "bucket", "url": f"{source}/lightsheet.zarr"},
            {"id": "stack", "source": "web", "files": [{"url": f"{url}/{BUCKET}/stack.tif"}]},
        ],
    }


def write_picture(root: Path) -> Path:
    """Read one block of the downloaded EM volume and write its middle plane as a PNG file; gives its path."""
    import zarr  # noqa: PLC0415 - heavy, and only the demo reads blocks here

    group = zarr.open_group(root / "em", mode="r")
    multiscales: Any = group.attrs["multiscales"]  # Any: JSON of our own writer
    array = zarr.open_array(root / "em" / multiscales[0]["datasets"][0]["path"], mode="r")
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
