"""What commands that run in the tests' own process may do."""

from __future__ import annotations

import pytest
from blockbuster import BlockBuster


@pytest.fixture(autouse=True)
def ends_of_loops(blockbuster: BlockBuster) -> None:
    """A loop that is closed joins the thread that has ended its executor: microseconds, after all work is done."""
    blockbuster.functions["threading.Lock.acquire"].can_block_in("asyncio/runners.py", {"close"})
