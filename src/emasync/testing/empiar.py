"""One EMPIAR entry of the true layout and small size: its API, its XML and its files behind directory listings."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import shake_128
from xml.sax.saxutils import escape

import orjson

from emasync.testing.apache import IndexApp
from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.messages import Answer, Asked, of_bytes
from emasync.testing.pixels import DriftingVolume
from emasync.testing.sbfsem import Slice, slice_file
from emasync.testing.site import App
from emasync.testing.sparse import Body, LayeredStore, SparseStore
from emasync.testing.stores import MemoryStore, ObjectStore

API_HOST = "www.ebi.ac.uk"
DATA_HOST = "ftp.ebi.ac.uk"

TRUE_PAGE = (5500, 5496)
"""Rows and columns of a slice."""

SMALL_PAGE = (344, 343)

LARGER_FROM = 10
"""First slice with the larger thumbnail: from here on pixels begin later."""

_JSON = (("Content-Type", "application/json"),)
_API = "empiar/api/entry/"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmpiarTwin:
    """EMPIAR-11759 in little: a stack of DM3 files, a side file, and a folder of somebody's tracing.

    Bytes are made up; what is told of them (names, folders, loose types, the wrong image size) is as the archive
    tells it.

    Attributes
    ----------
    number : int
        Of the entry.
    images : int
        Slices; every third is larger, as in the entry.
    promised : int or None
        Images that the API counts; None: as many as there are.
    slice_bytes : int
    more : mapping of str to bytes
        Further files by path below the entry's folder.
    dataset_size : str or None
        As typed in; None: the truth in kB.
    """

    number: int = 11759
    images: int = 16
    promised: int | None = None
    slice_bytes: int = 5_000
    more: Mapping[str, bytes] = field(default_factory=dict)
    dataset_size: str | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """All files by path below the entry's folder, its XML left out."""
        slices = {
            _slice_path(number): _content(number, self.slice_bytes + number % 3 * 40) for number in range(self.images)
        }
        tracing = {f"data/trakem2/trakem2.mipmaps/{number}/{number}.jpg": _content(number, 300) for number in range(6)}
        return {**slices, "data/F57-8_test1.xml.gz": _content(999, 66), **tracing, **self.more}

    @property
    def objects(self) -> dict[str, bytes]:
        """All files by host and path."""
        folder = f"{DATA_HOST}/empiar/world_availability/{self.number}"
        files = {**self.files, f"{self.number}.xml": self.xml()}
        return {f"{folder}/{path}": data for path, data in files.items()}

    def store(self) -> MemoryStore:
        """The files as a store."""
        return MemoryStore(self.objects)

    def apps(self, store: ObjectStore, *servers: frozenset[str]) -> tuple[App, ...]:
        """API and listings; `servers` take turns, each by the paths below the entry's folder it does not list."""
        folder = f"empiar/world_availability/{self.number}/"
        left_out = tuple(frozenset(folder + path for path in paths) for paths in servers) or (frozenset(),)
        return EmpiarApi({self.number: self.api()}), IndexApp(store, DATA_HOST, left_out)

    @staticmethod
    def mirrors(url: str) -> dict[str, str]:
        """Manifest's ``mirrors`` for an archive at `url`."""
        return {f"https://{host}": f"{url}/{host}" for host in (API_HOST, DATA_HOST)}

    def api(self) -> bytes:
        """The API's answer."""
        images = self.images if self.promised is None else self.promised
        image_set: dict[str, object] = {
            "category": "reconstructed volumes",
            "data_format": "DM3",
            "details": "",
            "directory": "data",
            "frame_range_max": None,
            "frame_range_min": None,
            "frames_per_image": 1,
            "header_format": "DM3",
            "image_height": "5632",
            "image_width": "5628",
            "name": "Retina & more",
            "num_images_or_tilt_series": images,
            "pixel_height": 80.0,
            "pixel_width": 80.0,
            "segmentations": [],
            "voxel_type": "UNSIGNED BYTE",
        }
        entry = {
            "dataset_size": self._size(),
            "deposition_date": "2023-11-01",
            "entry_doi": f"10.6019/EMPIAR-{self.number}",
            "experiment_type": "SBF-SEM",
            "imagesets": [image_set],
            "release_date": "2024-01-15",
            "status": "REL",
            "title": "Retina & more",
        }
        return orjson.dumps({f"EMPIAR-{self.number}": entry})

    def xml(self) -> bytes:
        """The XML beside the data; it says the same, in other types and with another spelling of the folder."""
        size, _, unit = self._size().partition(" ")
        images = self.images if self.promised is None else self.promised
        text = f"""\
<entry xmlns="http://pdbe.org/empiar" accessionCode="EMPIAR-{self.number}" schemaVersion="0.64" public="true">
    <admin>
        <currentStatus>REL</currentStatus>
        <title>{escape("Retina & more")}</title>
        <datasetSize units="{unit}">{size}</datasetSize>
        <entryDOI>10.6019/EMPIAR-{self.number}</entryDOI>
    </admin>
    <imageSet>
        <name>{escape("Retina & more")}</name>
        <directory>/data</directory>
        <dataFormat>DM3</dataFormat>
        <numImagesOrTiltSeries>{images}</numImagesOrTiltSeries>
        <voxelType>UNSIGNED BYTE</voxelType>
        <dimensions>
            <imageWidth>5628</imageWidth>
            <pixelWidth>80.0</pixelWidth>
            <imageHeight>5632</imageHeight>
            <pixelHeight>80.0</pixelHeight>
        </dimensions>
    </imageSet>
</entry>
"""
        return text.encode()

    def _size(self) -> str:
        return self.dataset_size or f"{sum(map(len, self.files.values())) / 1000:.1f} KB"


