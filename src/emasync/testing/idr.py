"""The Image Data Resource in little: OMERO's JSON, originals on the EBI tree, one study copied as OME-NGFF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import shake_128
from urllib.parse import parse_qs

import orjson

from emasync.testing.archive_twin import ArchiveTwin
from emasync.testing.imagej import imagej_stack
from emasync.testing.messages import Answer, Asked, of_bytes
from emasync.testing.pixels import DriftingVolume
from emasync.testing.sparse import SparseStore
from emasync.testing.stores import MemoryStore
from emasync.testing.volumes import Shape

OMERO_HOST = "idr.openmicroscopy.org"
DATA_HOST = "ftp.ebi.ac.uk"
NGFF_HOST = "livingobjects.ebi.ac.uk"
TREE = "pub/databases/IDR"

STUDY = "idr0086-miron-micrographs/20200610-ftp/experimentD/Miron_FIB-SEM/Miron_FIB-SEM_processed"
PAIR = {
    9846137: f"{STUDY}/Figure_S3B_FIB-SEM_U2OS_20x20x20nm_xy.tif",
    9846138: f"{STUDY}/Figure_S3B_FIB-SEM_U2OS_20x20x20nm_xz.tif",
}
"""The two images of dataset 10740; the second number is made up."""

TRUE_SHAPE = (184, 775, 1121)
"""Pages, rows, columns of image 9846137: 159,884,524 bytes."""

SMALL_SHAPE = (23, 97, 141)
VOXEL_UM = 0.02

_JSON = (("Content-Type", "application/json"), ("X-OMERO-ApiVersion", "0.2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class IdrTwin:
    """Images, where they were imported from, and the datasets that they are in.

    Attributes
    ----------
    images : mapping of int to tuple of str
        Imported paths (``client``) by image number.
    datasets : mapping of int to tuple of int
        Image numbers by dataset number.
    size_bytes : int
        Of an original.
    shape : tuple of int
        Pages, rows, columns that OMERO tells of every image.
    """

    images: Mapping[int, tuple[str, ...]] = field(
        default_factory=lambda: {number: (f"uod/idr/filesets/{path}",) for number, path in PAIR.items()}
    )
    datasets: Mapping[int, tuple[int, ...]] = field(default_factory=lambda: {10740: tuple(PAIR)})
    size_bytes: int = 40_000
    shape: Shape = TRUE_SHAPE

    @property
    def files(self) -> dict[str, bytes]:
        """Originals on the public tree, by path below it."""
        imported = {path.lstrip("/") for paths in self.images.values() for path in paths}
        below = (path.removeprefix("uod/idr/filesets/") for path in imported if path.startswith("uod/idr/filesets/"))
        return {path: shake_128(path.encode()).digest(self.size_bytes) for path in sorted(below)}

    @property
    def objects(self) -> dict[str, bytes]:
        """Originals by host and path."""
        return {f"{DATA_HOST}/{TREE}/{path}": data for path, data in self.files.items()}

    def store(self) -> MemoryStore:
        """The originals as a store."""
        return MemoryStore(self.objects, buckets=(DATA_HOST,))

    @staticmethod
    def mirrors(url: str) -> dict[str, str]:
        """Manifest's ``mirrors`` for an archive at `url`."""
        return {f"https://{host}": f"{url}/{host}" for host in (OMERO_HOST, DATA_HOST, NGFF_HOST)}


def u2os(shape: Shape = SMALL_SHAPE, *, seed: int = 9) -> ArchiveTwin:
    """Dataset 10740 with stacks that readers of TIFF open: one cell seen along z, and along y; neither is kept.

    Parameters
    ----------
    shape : tuple of int
        Of the first image, z y x; with :data:`TRUE_SHAPE` both have the offsets and sizes of the true files.
    seed : int
    """
    pages, rows, columns = shape
    volumes = (DriftingVolume(shape, "uint8", seed), DriftingVolume((rows, pages, columns), "uint8", seed + 1))
    views = {f"{DATA_HOST}/{TREE}/{path}": volume for path, volume in zip(PAIR.values(), volumes, strict=True)}
    stacks = {path: imagej_stack(view, pixel_um=VOXEL_UM, spacing_um=VOXEL_UM) for path, view in views.items()}
    return ArchiveTwin(
        store=SparseStore(stacks),
        stands_for={f"https://{host}": host for host in (OMERO_HOST, DATA_HOST, NGFF_HOST)},
        apps=(OmeroApp(IdrTwin(shape=shape)),),
        truth={path: view.whole() for path, view in views.items()} if shape != TRUE_SHAPE else {},
    )


