"""Containers of video: MP4 and QuickTime (ISO/IEC 14496-12), AVI (RIFF). Headers only, bounded; frames are not read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from emasync.errors import EmasyncError
from emasync.formats.stored import ByteSource, HeaderBytes
from emasync.hooks.metadata.claims import Claims, shown
from emasync.hooks.metadata.files import not_of
from emasync.hooks.metadata.records import ArrayRecord, AssetRecord

MAX_BOXES: Final = 10_000
"""Boxes or chunks of one file that are looked at."""

_CONTAINERS: Final = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl"))
_BRANDS: Final = (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip")
_MOST_SIDE: Final = 1 << 16


def describe_video(path: str, file: ByteSource) -> AssetRecord:
    """A video as an asset; one whose first bytes are of neither container is noted.

    Parameters
    ----------
    path : str
        Below the dataset's folder.
    file : ByteSource
    """
    head = file.read(0, 12)
    claims = Claims("header", path, path)
    kind = "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else "mp4" if head[4:8] in _BRANDS else ""
    if not kind:
        return not_of("MP4 or AVI", path)
    try:
        (_avi if kind == "avi" else _mp4)(HeaderBytes(file), claims)
    except (EmasyncError, struct.error) as error:
        claims.notes.append(f"{path}: its header breaks off or contradicts itself: {shown(error)}")
    claims.claim("format", kind, "")
    claims.claim("lossy", _is_lossy(claims), "codec")
    claims.claim("axes", "t,y,x", "")
    arrays = (ArrayRecord(path="", claims=tuple(claims.found)),)
    return AssetRecord(path=path, kind="video", format=kind, arrays=arrays, files=(path,), notes=tuple(claims.notes))


def _is_lossy(claims: Claims) -> bool | None:
    """Nearly all codecs of video are; some are not, and of some only the stream tells."""
    codec = next((str(claim.value) for claim in claims.found if claim.field == "codec_chain"), "")
    if codec.lower() in ("ffv1", "huff", "hfyu", "raw", "dib", "none", "y800", "i420", "png"):
        return False
    return (
        True
        if codec.lower() in ("avc1", "hvc1", "hev1", "mp4v", "mjpg", "jpeg", "xvid", "divx", "av01", "vp09")
        else None
    )


def _boxes(file: HeaderBytes, start: int, stop: int, room: list[int]) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of each box, containers opened."""
    while start + 8 <= stop:
        room[0] -= 1
        if room[0] < 0:
            raise file.broken(start, f"more than {MAX_BOXES} boxes")
        size, kind = struct.unpack(">I4s", file.take(start, 8))
        begin = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.take(begin, 8))
            begin += 8
        end = stop if size == 0 else start + size
        if end < begin or end > stop:
            raise file.broken(start, f"a box of {size} bytes does not fit")
        yield kind, begin, end
        if kind in _CONTAINERS:
            yield from _boxes(file, begin, end, room)
        start = end


def _mp4(file: HeaderBytes, claims: Claims) -> None:
    """The first track of pictures; those of sound and text are passed over."""
    scale = duration = 0
    video = done = False
    for kind, begin, end in _boxes(file, 0, file.size_bytes, [MAX_BOXES]):
        if kind == b"trak":
            done, video = done or video, False
        elif kind == b"mdhd":
            scale, duration = _times(file, begin)
        elif kind == b"hdlr":
            video = not done and file.take(begin + 8, 4) == b"vide"
            if video and scale:
                claims.number("duration_s", duration / scale, "mdhd", unit="s")
        elif kind == b"stsd" and video:
            _sample_entry(file, begin, end, claims)
        elif kind == b"stsz" and video:
            _, count = struct.unpack(">II", file.take(begin + 4, 8))
            claims.number("shape_t", count, "stsz")
            if scale and duration:
                claims.number("frame_rate_hz", count * scale / duration, "stsz, mdhd", unit="Hz")


def _times(file: HeaderBytes, begin: int) -> tuple[int, int]:
    """Time scale and duration of a track (ISO/IEC 14496-12, 8.4.2)."""
    if file.take(begin, 1) == b"\1":
        scale, duration = struct.unpack(">IQ", file.take(begin + 20, 12))
    else:
        scale, duration = struct.unpack(">II", file.take(begin + 12, 8))
    return scale, duration


def _sample_entry(file: HeaderBytes, begin: int, end: int, claims: Claims) -> None:
    """Codec and size of pictures (ISO/IEC 14496-12, 12.1.3)."""
    if end - begin < 44:  # noqa: PLR2004 - to the size of the first entry
        return
    codec = file.take(begin + 12, 4).decode("latin-1").strip()
    width, height = struct.unpack(">HH", file.take(begin + 40, 4))
    claims.text("codec_chain", codec, "stsd")
    claims.number("shape_x", width, "stsd")
    claims.number("shape_y", height, "stsd")


def _avi(file: HeaderBytes, claims: Claims) -> None:
    """The main header, and the codec of the first stream (AVI RIFF File Reference, AVIMAINHEADER, AVISTREAMHEADER)."""
    start, stop = 12, min(file.size_bytes, 1 << 20)
    for _ in range(MAX_BOXES):
        if start + 8 > stop:
            return
        kind, size = struct.unpack("<4sI", file.take(start, 8))
        if kind == b"avih":
            _avi_header(file, start + 8, claims)
        elif kind == b"strh" and file.take(start + 8, 4) == b"vids":
            codec = file.take(start + 12, 4).decode("latin-1").strip("\0 ")
            claims.text("codec_chain", codec or "raw", "strh")
            return
        start += 12 if kind == b"LIST" else 8 + size + size % 2


def _avi_header(file: HeaderBytes, begin: int, claims: Claims) -> None:
    interval_us, *_, frames = struct.unpack("<5I", file.take(begin, 20))
    width, height = struct.unpack("<2I", file.take(begin + 32, 8))
    claims.number("shape_t", frames, "avih")
    if width < _MOST_SIDE and height < _MOST_SIDE:
        claims.number("shape_x", width, "avih")
        claims.number("shape_y", height, "avih")
    if interval_us:
        claims.number("frame_rate_hz", 1e6 / interval_us, "avih", unit="Hz")
        claims.number("duration_s", frames * interval_us * 1e-6, "avih", unit="s")
