"""Naming a task set: new, named again by a newer plan, or already named by this one."""

from __future__ import annotations

from emasync.ledger import plans
from emasync.ledger.admission import Admitter
from emasync.ledger.counts import reopen_set_counts, show_set_counts
from emasync.ledger.database import Transaction
from emasync.ledger.desk import Desk
from emasync.ledger.gridded import count_new_blocks, create_blocks
from emasync.ledger.tasksets import TaskSet
from emasync.model.task import TaskSetSpec


def name_set(desk: Desk, spec: TaskSetSpec, transaction: Transaction) -> int:
    """Open a task set, or find it again by its identity; gives its id. Inside the transaction."""
    dataset_id, generation = plans.dataset_of(desk.connection, spec.dataset)
    found = plans.find_set(desk.connection, spec)
    if found is None:
        set_id = plans.insert_set(desk.connection, spec, dataset_id, generation)
        desk.places.forget()
        if spec.grid is not None:
            _open_grid(desk, desk.sets.get(set_id), transaction)
        return set_id
    set_id, plan = found
    if plan != generation:
        _name_again(desk, set_id, spec, dataset_id, generation)
        if spec.grid is not None:
            _inherit(desk, desk.sets.get(set_id), transaction)
    return set_id


def _open_grid(desk: Desk, task_set: TaskSet, transaction: Transaction) -> None:
    create_blocks(desk.connection, task_set.set_id, len(task_set.grid))
    count_new_blocks(desk.connection, task_set)
    Admitter(desk, task_set, transaction).claim_folder()
    _inherit(desk, task_set, transaction)


def _inherit(desk: Desk, task_set: TaskSet, transaction: Transaction) -> None:
    if task_set.plan > 1:
        from emasync.ledger.carryover import inherit  # noqa: PLC0415  # numpy, when it is needed

        transaction.durable |= inherit(desk, task_set)


def _name_again(desk: Desk, set_id: int, spec: TaskSetSpec, dataset_id: int, generation: int) -> None:
    plans.name_set_again(desk.connection, set_id, spec, generation)
    if spec.grid is None:
        reopen_set_counts(desk.connection, set_id)
    else:
        show_set_counts(desk.connection, set_id, dataset_id)
    desk.sets.forget()
    desk.leases.restart(set_id)
    desk.leases.doubt_all()
