"""Arrays of a TIFF file: pages of one layout are one array, which OME-XML and ImageJ give its axes."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from emasync.formats.stored import ByteSource, FileDescription, HeaderBytes, Measure, StoredArray
from emasync.formats.tiff.chain import Directories
from emasync.formats.tiff.directory import Directory, form_of
from emasync.formats.tiff.imagej import ImagejStack, imagej_of, plane_of
from emasync.formats.tiff.ome import MAX_XML_BYTES, OmeError, OmeImage, is_ome, ome_images
from emasync.formats.tiff.raster import LAYOUT, Raster, raster_of
from emasync.formats.tiff.segments import places_of
from emasync.formats.tiff.stack import Order, Stack, in_order

MAX_LEVELS: Final = 64
MAX_LAYOUTS: Final = 1000
"""Different arrays of one file."""

MAX_SEGMENTS: Final = 1 << 24
"""Strips or tiles whose places are kept, of one file: 256 MiB of numbers."""

MAX_READ_SEGMENTS: Final = 1 << 27
"""Strips and tiles that are looked at; those of a page that are one chunk are not kept."""

_DESCRIPTION, _RESOLUTION_UNIT, _PAGE_NUMBER, _LEVELS = 270, 296, 297, 330
_UNITS: Final = {2: "inch", 3: "cm"}


class TiffFormat:
    """TIFF 6.0 and BigTIFF, in both byte orders.

    Pages of one layout are one array along ``z``, unless ImageJ or OME-XML says otherwise. Subfiles of lower
    resolution are arrays of their own.
    """

    def recognises(self, head: bytes) -> bool:
        """See :class:`~emasync.formats.stored.FileFormat`."""
        return form_of(head) is not None

    def describe(self, source: ByteSource) -> FileDescription:
        """See :class:`~emasync.formats.stored.FileFormat`; every directory is read, since they may lie anywhere."""
        file = HeaderBytes(source)
        form = form_of(file.take(0, min(16, file.size_bytes)))
        if form is None:
            raise file.broken(0, "no header of TIFF or BigTIFF")
        pages = _Pages(file)
        directories = Directories(file, form)
        for number, directory in enumerate(directories.chain()):
            pages.take(number, directory, directories)
        arrays = pages.arrays()
        name = "bigtiff" if form.big else "tiff"
        return FileDescription(format=name, arrays=arrays, notes=pages.notes())

    def describe_first(self, source: ByteSource) -> tuple[FileDescription, bool]:
        """What the first directory tells of all pages: of a file of which no more is there.

        How many pages there are follows from ImageJ, OME-XML or ``PageNumber`` (TIFF 6.0, section 12).

        Returns
        -------
        FileDescription
            Shapes and measures; places of chunks are not known.
        bool
            Whether it is known how many pages there are.

        Raises
        ------
        FormatError
            As :meth:`describe`.
        """
        file = HeaderBytes(source)
        form = form_of(file.take(0, min(16, file.size_bytes)))
        if form is None:
            raise file.broken(0, "no header of TIFF or BigTIFF")
        first, more = Directories(file, form).read(form.first)
        pages = _Pages(file)
        pages.take_first(first)
        told = max(1, int([*first.numbers(_PAGE_NUMBER, 2), 0, 0][1]))
        arrays = pages.outlines(told) if pages.readable else ()
        counted = not more or told > 1 or pages.described
        return FileDescription(format="bigtiff" if form.big else "tiff", arrays=arrays, notes=pages.notes()), counted


class _Pages:
    """Collects the pages of one file by their layout."""

    def __init__(self, file: HeaderBytes) -> None:
        self._file = file
        self._stacks: dict[Raster, Stack] = {}
        self._count = 0
        self._rows = 0
        self._segments = 0
        self._before: dict[int, tuple[object, Raster | str]] = {}
        self._unread: Counter[str] = Counter()
        self._said: list[str] = []
        self._description = b""

    def notes(self) -> tuple[str, ...]:
        """What cannot be read or contradicts itself."""
        unread = (f"{count} pages cannot be read: {why}" for why, count in self._unread.most_common(20))
        return (*self._said, *unread)

    def take(self, number: int, directory: Directory, directories: Directories) -> None:
        """One page, and what lies below it."""
        if not number:
            self.take_first(directory)
        else:
            self._add(number, directory, 0)
        self._count = number + 1
        for level, offset in enumerate(directory.numbers(_LEVELS, MAX_LEVELS), start=1):
            self._add(number, directories.read(int(offset))[0], level)

    def take_first(self, directory: Directory) -> None:
        """The first page, without what lies below it."""
        self._description = directory.text(_DESCRIPTION, MAX_XML_BYTES)
        self._count = 1
        self._add(0, directory, 0)

    @property
    def described(self) -> bool:
        """Whether a program says how many pages there are."""
        return is_ome(self._description) or imagej_of(self._description) is not None

    @property
    def readable(self) -> bool:
        """Whether any page so far has a layout that is known."""
        return bool(self._stacks)

    def outlines(self, pages: int) -> tuple[StoredArray, ...]:
        """Arrays as the first page tells of them, without places."""
        (stack,) = self._stacks.values()
        if is_ome(self._description):
            try:
                images = ome_images(self._description, None)
            except OmeError as error:
                self._said.append(str(error))
            else:
                return tuple(_ome_outline(stack, image) for image in images if (image.pages == 0).any())
        told = imagej_of(self._description)
        if told is not None:
            axes = [(name, length, told.depth() if name == "z" else None) for name, length in told.lead]
            return (stack.outlined("0", axes, plane_of(stack.first, told.unit)),)
        return (stack.outlined("0", [("z", pages, None)] if pages > 1 else [], _printed(stack.first)),)

    def _add(self, number: int, directory: Directory, level: int) -> None:
        raster = self._raster(directory, level)
        if isinstance(raster, str):
            self._unread[raster] += 1
            return
        stack = self._stack(raster, directory)
        self._segments += len(stack.nominal)
        before = stack.rows
        stack.add(number, *places_of(directory, raster, stack.nominal))
        self._rows += stack.rows - before
        self._require_room(directory)

    def _raster(self, directory: Directory, level: int) -> Raster | str:
        """The layout of a page; mostly it is that of the page before, and need not be read again."""
        signature = directory.signature(LAYOUT)
        known, raster = self._before.get(level, (None, ""))
        if signature != known:
            raster = raster_of(directory, level)
            self._before[level] = signature, raster
        return raster

    def _stack(self, raster: Raster, first: Directory) -> Stack:
        """The pages of one layout."""
        stack = self._stacks.get(raster)
        if stack is None:
            if len(self._stacks) >= MAX_LAYOUTS:
                raise self._file.broken(first.offset, f"pages of more than {MAX_LAYOUTS} layouts")
            self._rows += raster.segments  # what a stack knows of one page
            self._require_room(first)
            stack = self._stacks[raster] = Stack(raster, first)
        return stack

    def _require_room(self, page: Directory) -> None:
        if self._rows > MAX_SEGMENTS or self._segments > MAX_READ_SEGMENTS:
            raise self._file.broken(page.offset, f"more than {MAX_SEGMENTS} chunks of strips and tiles")

    def arrays(self) -> tuple[StoredArray, ...]:
        """What the pages are together."""
        if is_ome(self._description):
            try:
                return self._ome(ome_images(self._description, self._count))
            except OmeError as error:
                self._said.append(str(error))
        imagej = imagej_of(self._description)
        if imagej is not None:
            return self._imagej(imagej)
        return tuple(_plain(stack) for stack in self._stacks.values())

    def _imagej(self, told: ImagejStack) -> tuple[StoredArray, ...]:
        """The first layout is the stack; one directory may stand for all of its pages (beyond 4 GiB it does)."""
        if len(self._stacks) != 1 or self._unread:
            return tuple(_plain(stack, told.unit) for stack in self._stacks.values())
        (stack,) = self._stacks.values()
        if len(stack.numbers) == 1 < told.images:
            self._extend(stack, told.images)
        pages = len(stack.numbers)
        lead = told.lead
        if pages != told.images:
            self._said.append(f"ImageJ tells of {told.images} images, the file holds {pages}")
            lead = (("z", pages),) if pages > 1 else ()
        axes = [(name, length, told.depth() if name == "z" else None) for name, length in lead]
        order = in_order(stack, [length for _, length in lead])
        return (stack.stored("0", axes, plane_of(stack.first, told.unit), order),)

    def _extend(self, stack: Stack, images: int) -> None:
        more = min(images - 1, stack.room(self._file.size_bytes))
        if more > MAX_SEGMENTS:
            raise self._file.broken(stack.first.offset, f"more than {MAX_SEGMENTS} images")
        if more == images - 1:
            stack.extend(more)

    def _ome(self, images: tuple[OmeImage, ...]) -> tuple[StoredArray, ...]:
        arrays: list[StoredArray] = []
        used: set[Raster] = set()
        room = MAX_SEGMENTS
        for image in images:
            stack = self._of(image)
            if image.elsewhere:
                names = ", ".join(sorted(image.elsewhere)[:5])
                self._said.append(f"{image.name}: planes lie in {len(image.elsewhere)} other files: {names}")
            if stack is None:
                self._said.append(f"{image.name}: no page of the file has {image.size} pixels")
                continue
            room -= len(image.pages) * stack.each
            if room < 0:
                raise self._file.broken(stack.first.offset, f"OME-XML tells of more than {MAX_SEGMENTS} chunks")
            used.add(stack.raster)
            rows = _rows(stack, image.pages)
            if (rows < 0).any():
                missing = f"{int((rows < 0).sum())} of {len(rows)} planes"
                self._said.append(f"{image.name}: {missing} are in no page of the file that is like the first")
            lead = [(name, length, image.measures.get(name)) for name, length in image.lead]
            arrays.append(stack.stored(f"{len(arrays)}", lead, image.measures, rows))
        others = [stack for raster, stack in self._stacks.items() if raster not in used]
        return (*arrays, *(_plain(stack, path=f"page/{_path(stack)}") for stack in others))

    def _of(self, image: OmeImage) -> Stack | None:
        """The pages that an image is of."""
        ours = image.pages[image.pages >= 0]
        if not len(ours):
            return None
        for raster, stack in self._stacks.items():
            if not raster.level and raster.size[1:] == image.size and (_rows(stack, ours[:1]) >= 0).all():
                return stack
        return None


def _ome_outline(stack: Stack, image: OmeImage) -> StoredArray:
    return stack.outlined(
        "0", [(name, length, image.measures.get(name)) for name, length in image.lead], image.measures
    )


def _rows(stack: Stack, pages: Order) -> Order:
    """Which page of the stack each of the file's is; -1 for those of other stacks."""
    numbers = np.frombuffer(stack.numbers, np.int64)
    rows = np.minimum(np.searchsorted(numbers, pages), len(numbers) - 1)
    return np.where(numbers[rows] == pages, rows, -1)


def _path(stack: Stack) -> str:
    """Unique: no two layouts begin with the same page of the same level."""
    first = f"{stack.numbers[0]}"
    return f"{first}/{stack.raster.level}" if stack.raster.level else first


def _plain(stack: Stack, unit: str = "", path: str = "") -> StoredArray:
    """Pages along z; along t where a page has a depth of its own."""
    pages = len(stack.numbers)
    name = "z" if stack.raster.size[0] == 1 else "t"
    lead: list[tuple[str, int, Measure | None]] = [(name, pages, None)] if pages > 1 else []
    measures = plane_of(stack.first, unit) if unit else _printed(stack.first)
    return stack.stored(path or _path(stack), lead, measures, in_order(stack, [pages] if lead else []))


def _printed(page: Directory) -> dict[str, Measure | None]:
    """Measures from a resolution in inches or centimetres; without a unit, or with 1 in each, nobody measured."""
    unit = page.number(_RESOLUTION_UNIT, 0)
    found = plane_of(page, _UNITS.get(unit, ""))
    return {axis: None if measure is None or measure.value == 1 else measure for axis, measure in found.items()}
