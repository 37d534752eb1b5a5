"""Lists everything below a prefix: ``list_keys.py sequential|lanes ENDPOINT RESULT``; writes what it saw as JSON.

Both ways go through the same transport, limiter and parser; ``sequential`` asks for page after page.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

from emasync.model.location import Location
from emasync.settings import Settings
from emasync.sources.walk import BucketTree, KeyFrame
from emasync.transport.governed import GovernedFetcher
from emasync.transport.interface import ListPage
from emasync.transport.object_store import Endpoints

PLACE = Location.parse("s3://wide/d/")


def pages_of(how: str, fetcher: GovernedFetcher) -> AsyncIterator[ListPage]:
    """Pages with keys below the bucket (sequential) or the prefix."""
    return fetcher.list(PLACE) if how == "sequential" else BucketTree(fetcher, Location.parse("s3://wide/d")).list("")


async def main(how: str, endpoint: str) -> dict[str, object]:
    """List, and digest keys in the order in which they come."""
    seen, count, last, ordered, first_s = hashlib.blake2b(digest_size=16), 0, "", True, 0.0
    started_s = time.monotonic()
    frame = KeyFrame("d/", "")
    async with GovernedFetcher(Settings(), endpoints=Endpoints(s3=endpoint)) as fetcher:
        async for page in pages_of(how, fetcher):
            keys = [item.key for item in (frame.relative(page, PLACE) if how == "sequential" else page).objects]
            if not keys:
                continue
            first_s = first_s or time.monotonic() - started_s
            ordered &= last < keys[0]
            seen.update(("\n" if count else "").encode() + "\n".join("d/" + key for key in keys).encode())
            count, last = count + len(keys), keys[-1]
        took_s = time.monotonic() - started_s
        requests = sum(origin.requests for origin in fetcher.statistics().values())
    facts = {"keys": count, "digest": seen.hexdigest(), "ordered": ordered, "requests": requests}
    return {**facts, "first_page_s": first_s, "listing_s": took_s}


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(uvloop.run(main(*sys.argv[1:3]))))
