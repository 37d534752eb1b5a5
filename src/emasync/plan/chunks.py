"""Task sets of one chosen array: listed where it is taken whole, a grid where a box is cut out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from emasync.errors import AccessDeniedError, NotFoundError, RefusedError, TransportError
from emasync.model.digest import Span
from emasync.model.grid import ChunkGrid, VoxelGrid
from emasync.model.location import Location, missing_key
from emasync.model.task import TaskSetSpec
from emasync.plan.boxes import place_name
from emasync.plan.indexes import Indexes
from emasync.plan.intake import Intake, Shelf
from emasync.plan.select import Chosen
from emasync.plan.setbacks import nothing_there
from emasync.plan.sweep import Divider, Piles, Sorting, as_entry, list_into
from emasync.plan.tools import PlanTools
from emasync.sources.interface import Tree
from emasync.sources.walk import closing
from emasync.transport.interface import ListedObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a tree allows, found out once.

    Attributes
    ----------
    listable : bool
        Whether its objects can be listed.
    tells_missing : bool
        Whether a 404 on a chunk key is a statement of absence (law 9).
    """

    listable: bool
    tells_missing: bool


async def survey(tree: Tree, tools: PlanTools) -> Ground:
    """Find out what `tree` allows, with up to two requests.

    A policy may say that 404 is a statement; otherwise a name that nobody wrote must be answered with 404. That the
    array's metadata came from the same origin goes without saying: that is where the grid is from.
    """
    tells = tools.context.settings.policy(tree.base).absent_on_404 or await tells_missing(tree, tools)
    return Ground(listable=await listing_denied(tree) is None, tells_missing=tells)


async def tells_missing(tree: Tree, tools: PlanTools) -> bool:
    """Whether a name that nobody wrote is answered with 404."""
    try:
        await tools.context.fetcher.read(tree.base.join(missing_key(tree.base)), span=Span(0, 1))
    except NotFoundError:
        return True
    except (AccessDeniedError, RefusedError):
        return False
    return False


async def listing_denied(tree: Tree) -> TransportError | None:
    """Why the first page of a listing is not answered; None when it is."""
    try:
        async with closing(tree.list("")) as pages:
            async for _ in pages:
                break
    except (AccessDeniedError, NotFoundError, RefusedError) as error:
        return error
    return None


async def take_chunks(
    intake: Intake, tree: Tree, chosen: Chosen, ground: Ground, *, named: frozenset[str], indexes: Indexes
) -> None:
    """Bring the chunks of one array into the ledger.

    Whole arrays are listed: sizes are known, and what is not listed is absent. A box is a grid, whose missing chunks
    are absent where a 404 says so. Where it does not, a listing does.

    Parameters
    ----------
    intake : Intake
    tree : Tree
    chosen : Chosen
    ground : Ground
    named : frozenset of str
        Documents that are named already.
    indexes : Indexes
        Of shards.

    Raises
    ------
    SourceError
        None of its chunks is there (law 9).
    TransportError
        As :meth:`Tree.list`.
    """
    if chosen.grid is None:
        return
    if chosen.unsharded or (chosen.array.sharding is not None and not (ground.listable and chosen.whole)):
        await _take_sharded(intake, tree, chosen, ground, indexes)
        return
    if ground.listable and (chosen.whole or not ground.tells_missing):
        await _take_listed(intake, tree, chosen, chosen.grid, named)
        return
    await intake.open(gridded(intake, tree.base, chosen, chosen.grid, absent_ok=ground.tells_missing))


async def _take_sharded(intake: Intake, tree: Tree, chosen: Chosen, ground: Ground, indexes: Indexes) -> None:
    from emasync.plan.shards import take_out_of_shards, take_shards  # noqa: PLC0415 - numpy, where there are shards

    if chosen.unsharded:
        await take_out_of_shards(intake, tree, chosen, indexes)
    else:
        await take_shards(intake, tree, chosen, indexes, absent_ok=ground.tells_missing)


async def _take_listed(intake: Intake, tree: Tree, chosen: Chosen, grid: ChunkGrid, named: frozenset[str]) -> None:
    shelf = await intake.shelf(str(tree.base), asset=chosen.array.path, rank=chosen.rank)
    # copies in other chunk shapes lie in the same folder
    everything = chosen.whole and (chosen.array.sharding is not None or not isinstance(grid, VoxelGrid))
    divider: Divider = Sorting(documents=shelf, rest=shelf, elsewhere=named) if everything else BoxOfChunks(shelf, grid)
    if await intake.finished(shelf):
        return
    path = chosen.array.path
    if not await list_into(intake, tree, divider, folder=path, keeper=shelf, required=True):
        raise nothing_there(place_name(path), path, len(grid))
    await intake.finish(shelf)


def gridded(intake: Intake, base: Location, chosen: Chosen, grid: ChunkGrid, *, absent_ok: bool) -> TaskSetSpec:
    """The task set of a grid. Its folder is the array's, mapped by the layout like any other path."""
    path = chosen.array.path
    return TaskSetSpec(
        dataset=intake.dataset,
        asset=path,
        rank=chosen.rank,
        base=str(base.join(path)),
        destination=f"{intake.folder}/{intake.place(path)}" if path else intake.folder,
        grid=replace(grid, prefix=""),
        absent_ok=absent_ok,
    )


@dataclass(frozen=True, slots=True)
class BoxOfChunks:
    """Takes the listed chunks of a box, under the names that the grid gives them."""

    shelf: Shelf
    grid: ChunkGrid

    def divide(self, objects: Iterable[ListedObject]) -> Piles:
        """Entries of the box's chunks."""
        entries = []
        for item in objects:
            number = self.grid.number_of(item.key)
            if number is not None:
                entries.append(as_entry(item)._replace(path=self.grid.destination(number)))
        return {self.shelf.set_id: (self.shelf, entries)}
