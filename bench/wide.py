"""A wide prefix and its server: every page takes the same time, and is there before it is asked for.

A process of its own (``python bench/wide.py SHAPE KEYS PAGE_S`` prints its port): all rows are rendered once, pages are
cut out of them (Amazon S3 API reference, "ListObjectsV2": prefix, start-after, continuation-token, encoding-type).
Plain HTTP only.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import subprocess
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from urllib.parse import parse_qs, quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script, this folder is no package

from bench.shaped import GONE, parse, read_head, refuse, serve

BUCKET, PREFIX = "wide", "d/"
PAGE_KEYS = 1_000
"""As Amazon and Google have it."""

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>wide</Name><Prefix>d/</Prefix><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>"
)
_TAIL = "</ListBucketResult>"


def counted(number: int) -> str:
    """Slices of a stack: one flat folder."""
    return f"{PREFIX}slice_{number:08d}.tif"


def hashed(number: int) -> str:
    """Names without order."""
    digest = hashlib.blake2b(number.to_bytes(8), digest_size=16).hexdigest()
    return f"{PREFIX}{digest[:8]}-{digest[8:12]}-{digest[12:]}"


def chunked(number: int) -> str:
    """Chunks of an array, 100 x 100 x as many as there are: numbers without leading zeros, folder in folder."""
    return f"{PREFIX}scale0/{number // 10_000}/{number // 100 % 100}/{number % 100}"


SHAPES: dict[str, Callable[[int], str]] = {"counted": counted, "hashed": hashed, "chunked": chunked}


def keys_of(shape: str, count: int) -> list[str]:
    """All keys, in the order of a listing."""
    return sorted(map(SHAPES[shape], range(count)))


def digest_of(keys: Sequence[str]) -> str:
    """Digest of keys in their order."""
    return hashlib.blake2b("\n".join(keys).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Rendered:
    """Rows of all keys, one behind the other.

    Attributes
    ----------
    keys : sequence of str
    rows : bytes
    ends : sequence of int
        Where each row ends.
    """

    keys: Sequence[str]
    rows: bytes
    ends: Sequence[int]

    @classmethod
    def of(cls, keys: Sequence[str]) -> Rendered:
        """Render rows as S3 does."""
        rows = [
            f"<Contents><Key>{quote(key)}</Key><LastModified>2024-04-02T19:49:{number % 60:02d}.000Z</LastModified>"
            f"<ETag>&quot;{number:032x}&quot;</ETag><Size>{65_536 + number % 977}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>".encode()
            for number, key in enumerate(keys)
        ]
        return cls(keys, b"".join(rows), list(accumulate(map(len, rows))))

    def page(self, query: str) -> bytes:
        """The page that a query asks for."""
        asked = parse_qs(query)
        if token := asked.get("continuation-token"):
            start = int(token[0])
        elif after := asked.get("start-after"):
            start = bisect_right(self.keys, after[0])
        else:
            start = bisect_left(self.keys, asked.get("prefix", [""])[0])
        if "delimiter" in asked:  # no folders: what is below is found by its keys alone
            start = len(self.keys)
        stop = min(start + PAGE_KEYS, len(self.keys))
        more = stop < len(self.keys)
        token_row = f"<NextContinuationToken>{stop}</NextContinuationToken>" if more else ""
        head = f"{_HEAD}{token_row}<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
        first = self.ends[start - 1] if start else 0
        rows = self.rows[first : self.ends[stop - 1]] if stop > start else b""
        return b"".join((head.encode(), rows, _TAIL.encode()))


@dataclass(frozen=True, slots=True)
class WideServer:
    """Answers every listing after `page_s` seconds."""

    rendered: Rendered
    page_s: float

    async def talk(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        """Answer all requests of a connection."""
        buffer = bytearray()
        with connection, contextlib.suppress(*GONE):
            while head := await read_head(loop, connection, buffer):
                due_s = loop.time() + self.page_s
                asked = parse(head)
                if "list-type=2" not in asked.query:
                    await refuse(loop, connection, "404 Not Found")
                    continue
                body = self.rendered.page(asked.query)
                await asyncio.sleep(due_s - loop.time())
                fields = f"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
                await loop.sock_sendall(connection, fields.encode() + body)


@contextlib.contextmanager
def wide(shape: str, keys: int, page_s: float) -> Iterator[str]:
    """Run the server in a process of its own; gives its URL."""
    command = [sys.executable, str(Path(__file__).resolve()), shape, str(keys), str(page_s)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def main() -> None:
    """Serve; the command line is shape, keys, seconds a page."""
    shape, keys, page_s = sys.argv[1:]
    rendered = Rendered.of(keys_of(shape, int(keys)))
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        asyncio.run(serve(listener, WideServer(rendered, float(page_s)).talk))


if __name__ == "__main__":
    main()