@dataclass(slots=True)
class OmeroApp:
    """OMERO.web as the public sees it.

    Attributes
    ----------
    twin : IdrTwin
    busy : int
        Requests for display data that are answered with ``ConcurrencyException`` before one is answered.
    not_ready : bool
        Display data lack all that needs pixels.
    documented : bool
        One image comes as a list of one, as the documentation shows it.
    page_limit : int
        Most images of a page, whatever is asked for.
    promised : int or None
        ``totalCount`` of pages; None for the truth.
    """

    twin: IdrTwin
    busy: int = 0
    not_ready: bool = False
    documented: bool = False
    page_limit: int = 1_000
    promised: int | None = None

    def answer(self, asked: Asked) -> Answer | None:
        """Answer a request of OMERO's host."""
        host, _, path = asked.key.partition("/")
        if host != OMERO_HOST:
            return None
        segments = path.strip("/").split("/")
        kind, number = "/".join(segments[:-1]), segments[-1]
        if path.strip("/") == "webclient/api/annotations":
            return _json(
                200, {"annotations": [{"ns": "n", "values": [["Organism", "Homo sapiens"]]}], "experimenters": []}
            )
        if segments[:4] == ["api", "v0", "m", "datasets"] and segments[5:] == ["images"]:
            return self._images_of(segments[4], asked.query)
        if not number.isdecimal():
            return _json(404, {"message": "Not found"})
        return self._object(kind, int(number))

    def _object(self, kind: str, number: int) -> Answer:
        if kind == "api/v0/m/datasets":
            known = number in self.twin.datasets
            return _json(200, {"data": {"@id": number, "Name": "U2OS_chromatin"}}) if known else _denied()
        if number not in self.twin.images:
            return _denied()
        if kind == "api/v0/m/images":
            image = self._image(number)
            return _json(200, {"data": [image] if self.documented else image})
        if kind == "webgateway/original_file_paths":
            client = self.twin.images[number]
            return _json(200, {"repo": ["demo_2/x"] * len(client), "client": client, "fileset": {"id": number}})
        if kind == "webclient/imgData":
            return self._display(number)
        return _json(404, {"message": "Not found"})

    def _image(self, number: int) -> dict[str, object]:
        name = "".join(self.twin.images[number][:1]).rpartition("/")[2]
        sizes = dict(zip(("SizeZ", "SizeY", "SizeX"), self.twin.shape, strict=True))
        pixels = {**sizes, "SizeC": 1, "SizeT": 1, "Type": {"value": "uint8"}}
        length = {"@type": "TBD#LengthI", "Unit": "MICROMETER", "Symbol": "µm", "Value": VOXEL_UM}
        # null fields are left out: there is no PhysicalSizeZ
        return {"@id": number, "Name": name, "Pixels": {**pixels, "PhysicalSizeX": length, "PhysicalSizeY": length}}

    def _display(self, number: int) -> Answer:
        if self.busy:
            self.busy -= 1
            return _json(200, {"ConcurrencyException": {"backOff": 500}})
        told: dict[str, object] = {"id": number, "meta": {"imageId": number, "projectName": STUDY.partition("/")[0]}}
        if self.not_ready:
            return _json(200, {**told, "perms": {}, "Exception": "example"})
        pages, rows, columns = self.twin.shape
        return _json(200, {**told, "size": {"width": columns, "height": rows, "z": pages, "t": 1, "c": 1}})

    def _images_of(self, dataset: str, query: str) -> Answer:
        numbers = self.twin.datasets.get(int(dataset)) if dataset.isdecimal() else None
        if numbers is None:
            return _denied()
        wanted = {key: int(values[0]) for key, values in parse_qs(query).items()}
        limit, offset = min(self.page_limit, wanted.get("limit", 200)), wanted.get("offset", 0)
        page = [self._image(number) for number in numbers[offset : offset + limit]]
        total = len(numbers) if self.promised is None else self.promised
        meta = {"totalCount": total, "limit": limit, "offset": offset, "maxLimit": 1000}
        return _json(200, {"data": page, "meta": meta})


def _json(status: int, value: object) -> Answer:
    return of_bytes(status, _JSON, orjson.dumps(value))


def _denied() -> Answer:
    """What is unknown and what is private are answered alike."""
    return of_bytes(403, (("Content-Type", "text/html"),), b"<h1>403 Forbidden</h1>")
