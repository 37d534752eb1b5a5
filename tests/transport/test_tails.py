"""The end of an object whose size nobody knows yet: one suffix range, and the same care as for any other range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emasync.errors import RefusedError
from emasync.model.digest import Tail
from emasync.model.location import Location
from emasync.testing import Archive

BODY = bytes(range(251)) * 400
TAIL = Tail(60_000)


async def test_a_tail_is_one_suffix_range_that_asks_for_no_encoding(
    archive: Callable[..., Archive], opened: Any
) -> None:
    server = archive({"b/shard": BODY})
    async with opened() as fetcher:
        document = await fetcher.read(Location.parse(f"{server.url}/b/shard"), span=TAIL)
    assert document.data == BODY[-60_000:]
    (asked,) = server.requests
    assert (asked.headers["range"], asked.headers["accept-encoding"]) == ("bytes=-60000", "identity")


async def test_a_tail_that_breaks_off_goes_on_where_it_stopped(archive: Callable[..., Archive], opened: Any) -> None:
    server = archive({"b/shard": BODY}, faults={"b/shard": [{"reset_after": 20_000, "times": 1}]})
    async with opened() as fetcher:
        document = await fetcher.read(Location.parse(f"{server.url}/b/shard"), span=TAIL)
    assert document.data == BODY[-60_000:]
    first, second = (seen.headers for seen in server.requests)
    assert first["range"] == "bytes=-60000"
    start = int(second["range"].removeprefix("bytes=").partition("-")[0])
    assert len(BODY) - 60_000 <= start
    assert second["range"].endswith(f"-{len(BODY) - 1}")
    assert "if-match" in second, "law 3: bound to the object of the first answer"


@pytest.mark.parametrize(
    "fault",
    [{"ignore_range": True}, {"wrong_content_range": 7}, {"wrong_total": 7}, {"unknown_total": True}],
    ids=lambda fault: next(iter(fault)),
)
async def test_an_answer_that_may_be_another_part_is_refused(
    archive: Callable[..., Archive], opened: Any, fault: dict[str, Any]
) -> None:
    server = archive({"b/shard": BODY}, faults={"b/shard": [fault]})
    async with opened() as fetcher:
        with pytest.raises(RefusedError, match=r"ignores byte ranges|last 60000 bytes"):
            await fetcher.read(Location.parse(f"{server.url}/b/shard"), span=TAIL)
