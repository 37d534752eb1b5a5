"""Chosen arrays, levels and boxes: their metadata, their chunks, and what lies beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from emasync.errors import SourceError
from emasync.formats.interface import Format, Found, GroupDescription
from emasync.manifest.crop import DrawnCrop, SameAsCrop
from emasync.model.events import Event, EventValue
from emasync.model.task import ObjectEntry, Rank
from emasync.plan.choice import Choice
from emasync.plan.choose import Picked, pick
from emasync.plan.chunks import survey, take_chunks
from emasync.plan.discovery import discover
from emasync.plan.flat import document_shelf
from emasync.plan.indexes import KEPT_BYTES, Indexes
from emasync.plan.intake import Intake, Shelf
from emasync.plan.lending import as_recorded, borrowed_extent, is_recorded, keep_boxes, kept_draws
from emasync.plan.setbacks import together
from emasync.plan.subset import Rewritten, rewrite, wanted_documents
from emasync.plan.tools import PlanTools
from emasync.plan.whole import add_documents, documents_of
from emasync.plan.written import keep_sources, make_way, write_subset
from emasync.sources.interface import Tree

MOST_WITNESSES = 3
"""Documents that are asked for again where a shard is denied."""


async def take_selected(intake: Intake, tree: Tree, choice: Choice, form: Format, tools: PlanTools) -> None:
    """Bring what is chosen of a tree into the ledger: metadata first, then coarse levels before fine ones.

    Parameters
    ----------
    intake : Intake
    tree : Tree
        Need not be listable.
    choice : Choice
    form : Format
        Whose walk finds the arrays.
    tools : PlanTools

    Raises
    ------
    SourceError
        Nothing to choose from, a level or box that is not there, a choice that is not built.
    TransportError
        As :meth:`Tree.read` and :meth:`Tree.list`.
    """
    found = await discover(tree, form.walk(choice.arrays or ("",)), intake.dataset, tools.context.on_event)
    crop = choice.crop
    extent = await borrowed_extent(choice, crop.same_as, tools) if isinstance(crop, SameAsCrop) else None
    picked = pick(found, choice, extent)
    ground = await survey(tree, tools)
    kept_bytes = KEPT_BYTES if choice.must_hold_data else 0
    read = documents_of(found)
    indexes = Indexes(
        tools.context.fetcher,
        tells_missing=ground.tells_missing,
        kept_bytes=kept_bytes,
        documents=[tree.base.join(key) for key in sorted(read)[:MOST_WITNESSES]],
    )
    if choice.must_hold_data and not is_recorded(intake, picked, tools):
        from emasync.plan.sampling import Look, draw_with_data  # noqa: PLC0415 - decoders, where chunks are looked into

        look = Look(tree=tree, form=form, fetcher=tools.context.fetcher, indexes=indexes)
        picked = await draw_with_data(picked, choice, await kept_draws(intake, choice, tools), look)
    elif isinstance(crop, DrawnCrop) and tools.boxes:
        picked = as_recorded(intake, picked, choice, tools)
    chosen = sorted((item for image in picked for item in image.chosen), key=lambda item: item.rank)
    report_boxes(intake.dataset, picked, tools)
    await keep_boxes(intake, picked, choice, tools)
    await keep_sources(intake, read, tools.documents)
    if choice.standalone:
        wanted = wanted_documents(found, chosen)
        rewritten = rewrite(wanted, chosen, form)
        await write_subset(intake, rewritten, choice.digest, tools.documents)
        changed = {item.key for item in rewritten}
        await make_way(intake, {key: data for key, data in wanted.items() if key not in changed}, tools.documents)
        documents = await take_documents(intake, tree, wanted, rewritten)
    else:
        documents = await take_documents(intake, tree, read, ())
    setbacks: list[SourceError] = []
    for item in chosen:
        try:
            await take_chunks(intake, tree, item, ground, named=frozenset(read), indexes=indexes)
        except SourceError as error:
            setbacks.append(error)
    await take_sidecars(intake, tree, found, choice)
    if setbacks:
        raise together(setbacks)
    await intake.finish(documents)  # last, as everywhere: who finds them finished finds all of the tree named


def report_boxes(dataset: str, picked: Iterable[Picked], tools: PlanTools) -> None:
    """Tell the boxes that were chosen or drawn: asked for, and on disk; source coordinates."""
    for draw, item in ((image.draw, chosen) for image in picked for chosen in image.chosen):
        fields: dict[str, EventValue] = {"dataset": dataset, "array": item.array.path, "level": item.level}
        origin = item.array.origin or (0,) * len(item.array.shape)
        for name, box in (("box", item.box.moved(origin)), ("hull", item.hull.moved(origin))):
            fields[f"{name}_start"], fields[f"{name}_shape"] = list(box.start), list(box.shape)
        fields.update({} if draw is None else asdict(draw))
        tools.context.on_event(Event("asset_planned", fields))


async def take_documents(
    intake: Intake, tree: Tree, wanted: Mapping[str, bytes], rewritten: Sequence[Rewritten]
) -> Shelf:
    """Metadata that stays as it is is fetched like any object; what changes is written by us already.

    Not subject to the globs: an array without its metadata is none.

    Returns
    -------
    Shelf
        Not finished yet.
    """
    ours = {item.key for item in rewritten}
    shelf = await document_shelf(intake, tree)
    await add_documents(intake, shelf, {key: data for key, data in wanted.items() if key not in ours})
    return shelf


async def take_sidecars(intake: Intake, tree: Tree, found: Iterable[Found], choice: Choice) -> None:
    """Objects beside the arrays that are neither metadata nor chunks (OME-XML, JSON of an instrument)."""
    keys = sorted({key for node in found if isinstance(node, GroupDescription) for key in node.extras})
    shelf = await intake.shelf(str(tree.base), asset="", rank=Rank.BULK)
    await intake.add(shelf, [ObjectEntry(key=key) for key in keys if choice.wants(key)])
    await intake.finish(shelf)
