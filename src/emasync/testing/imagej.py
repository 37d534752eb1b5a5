"""TIFF stacks as ImageJ writes them: all pixels in one stretch, also beyond what offsets of 32 bits reach."""

from __future__ import annotations

from emasync.testing.sparse import Body, Literal
from emasync.testing.tiff import LIMIT_BYTES, Pages
from emasync.testing.tiff_directory import ASCII, LONG, RATIONAL, SHORT, Entry, TiffForm

_NO_UNIT = 1


def imagej_stack(pages: Pages, *, pixel_um: float, spacing_um: float) -> Body:
    r"""A stack as ImageJ writes it: big-endian, one directory ahead of all pixels, the others behind them.

    Stacks whose directories would lie beyond 4 GiB have the first only, and the description counts the pages.
    The unit is spelled with seven literal characters, ``\u00B5m``. With 184 x 775 x 1121 bytes it has the size, to
    the byte, and the offsets of IDR image 9846137.

    Parameters
    ----------
    pages : Pages
        Of 8 or 16 bits, big-endian.
    pixel_um, spacing_um : float
        Size of a pixel, and distance between pages.
    """
    count = pages.shape[0]
    description = (
        f"ImageJ=1.52p\nimages={count}\nslices={count}\nunit=\\u00B5m\nspacing={spacing_um:g}\n"
        "loop=false\nmin=36.0\nmax=199.0\n\0"
    ).encode()
    directories = _ImagejDirectories(pages, description, round(1_000_000 / pixel_um))
    page_bytes = pages.page(0).size_bytes
    behind = directories.first_pixel + count * page_bytes
    single = behind + count * directories.size_bytes >= LIMIT_BYTES
    others = [] if single else [behind + number * directories.size_bytes for number in range(count - 1)]
    following = [*others, 0]
    head = directories.first(following[0])
    tail = b"".join(
        directories.other(directories.first_pixel + (number + 1) * page_bytes, following[number + 1])
        for number in range(len(others))
    )
    pixels = (pages.page(number) for number in range(count))
    return Body((Literal(head), *pixels, Literal(tail)))


class _ImagejDirectories:
    """Directories of one stack; all point at the description and the resolution behind the first."""

    def __init__(self, pages: Pages, description: bytes, pixels_per_unit: int) -> None:
        self._form = TiffForm(">")
        self._at = len(self._form.header(0))
        self._shape, self._bits = pages.shape, pages.dtype.itemsize * 8
        self._page_bytes = pages.page(0).size_bytes
        self._description = description
        self._resolution = (pixels_per_unit, 1_000_000)
        self.size_bytes = self._form.directory_bytes(len(self._entries(0)))
        self.first_pixel = self._at + len(self._form.directory(self._entries(0), at=self._at, following=0))

    def first(self, following: int) -> bytes:
        """Header, directory of the first page, and the values of all."""
        entries = self._entries(self.first_pixel)
        return self._form.header(self._at) + self._form.directory(entries, at=self._at, following=following)

    def other(self, pixels: int, following: int) -> bytes:
        """Directory of the page whose pixels begin at `pixels`."""
        values_at = self._at + self.size_bytes
        return self._form.directory(self._entries(pixels), at=0, following=following, values_at=values_at)

    def _entries(self, pixels: int) -> list[Entry]:
        _, rows, columns = self._shape
        return [
            Entry(254, LONG, (0,)),
            Entry(256, LONG, (columns,)),
            Entry(257, LONG, (rows,)),
            Entry(258, SHORT, (self._bits,)),
            Entry(262, SHORT, (1,)),
            Entry(270, ASCII, self._description),
            Entry(273, LONG, (pixels,)),
            Entry(277, SHORT, (1,)),
            Entry(278, SHORT, (rows,)),
            Entry(279, LONG, (self._page_bytes,)),
            Entry(282, RATIONAL, self._resolution),
            Entry(283, RATIONAL, self._resolution),
            Entry(296, SHORT, (_NO_UNIT,)),
        ]
