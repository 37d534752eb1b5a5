"""Objects on the server's disk, and the pages of their listing (Amazon S3 API reference, "ListObjectsV2")."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from bench.cases import MIB, Case

BUCKET = "bench"
PAGE_KEYS = 1000
FIRST_PAGE = "first"
DISTINCT_BYTES = 512 * MIB
"""Objects beyond this share their content with others by hard links; far more than any cache of the processor."""

MODIFIED_S = 1_704_067_200  # 2024-01-01: a date that no server takes for "just now"
_POOL_BYTES = 16 * MIB


@dataclass(frozen=True)  # no slots: cached_property
class Dataset:
    """The objects of one case, as they are served.

    Attributes
    ----------
    name : str
        Folder below the bucket: keys are ``name/object``.
    folder : Path
    names : tuple of str
        In key order.
    sizes : tuple of int
        Bytes, one a name.
    """

    name: str
    folder: Path
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @cached_property
    def total_bytes(self) -> int:
        """Sum of all sizes."""
        return sum(self.sizes)

    def urls(self, server: str) -> list[str]:
        """URL of each object at ``server`` (scheme, host and port)."""
        return [f"{server}/{BUCKET}/{self.name}/{name}" for name in self.names]


def make_dataset(case: Case, files: Path, pages: Path) -> Dataset:
    """Write the objects of `case` and the pages of its listing.

    Parameters
    ----------
    case : Case
    files : Path
        Gets a folder named as the case.
    pages : Path
        See :func:`write_pages`.
    """
    folder = files / case.name
    folder.mkdir(parents=True)
    objects = list(case.objects())
    pool = np.random.default_rng(1).bytes(_POOL_BYTES)
    first_of: dict[int, list[str]] = {}
    written_bytes = 0
    for index, (name, size_bytes) in enumerate(objects):
        same = first_of.setdefault(size_bytes, [])
        if written_bytes + size_bytes > DISTINCT_BYTES and same:
            os.link(folder / same[index % len(same)], folder / name)
            continue
        write_object(folder / name, size_bytes, index, pool)
        written_bytes += size_bytes
        same.append(name)
    dataset = Dataset(case.name, folder, tuple(name for name, _ in objects), tuple(size for _, size in objects))
    write_pages(dataset, pages)
    return dataset


def write_object(path: Path, size_bytes: int, seed: int, pool: bytes) -> None:
    """A file of incompressible bytes, unlike that of any other seed; blocks of `pool` repeat."""
    view = memoryview(pool)
    with path.open("wb", buffering=0) as out:
        out.write(seed.to_bytes(8, "little")[:size_bytes])
        left = max(0, size_bytes - 8)
        while left:
            start = (seed * 7919 * 512) % (len(pool) // 2)
            left -= out.write(view[start : start + min(left, len(pool) - start)])
            seed += 1
    os.utime(path, (MODIFIED_S, MODIFIED_S))


def write_pages(dataset: Dataset, pages: Path) -> None:
    """All pages of the listing of one dataset.

    A page is named after the object before it, which is its continuation token, too: listings may go on by either,
    but start after the end of a page only.
    """
    rows = list(zip(dataset.names, dataset.sizes, strict=True))
    name = FIRST_PAGE
    for start in range(0, len(rows), PAGE_KEYS):
        own = rows[start : start + PAGE_KEYS]
        last = start + PAGE_KEYS >= len(rows)
        text = page(dataset.name, own, None if last else f"{dataset.name}.{own[-1][0]}")
        (pages / f"{dataset.name}.{name}.xml").write_text(text)
        name = own[-1][0]


def page(name: str, rows: Sequence[tuple[str, int]], token: str | None) -> str:
    """One ListBucketResult.

    Parameters
    ----------
    name : str
        Of the dataset.
    rows : sequence of (str, int)
        Object names and sizes.
    token : str or None
        Of the next page.
    """
    date = datetime.fromtimestamp(MODIFIED_S, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    head = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{BUCKET}</Name><Prefix>{name}/</Prefix>{more}<KeyCount>{len(rows)}</KeyCount>"
        f"<MaxKeys>{PAGE_KEYS}</MaxKeys><IsTruncated>{'true' if token else 'false'}</IsTruncated>"
    )
    contents = (
        f"<Contents><Key>{name}/{key}</Key><LastModified>{date}</LastModified>"
        f"<ETag>&quot;{etag(size)}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key, size in rows
    )
    return f"{head}{''.join(contents)}</ListBucketResult>"


def etag(size_bytes: int) -> str:
    """Entity tag of an object, without quotes: time and size in hex, as nginx writes it (ngx_http_set_etag)."""
    return f"{MODIFIED_S:x}-{size_bytes:x}"


def drop_dataset(dataset: Dataset) -> None:
    """Delete the objects."""
    shutil.rmtree(dataset.folder)
