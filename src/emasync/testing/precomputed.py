"""Small precomputed volumes made on the spot, written by TensorStore: an implementation that is not ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Volume = NDArray[Any]
"""Any: the number type is the caller's choice."""


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
    """

    voxels: Volume
    key: str
    offset: tuple[int, int, int] = (0, 0, 0)
    chunk: tuple[int, int, int] = (16, 16, 16)
    resolution: tuple[float, float, float] = (8.0, 8.0, 8.0)
    encoding: str = "raw"
    sharding: Mapping[str, Any] | None = field(default=None)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.voxels.shape[3]) if self.voxels.ndim > 3 else 1  # noqa: PLR2004 - z, y, x


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
            "size": [*scale.voxels.shape[2::-1]],
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
            store.with_transaction(at_once)[...] = voxels.transpose(2, 1, 0, 3)


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
