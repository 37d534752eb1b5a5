"""Precomputed volumes made on the spot, written by TensorStore: an implementation that is not ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.content import BucketRules
from emasync.testing.folder import FolderStore
from emasync.testing.pixels import DriftingVolume
from emasync.testing.shipped.hemibrain import BUCKET, IMAGE, IMAGE_SIZE, KEY, LABELS, LABELS_SIZE, SCALES
from emasync.testing.volumes import Shape, Volume

_BODY = 5_813_105_172
"""Ids of bodies have more than 32 bits."""

_ID_BITS = 30
"""Of a chunk at 8 nm: ten on each axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOnDisk:
    """How one scale is written; everything in the order z, y, x.

    Attributes
    ----------
    voxels : ndarray
        z, y, x, or z, y, x, channel.
    key : str
        Folder below the volume's.
    offset : tuple of int
        Source coordinates of the first voxel.
    chunk : tuple of int
    resolution : tuple of float
        Nanometres.
    encoding : str
    sharding : mapping or None
        The ``sharding`` member as it is written, without its ``@type``.
    size : tuple of int or None
        Of the scale, z, y, x, where it has more voxels than are written: chunks of the rest are left out.
    start : tuple of int
        Place of the voxels in the scale.
    """

    voxels: Volume
    key: str
    offset: tuple[int, int, int] = (0, 0, 0)
    chunk: tuple[int, int, int] = (16, 16, 16)
    resolution: tuple[float, float, float] = (8.0, 8.0, 8.0)
    encoding: str = "raw"
    sharding: Mapping[str, Any] | None = field(default=None)
    size: tuple[int, int, int] | None = None
    start: tuple[int, int, int] = (0, 0, 0)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.voxels.shape[3]) if self.voxels.ndim > 3 else 1  # noqa: PLR2004 - z, y, x

    @property
    def written(self) -> tuple[slice, ...]:
        """Where the voxels lie, x, y, z, in source coordinates."""
        places = zip(self.offset, self.start, self.voxels.shape[:3], strict=True)
        return tuple(slice(low + first, low + first + size) for low, first, size in places)[::-1]


def write_precomputed(folder: Path, scales: Sequence[ScaleOnDisk], *, kind: str = "image") -> None:
    """Write a volume, finest scale first. Chunks that hold zeros only are left out, as TensorStore does.

    Parameters
    ----------
    folder : Path
        Made when it is missing.
    scales : sequence of ScaleOnDisk
    kind : {"image", "segmentation"}
    """
    import tensorstore  # noqa: PLC0415 - a development dependency

    for scale in scales:
        member: dict[str, Any] = {  # Any: JSON
            "key": scale.key,
            "size": [*(scale.size or scale.voxels.shape[:3])[::-1]],
            "voxel_offset": [*scale.offset[::-1]],
            "chunk_size": [*scale.chunk[::-1]],
            "resolution": [*scale.resolution[::-1]],
            "encoding": scale.encoding,
        }
        if scale.encoding == "compressed_segmentation":
            member["compressed_segmentation_block_size"] = [8, 8, 8]
        if scale.sharding is not None:
            member["sharding"] = {"@type": "neuroglancer_uint64_sharded_v1", **scale.sharding}
        channels = scale.channels
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
            "multiscale_metadata": {"type": kind, "data_type": scale.voxels.dtype.name, "num_channels": channels},
            "scale_metadata": member,
        }
        store = tensorstore.open(spec, create=True, open=True).result()
        voxels = scale.voxels if channels > 1 else scale.voxels.reshape(*scale.voxels.shape[:3], 1)
        with tensorstore.Transaction() as at_once:  # shards are written whole
            store.with_transaction(at_once)[scale.written] = voxels.transpose(2, 1, 0, 3)


def hemibrain(folder: Path, *, start: Shape = (18112, 20160, 15680), shape: Shape = (128, 128, 128)) -> ArchiveTwin:
    """Image and segmentation of the hemibrain by encoders that are not ours, with voxels in one box of 8 nm only.

    True sizes, scales and encodings, as in :mod:`emasync.testing.shipped.hemibrain`, which needs no TensorStore and
    has chunks of flat blocks: here pictures have all frequencies, and bodies no straight borders.

    Parameters
    ----------
    folder : Path
        Empty; is written to and served from.
    start, shape : tuple of int
        The box, z, y, x; whole chunks of 64 voxels.
    """
    image = DriftingVolume(shape, "uint8", 8).whole()
    labels = (image // 24).astype("uint64") * _BODY
    bucket = folder / BUCKET
    described: dict[str, Any] = {  # Any: keyword arguments of two calls
        "key": KEY,
        "chunk": (64, 64, 64),
        "sharding": _sharding(0),
        "start": start,
    }
    finest = ScaleOnDisk(voxels=image, encoding="jpeg", size=IMAGE_SIZE[::-1], **described)
    write_precomputed(bucket / IMAGE, [finest, *(_coarser(level) for level in range(1, SCALES))])
    segments = ScaleOnDisk(voxels=labels, encoding="compressed_segmentation", size=LABELS_SIZE[::-1], **described)
    write_precomputed(bucket / LABELS, [segments], kind="segmentation")
    return ArchiveTwin(
        store=FolderStore(folder),
        stands_for={f"gs://{BUCKET}": BUCKET},
        buckets={BUCKET: BucketRules(kind="google")},
        truth={f"{BUCKET}/{IMAGE}": image, f"{BUCKET}/{LABELS}": labels},
    )


def _coarser(level: int) -> ScaleOnDisk:
    """A scale of the image that is described and has no chunk."""
    nm = 8.0 * 2**level
    x, y, z = (size >> level for size in IMAGE_SIZE)
    return ScaleOnDisk(
        voxels=np.empty((0, 0, 0), "uint8"),
        key=f"{nm}x{nm}x{nm}",
        chunk=(64, 64, 64),
        resolution=(nm, nm, nm),
        encoding="jpeg",
        sharding=_sharding(level),
        size=(z, y, x),
    )


def _sharding(level: int) -> dict[str, Any]:
    """Parameters of a scale (Any: JSON); 512 voxels to each side lie in one minishard."""
    return {
        "preshift_bits": 9,
        "hash": "identity",
        "minishard_bits": 6,
        "shard_bits": max(0, _ID_BITS - 15 - 3 * level),
        "minishard_index_encoding": "gzip",
        "data_encoding": "gzip",
    }


def read_precomputed(folder: Path, scale: int = 0) -> tuple[Volume, tuple[int, int, int]]:
    """Read a scale with TensorStore.

    Returns
    -------
    tuple of ndarray and tuple of int
        Voxels (z, y, x, channel), and source coordinates of the first, z, y, x.
    """
    import tensorstore  # noqa: PLC0415 - a development dependency

    kvstore = {"driver": "file", "path": f"{folder}/"}
    spec = {"driver": "neuroglancer_precomputed", "kvstore": kvstore, "scale_index": scale}
    store = tensorstore.open(spec, open=True, read=True).result()
    x, y, z, _ = store.domain.inclusive_min
    return np.asarray(store.read().result()).transpose(2, 1, 0, 3), (z, y, x)