def retina(page: tuple[int, int] = SMALL_PAGE, *, images: int = 16, seed: int = 11) -> ArchiveTwin:
    """EMPIAR-11759 with slices that readers of DM3 open; none of them is kept.

    Parameters
    ----------
    page : tuple of int
        Rows and columns; :data:`TRUE_PAGE` puts pixels at the offsets of the true files, and makes them as large.
    images : int
    seed : int
    """
    volume = DriftingVolume((images, *page), "uint8", seed)
    slices = {_slice_path(number): _slice_body(volume, number) for number in range(images)}
    side = {"data/F57-8_test1.xml.gz": gzip.compress(b"<stack><item thickness='50.0'/></stack>\n", mtime=0)}
    size_bytes = sum(body.size_bytes for body in slices.values())
    told = EmpiarTwin(images=images, slice_bytes=0, more=side, dataset_size=f"{size_bytes / 1e6:.1f} MB")
    folder = f"{DATA_HOST}/empiar/world_availability/{told.number}"
    bodies = SparseStore({f"{folder}/{path}": body for path, body in slices.items()})
    store = LayeredStore((bodies, told.store()))  # of the slices' paths, the first layer answers
    return ArchiveTwin(
        store=store,
        stands_for={f"https://{host}": host for host in (API_HOST, DATA_HOST)},
        apps=told.apps(store),
        truth={f"{folder}/{path}": volume.block((number, 0, 0), (1, *page))[0] for number, path in enumerate(slices)}
        if page != TRUE_PAGE
        else {},
    )


def _slice_path(number: int) -> str:
    return f"data/F57-8_test1_3VBSED_slice_{number:04d}.dm3"


def _slice_body(volume: DriftingVolume, number: int) -> Body:
    _, rows, columns = volume.shape
    true = (rows, columns) == TRUE_PAGE
    smaller, larger = ((192, 192), (383, 384)) if true else ((24, 24), (47, 48))
    thumbnail = smaller if number < LARGER_FROM else larger
    return slice_file(Slice(number=number, rows=rows, columns=columns, thumbnail=thumbnail, pixels=volume.page(number)))


@dataclass(frozen=True, slots=True)
class EmpiarApi:
    """``/empiar/api/entry/EMPIAR-n/``, ``/empiar/api/entry/n``; others are not found.

    Attributes
    ----------
    entries : mapping of int to bytes
        Answers by number.
    """

    entries: Mapping[int, bytes]

    def answer(self, asked: Asked) -> Answer | None:
        """Answer a request of the API's host."""
        host, _, path = asked.key.partition("/")
        if host != API_HOST or not path.startswith(_API):
            return None
        name = path.removeprefix(_API).removesuffix("/").removeprefix("EMPIAR-")
        found = self.entries.get(int(name)) if name.isdecimal() else None
        if found is None:
            return of_bytes(404, _JSON, b'{"detail":"Not found."}')
        return of_bytes(200, _JSON, found)


def _content(seed: int, size_bytes: int) -> bytes:
    return shake_128(b"%d" % seed).digest(size_bytes)
