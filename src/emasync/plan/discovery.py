"""Drives a format's walk over a tree: the walk says what it needs, this fetches it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from emasync.errors import AccessDeniedError, NotFoundError, RefusedError
from emasync.formats.interface import Answer, Found, Need, Walk
from emasync.model.events import Event, OnEvent
from emasync.plan.verdict import decisive
from emasync.sources.interface import Tree

AT_ONCE = 16
"""Documents asked for at the same time; the origin's limiter may allow fewer."""


async def discover(tree: Tree, walk: Walk, dataset: str, on_event: OnEvent) -> list[Found]:
    """Run `walk` to its end, and tell what it passed over.

    Parameters
    ----------
    tree : Tree
    walk : Walk
        Bounds the number of nodes, so that what it finds fits into memory.
    dataset : str
    on_event : callable
        Gets a warning for each of the walk's notes.

    Returns
    -------
    list of Found

    Raises
    ------
    FormatError
        A document breaks a rule.
    SourceError
        A start is not there, or a limit.
    TransportError
        A document could not be read.
    """
    found: list[Found] = []
    while needs := walk.needs():
        for need, answer in await answer_all(tree, needs):
            walk.feed(need, answer)
        found.extend(walk.found())
    found.extend(walk.found())
    for note in walk.notes:
        on_event(Event("warning", {"dataset": dataset, "message": note}))
    return found


async def answer_all(tree: Tree, needs: Sequence[Need]) -> list[tuple[Need, Answer]]:
    """Answer needs side by side, in the order they were asked."""
    answers: dict[Need, Answer] = {}

    async def work(shared: Iterator[Need]) -> None:
        for need in shared:
            answers[need] = await answer_one(tree, need)

    queue = iter(needs)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(needs))):
                group.create_task(work(queue))
    except ExceptionGroup as failures:
        raise decisive(failures) from failures
    return [(need, answers[need]) for need in needs]


async def answer_one(tree: Tree, need: Need) -> Answer:
    """The document, or the names; None where there is none or no listing is allowed."""
    if need.kind == "document":
        return await tree.read(need.key)
    try:
        return await tree.children(need.key)
    except (AccessDeniedError, NotFoundError, RefusedError):
        return None
