"""Blocks and files of a root, for people's own programs."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emasync.api.hooking import known_facts
from emasync.disk.faults import translate
from emasync.errors import InputError
from emasync.volume.cache import Voxels
from emasync.volume.opening import EngineName, Wanted, open_wanted, shared_files
from emasync.volume.streams import buffered
from emasync.volume.volume import Volume


def open_volume(
    root: str | os.PathLike[str],
    dataset: str,
    asset: str | None = None,
    array: str | None = None,
    scale: int = 0,
    *,
    select: Mapping[str, int] | None = None,
    cache_bytes: int | None = None,
    engine: EngineName = "direct",
    threads: int | None = None,
    check: bool = True,
    lazy: bool = False,
) -> Volume:
    """Open an array of a dataset, to be read block by block.

    Parameters
    ----------
    root : path
        Of earlier runs.
    dataset : str
        Its id in the manifest.
    asset, array : str, optional
        Which one, as :func:`emasync.volumes` lists them; may be left out where there is one only.
    scale : int
        Level of a multiscale image, 0 for the finest.
    select : mapping of str to int, optional
        Position on axes that are neither spatial nor channels, such as ``{"t": 0}``; source coordinates.
    cache_bytes : int, optional
        Room for decoded chunks: 0 for none, which suits crops that share no chunk. By default all volumes of a process
        share 256 MB.
    engine : {"direct", "tensorstore"}
        ``tensorstore`` needs ``pip install 'emasync[tensorstore]'``, and refuses to work in a forked process.
    threads : int, optional
        That decode at one time; by default one a core, for all volumes of a process together.
    check : bool
        Whether each chunk is compared with the CRC-32C of its arrival when it is first touched.
    lazy : bool
        Fetch what is planned and not here when it is read, as a run would, and keep it: chunks that are files of their
        own, and the bytes of a crop in shards and in HDF5, TIFF, MRC and DM files. While no run is going on in the
        root.

    Raises
    ------
    InputError
        No such root, dataset, asset, array or level; the message lists what there is.
    EmasyncError
        ``ambiguous``: several arrays are meant, or an axis has a choice; the message lists them.
    SourceError
        ``stale_index``: files changed since they were indexed; ``format``: nothing decodes the chunks.
    """
    wanted = Wanted(
        root=str(Path(root).expanduser().absolute()),
        dataset=dataset,
        asset=asset,
        array=array,
        scale=scale,
        select=select,
        cache_bytes=cache_bytes,
        engine=engine,
        threads=threads,
        check=check,
    )
    if lazy:
        from emasync.api.lazy_volumes import open_lazily  # noqa: PLC0415 - the engine; readers of what is here need none

        return open_lazily(wanted)
    return open_wanted(wanted)


def open_file(root: str | os.PathLike[str], dataset: str, path: str, *, lazy: bool = False) -> io.BufferedReader:
    """Open a file of a dataset, for h5py, pynwb and other readers of binary files.

    Parameters
    ----------
    root : path
        Of earlier runs.
    dataset : str
        Its id in the manifest.
    path : str
        Below the dataset, as at the source.
    lazy : bool
        Where the file is planned and not here: fetch it as far as it is asked for. What came is kept for other readers
        and the next run; close it, or connections stay open.

    Returns
    -------
    io.BufferedReader
        Seekable; reads ahead. Forked processes do not move each other's positions.

    Raises
    ------
    InputError
        No such root or dataset.
    NotDownloaded
        No such file on this disk.
    DestinationError
        A path that leads out of the dataset.
    """
    folder = Path(root).expanduser().absolute()
    inside = f"{_folder_of(folder, dataset)}/{path}"
    files = shared_files(str(folder))
    if not lazy or files.has(inside):
        return buffered(files.content(inside))
    from emasync.api.planned_files import open_planned  # noqa: PLC0415 - as above

    return buffered(open_planned(folder, dataset, inside))


def _folder_of(root: Path, dataset: str) -> str:
    """Folder of a dataset, relative to the root."""
    known = {facts.id: facts.folder for facts in known_facts(root)}
    if dataset not in known and not (root / dataset).is_dir():
        there = ", ".join(known) or "none"
        raise InputError(f"{root}: no dataset {dataset!r}; datasets there: {there}")
    return known.get(dataset, dataset)


def save_block(path: str | os.PathLike[str], voxels: Voxels) -> None:
    """Write a block for :func:`numpy.load`; under another name until it is whole, then in place of an older file.

    Raises
    ------
    MachineError
        Disk full, no permission, no such folder.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}")
    try:
        try:
            with temporary.open("xb") as file:
                np.save(file, voxels, allow_pickle=False)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise translate(error, "write", str(target)) from error
