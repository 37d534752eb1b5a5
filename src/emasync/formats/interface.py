"""What formats say of a tree of objects, and how they are asked: descriptions, needs, walks.

Parsers do no I/O. A :class:`Walk` says what it needs (a document, the names in a folder), is fed the answer, and
yields descriptions as soon as they are complete; needs that are open at the same time may be answered in any order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Literal, Protocol, runtime_checkable

from emasync.formats.json_document import Json
from emasync.formats.precomputed.sharding import Sharding
from emasync.model.geometry import Box


@dataclass(frozen=True, slots=True)
class Need:
    """One thing a walk asks for.

    Attributes
    ----------
    kind : {"document", "children"}
        The bytes of an object, or the names right below a folder.
    key : str
        Key of the object, or folder without trailing slash (``""`` for the base); relative to the tree's base.
    """

    kind: Literal["document", "children"]
    key: str

    @classmethod
    def document(cls, key: str) -> Need:
        """The object `key`, whole."""
        return cls("document", key)

    @classmethod
    def children(cls, folder: str) -> Need:
        """Names right below `folder`."""
        return cls("children", folder)


class Names(Protocol):
    """One level of a tree: names without slash."""

    @property
    def folders(self) -> Sequence[str]:
        """Folders."""
        ...

    @property
    def objects(self) -> Sequence[str]:
        """Objects."""
        ...


Answer = bytes | Names | None
"""Bytes for a document, names for children; None where there is no such document, or the folder cannot be listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayDescription:
    """One array of chunks.

    Attributes
    ----------
    path : str
        Folder below the tree's base, without trailing slash; empty for the base itself.
    format : str
        ``"zarr2"``, ``"zarr3"``, ``"n5"`` or ``"precomputed"``.
    shape : tuple of int
        Voxels, in the array's axis order: the last axis is the fastest, whatever order the metadata has.
    chunks : tuple of int
        Voxels of one *object*: the shard shape of a sharded array. At least 1 each. Objects at the far edge overhang.
    inner_chunks : tuple of int or None
        Inner chunk of a sharded array, voxels; None where objects are chunks.
    dtype : str
        As the metadata spells it: ``"<i2"`` (v2), ``"int16"`` (v3, N5); JSON text for structured types.
    itemsize_bytes : int or None
        Size of one voxel, uncompressed; None where it has no fixed size or is not known here.
    fill_value : Json
        As published; None where the content of missing chunks is undefined.
    axes : tuple of str or None
        Names, lower case not enforced; None where nobody said.
    encoding : {"default", "v2", "n5", "voxels"}
    separator : {"/", "."}
        Chunk keys, see :class:`~emasync.model.grid.ChunkGrid` and, for ``voxels``,
        :class:`~emasync.model.grid.VoxelGrid`.
    order : {"C", "F"}
        Layout of voxels inside a chunk (v2; ``"C"`` for v3, whose codecs say it).
    documents : mapping of str to bytes
        Metadata documents of the array as received, by key.
    origin : tuple of int or None
        Source coordinates of the first voxel, where the source does not count from zero; None for zeros.
    sharding : Sharding or None
        Of precomputed volumes: chunks lie in shard files, :attr:`chunks` is the shape of one chunk all the same.
    place : Place or None
        Where the voxels are, in formats whose arrays say it themselves (N5).
    """

    path: str
    format: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    inner_chunks: tuple[int, ...] | None = None
    dtype: str
    itemsize_bytes: int | None = None
    fill_value: Json = None
    axes: tuple[str, ...] | None = None
    encoding: Literal["default", "v2", "n5", "voxels"] = "v2"
    separator: Literal["/", "."] = "."
    order: Literal["C", "F"] = "C"
    documents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    origin: tuple[int, ...] | None = None
    sharding: Sharding | None = None
    place: Place | None = None

    @property
    def sharded(self) -> bool:
        """Whether an object holds several chunks and their index."""
        return self.inner_chunks is not None or self.sharding is not None

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Number of objects on each axis; 0 where the axis has no extent."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    @property
    def object_bytes(self) -> int | None:
        """Size of one object's voxels before compression; None where voxels have no known size."""
        return None if self.itemsize_bytes is None else prod(self.chunks) * self.itemsize_bytes


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of an image: name, type (``space``, ``time``, ``channel``, ...) and unit, as far as stated."""

    name: str
    type: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """Index → world on each axis: ``world = scale * index + translation``; indices count voxel centres from 0."""

    scale: tuple[float, ...]
    translation: tuple[float, ...]

    def then(self, other: Transform) -> Transform:
        """Give the transform that applies this one first, `other` after it."""
        return Transform(
            scale=tuple(a * b for a, b in zip(self.scale, other.scale, strict=True)),
            translation=tuple(
                t * s + u for t, s, u in zip(self.translation, other.scale, other.translation, strict=True)
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the voxels of an array are in the world.

    Attributes
    ----------
    transform : Transform
    units : tuple of str or None
        Of each axis, as the publisher spells them.
    inferred : bool
        Nobody says so: it follows from the shapes of the levels beside it.
    """

    transform: Transform
    units: tuple[str | None, ...]
    inferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDescription:
    """One level of a multiscale image.

    Attributes
    ----------
    number : int
        Position in the published list of levels, 0 for the finest; what users call the scale. Levels whose array
        is not there are left out, the others keep their numbers.
    array : ArrayDescription
    transform : Transform
        Of the level itself, in the image's units, before :attr:`MultiscaleDescription.transform`.
    stated : bool
        Whether the publisher stated the transform; False: inferred from the ratio of shapes, in voxels of the finest.
    exact : bool
        Whether the format says where voxels have their edges. Other transforms are read with some care, see
        :mod:`emasync.plan.boxes`.
    between : mapping of str to bytes
        Documents of groups between the image's group and the array.
    """

    number: int
    array: ArrayDescription
    transform: Transform
    stated: bool = True
    exact: bool = False
    between: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def documents(self) -> Mapping[str, bytes]:
        """All documents that come with this level."""
        return {**self.between, **self.array.documents}


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiscaleDescription:
    """One image at several resolutions.

    Attributes
    ----------
    path : str
        Group folder.
    index : int
        Position among the images of the group, usually 0.
    name : str or None
    version : str
        Of the metadata: ``"0.4"``, ``"0.5"``, ...
    axes : tuple of Axis
        In the arrays' axis order.
    levels : tuple of LevelDescription
        Finest first.
    transform : Transform
        Applied after each level's own.
    documents : mapping of str to bytes
        Documents of the group.
    """

    path: str
    index: int = 0
    name: str | None = None
    version: str
    axes: tuple[Axis, ...]
    levels: tuple[LevelDescription, ...]
    transform: Transform
    documents: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDescription:
    """One folder that holds nodes. Multiscale groups are described by this too, beside their images.

    Attributes
    ----------
    path : str
    layout : {"group", "folder", "multiscale", "plate", "well", "bioformats2raw", "labels"}
        ``folder``: no group document, a plain prefix.
    children : tuple of str
        Paths of nodes the group's documents name.
    documents : mapping of str to bytes
    extras : tuple of str
        Keys of other objects right below: sidecars, not metadata and not chunks.
    """

    path: str
    layout: Literal["group", "folder", "multiscale", "plate", "well", "bioformats2raw", "labels"]
    children: tuple[str, ...] = ()
    documents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What is kept of an array: whole chunks, ``hull`` in its own voxels from zero, half-open, the array's axis order.

    Attributes
    ----------
    array : ArrayDescription
    hull : Box
    unsharded : bool
        Whether chunks are kept as objects of their own that lay in shards.
    """

    array: ArrayDescription
    hull: Box
    unsharded: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.hull.shape == self.array.shape


class DocumentRewriter(Protocol):
    """Metadata of a part of a tree: the same documents, saying what is there and nothing else."""

    def rewrite(self, key: str, data: bytes) -> bytes | None:
        """Give the document called `key` as it must read; None when it may stay as it is.

        Raises
        ------
        FormatError
            The document breaks a rule.
        SourceError
            It cannot be rewritten (not built).
        """
        ...


Found = ArrayDescription | MultiscaleDescription | GroupDescription


class Walk(Protocol):
    """Discovery without I/O: ask :meth:`needs`, :meth:`feed` the answers, take what was :meth:`found`."""

    def needs(self) -> tuple[Need, ...]:
        """What can be asked for now; each need is handed out once."""
        ...

    def feed(self, need: Need, answer: Answer) -> None:
        """Take the answer to `need`.

        Raises
        ------
        FormatError
            A document breaks a rule; the walk is over.
        SourceError
            A start that is not there, or a limit; the walk is over.
        """
        ...

    def found(self) -> tuple[Found, ...]:
        """Descriptions completed since the last call. Arrays that are levels come inside their image only."""
        ...

    @property
    def done(self) -> bool:
        """Whether no need is open."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over and why, for people; bounded."""
        ...


@runtime_checkable
class Format(Protocol):
    """A format plug-in for trees of arrays; files are read by a :class:`~emasync.formats.stored.FileFormat`."""

    name: str

    def recognises(self, folders: Collection[str], objects: Collection[str]) -> bool:
        """Whether a folder with these names right below it is of this format."""
        ...

    def walk(self, start: Sequence[str] = ("",)) -> Walk:
        """Begin a discovery.

        Parameters
        ----------
        start : sequence of str
            Groups or arrays below the tree's base; the base itself by default.
        """
        ...

    def rewriter(self, parts: Mapping[str, Part], present: Collection[str]) -> DocumentRewriter:
        """Rewrite metadata for the parts that are kept.

        Parameters
        ----------
        parts : mapping of str to Part
            By array path. Arrays that are not here are not on disk.
        present : collection of str
            Keys of the documents that are.
        """
        ...
