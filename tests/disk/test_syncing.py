from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from emasync.disk.syncing import SyncChoice, SyncWay, ways_for

BOTH = (SyncWay.TOGETHER, SyncWay.WHOLE)


@pytest.mark.parametrize(
    ("filesystem", "kernel", "ways"),
    [
        ("ext4", ("Linux", "6.1.0-18-amd64"), BOTH),
        ("xfs", ("Linux", "5.17"), BOTH),
        ("btrfs", ("Linux", "10.0"), BOTH),
        ("ext4", ("Linux", "5.16.20"), (SyncWay.TOGETHER,)),  # syncfs keeps errors of the journal back
        ("ext4", ("Linux", "4.18.0-553.el8"), (SyncWay.TOGETHER,)),
        ("ext4", ("Linux", "odd"), (SyncWay.TOGETHER,)),
        ("overlay", ("Linux", "6.1.0"), (SyncWay.TOGETHER,)),
        ("nfs4", ("Linux", "6.1.0"), (SyncWay.TOGETHER,)),
        ("fuse.sshfs", ("Linux", "6.1.0"), (SyncWay.TOGETHER,)),
        ("unknown", ("Linux", "6.1.0"), (SyncWay.TOGETHER,)),
        ("tmpfs", ("Linux", "6.1.0"), (SyncWay.NOTHING,)),
        ("ramfs", ("Linux", "4.4"), (SyncWay.NOTHING,)),
        ("unknown", ("Darwin", "23.1.0"), (SyncWay.EACH,)),
    ],
)
def test_ways_that_are_right(filesystem: str, kernel: tuple[str, str], ways: tuple[SyncWay, ...]) -> None:
    assert ways_for(filesystem, kernel) == ways


Cost = Callable[[SyncWay], float]


def run(choice: SyncChoice, cost_s: Cost, batches: int = 1, files: int = 64) -> tuple[SyncChoice, list[SyncWay]]:
    """So many batches that cost so much a file; which way each took."""
    taken = []
    for _ in range(batches):
        way = choice.way(files)
        taken.append(way)
        choice = choice.observed(way, files, files * cost_s(way))
    return choice, taken


def syncfs_cheaper(way: SyncWay) -> float:
    return 40e-6 if way is SyncWay.WHOLE else 100e-6


def syncfs_dearer(way: SyncWay) -> float:
    return 100e-6 if way is SyncWay.WHOLE else 80e-6


def foreign_data(way: SyncWay) -> float:
    return 10e-3 if way is SyncWay.WHOLE else 100e-6


def test_both_are_tried_in_turn_and_the_cheaper_stays() -> None:
    for cost_s, winner in ((syncfs_cheaper, SyncWay.WHOLE), (syncfs_dearer, SyncWay.TOGETHER)):
        _, taken = run(SyncChoice(BOTH), cost_s, 40)
        assert taken[:4] == [*BOTH, *BOTH]
        assert set(taken[4:]) == {winner}


def test_a_few_files_are_no_reason_to_sync_everything() -> None:
    choice, _ = run(SyncChoice(BOTH), syncfs_cheaper, 10)
    assert choice.way(64) is SyncWay.WHOLE
    assert choice.way(7) is SyncWay.TOGETHER
    assert choice.observed(SyncWay.TOGETHER, 7, 1e-9) == choice, "and no evidence"


def test_the_loser_is_measured_again_now_and_then_and_ever_more_rarely() -> None:
    _, taken = run(SyncChoice(BOTH), syncfs_cheaper, 1000)
    trials = [index for index, way in enumerate(taken) if way is SyncWay.TOGETHER]
    gaps = [after - before for before, after in pairwise(trials[1:])]
    assert gaps[:3] == [66, 129, 257]
    _, taken = run(SyncChoice(BOTH), syncfs_cheaper, 20_000)
    trials = [index for index, way in enumerate(taken) if way is SyncWay.TOGETHER]
    assert max(after - before for before, after in pairwise(trials)) == 4097


def test_foreign_data_drives_syncfs_out_after_one_batch() -> None:
    choice, _ = run(SyncChoice(BOTH), syncfs_cheaper, 40)
    choice, taken = run(choice, foreign_data, 50)
    assert taken == [SyncWay.WHOLE, *[SyncWay.TOGETHER] * 49]


def test_it_comes_back_when_the_others_are_done() -> None:
    choice, _ = run(SyncChoice(BOTH), foreign_data, 40)
    choice, taken = run(choice, syncfs_cheaper, 300)
    assert taken[-1] is SyncWay.WHOLE


def test_noise_changes_nothing() -> None:
    choice, _ = run(SyncChoice(BOTH), syncfs_dearer, 10)
    for factor in (1.1, 0.9) * 20:
        choice = choice.observed(SyncWay.TOGETHER, 64, 64 * 80e-6 * factor)
        choice = choice.observed(SyncWay.WHOLE, 64, 64 * 80e-6 / factor)
        assert choice.way(64) is SyncWay.TOGETHER


def test_the_only_way_needs_no_evidence() -> None:
    choice = SyncChoice((SyncWay.TOGETHER,))
    assert choice.observed(SyncWay.TOGETHER, 64, 10.0) is choice
    assert choice.way(1000) is SyncWay.TOGETHER


@pytest.mark.parametrize("ways", [(), tuple(SyncWay)])
def test_one_or_two_to_choose_from(ways: tuple[SyncWay, ...]) -> None:
    with pytest.raises(ValueError, match="one or two"):
        SyncChoice(ways)
