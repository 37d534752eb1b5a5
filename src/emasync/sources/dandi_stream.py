"""A long JSON array from the network, element by element: the asset manifest of a large dandiset has 300 MB."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, NamedTuple

from emasync.errors import RefusedError, SourceError
from emasync.model.location import Location
from emasync.transport.interface import Fetcher, Head

BLOCK_BYTES = 256 << 10
"""What is parsed at a time: some tens of records, about a millisecond."""

BLOCKS_AHEAD = 4
"""Blocks that may wait for the parser (law 4)."""

MAX_ELEMENT_CHARACTERS = 16 << 20
"""Longest element that is believed; asset records have some thousand characters."""

MAX_ARRAY_BYTES = 8 << 30


class Element(NamedTuple):
    """One element of the array.

    Attributes
    ----------
    text : str
        As received.
    value : JSON value
        Any: the caller checks it.
    """

    text: str
    value: Any


class ArraySplitter:
    """Cuts the text of a JSON array (RFC 8259, section 5) of objects into its elements, as the text comes. No I/O.

    Parameters
    ----------
    name : str
        For messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._parse = json.JSONDecoder().raw_decode
        self._text = ""
        self._begun = self._comma = self._ended = False

    def feed(self, data: bytes) -> Iterator[Element]:
        """Elements that are whole with `data`.

        Raises
        ------
        SourceError
            Not UTF-8, no array of objects, a longer element than :data:`MAX_ELEMENT_CHARACTERS`.
        """
        try:
            self._text += self._decode(data)
        except UnicodeDecodeError:
            raise self._wrong("is not UTF-8") from None
        at = self._open()
        while at is not None and (found := self._next(at)) is not None:
            element, at = found
            if element is not None:
                yield element
        if len(self._text) > MAX_ELEMENT_CHARACTERS:
            raise self._wrong(f"holds a record of more than {MAX_ELEMENT_CHARACTERS:,} characters, or broken JSON")

    def _open(self) -> int | None:
        if not self._begun:
            self._text = self._text.lstrip()
            if not self._text:
                return None
            if self._text[0] != "[":
                raise self._wrong(f"begins with {self._text[:40]!r}")
            self._begun, self._text = True, self._text[1:]
        return 0

    def _next(self, at: int) -> tuple[Element | None, int] | None:
        """The element behind `at`, and where it ends; None: more text is needed."""
        text, at = self._text, _skip(self._text, at)
        if at == len(text):
            self._text = ""
            return None
        if self._ended:
            raise self._wrong("goes on behind its end")
        if text[at] == "]":
            self._ended = True
            return None, at + 1
        if self._comma:
            if text[at] != ",":
                raise self._wrong(f"has {text[at : at + 40]!r} where a comma belongs")
            self._comma = False
            return None, at + 1
        if text[at] != "{":
            raise self._wrong(f"has {text[at : at + 40]!r} where a record belongs")
        try:
            value, end = self._parse(text, at)
        except (json.JSONDecodeError, RecursionError):
            self._text = text[at:]  # unfinished, or broken: the end or the bound will tell
            return None
        self._comma = True
        return Element(text[at:end], value), end

    def finish(self) -> None:
        """The text ends here.

        Raises
        ------
        SourceError
            The array does not.
        """
        if not self._ended or self._text.strip():
            raise self._wrong("is broken or cut off before its end")

    def _wrong(self, what: str) -> SourceError:
        return SourceError(
            f"{self._name}: expected a JSON array of records, this {what}; try again later", location=self._name
        )


_SPACE = " \t\r\n"


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


class _Blocks:
    """A receiver that hands on what comes in blocks, each byte once, also after a restart from the beginning."""

    def __init__(self, name: str) -> None:
        self.queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(BLOCKS_AHEAD)
        self._name = name
        self._position = 0
        self._again = 0
        self._held = bytearray()

    def begin(self, head: Head) -> None:
        """Go on where we stand: the transport binds all answers to one validator, so the bytes are the same ones."""
        self._again = self._position - head.start
        if head.total_bytes is not None and head.total_bytes > MAX_ARRAY_BYTES:
            raise RefusedError(f"{self._name}: {head.total_bytes:,} bytes are too many", location=self._name)

    async def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes; waits while the parser is behind."""
        seen = min(self._again, len(data))
        self._again -= seen
        self._position += len(data) - seen
        self._held += data[seen:]
        if len(self._held) >= BLOCK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Hand on what is held."""
        block, self._held = bytes(self._held), bytearray()
        await self.queue.put(block)


async def stream_bytes(fetcher: Fetcher, location: Location) -> AsyncGenerator[bytes]:
    """Blocks of one object, in one request unless it breaks. Close it (``aclosing``) when leaving early.

    Raises
    ------
    TransportError
        As :meth:`Fetcher.transfer`, after all blocks that came before it.
    """
    blocks = _Blocks(str(location))

    async def run() -> None:
        end: Exception | None = None
        try:
            await fetcher.transfer(location, blocks)
            await blocks.flush()
        except Exception as error:  # noqa: BLE001  # raised again by whoever takes the blocks, in its turn
            end = error
        await blocks.queue.put(end)

    # no TaskGroup: around a yield it would wrap GeneratorExit
    task = asyncio.create_task(run())
    try:
        while (block := await blocks.queue.get()) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def stream_array(fetcher: Fetcher, location: Location) -> AsyncGenerator[Element]:
    """Elements of a JSON array of objects, one by one.

    Raises
    ------
    SourceError
        No such array, or not all of it.
    TransportError
        As :meth:`Fetcher.transfer`.
    """
    splitter = ArraySplitter(str(location))
    async with aclosing(stream_bytes(fetcher, location)) as blocks:
        async for block in blocks:
            for element in splitter.feed(block):
                yield element
    splitter.finish()
